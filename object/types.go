package object

import (
	"io"
	"time"

	"torc/chunk"
)

// Nouns of waist 2. Names are what people write; ids are what records hold.
type (
	// BucketName is a bucket's name, unique in the cluster.
	BucketName string
	// BucketID identifies one life of a bucket; never reused.
	BucketID uint64
	// AccountID is the 12-digit id of the account that owns a bucket.
	AccountID string
	// UploadID names a multipart upload; unguessable, never reused.
	UploadID string
)

// Limits of waist 2, enforced with errs.TooLarge or errs.Invalid.
const (
	KeyLenMax        = 1024                    // bytes of UTF-8
	UserMetaLenMax   = 2 << 10                 // bytes of user metadata, names and values
	PartNumberMax    = 10000                   // parts are 1..PartNumberMax
	PartSizeMin      = 5 << 20                 // bytes, but for the last part
	PutSizeMax       = 5 << 30                 // bytes of one put or part
	ObjectSizeMax    = 50 << 40                // bytes of a completed object
	ListLimitMax     = 1000                    // entries of one page
	DeleteManyMax    = 1000                    // keys of one DeleteMany
	StripeSizeMax    = 8 << 20                 // bytes of data in one stripe
	DefaultSmallSize = 60000                   // bytes under which a policy uses replicas
	_                = uint(chunk.SizeMax - 1) // stripes must fit chunks
)

// Policy says how a bucket's bytes are protected.
type Policy struct {
	Small     chunk.Protection // values below SmallSize bytes
	Large     chunk.Protection // the rest
	SmallSize int64            // bytes
}

// Bucket is a bucket's record.
type Bucket struct {
	ID      BucketID
	Name    BucketName
	Owner   AccountID
	Region  string
	Created time.Time
}

// Metadata is what a writer says of an object and readers get back unchanged.
type Metadata struct {
	// System holds the standard headers, by canonical name: Content-Type,
	// Cache-Control, Content-Disposition, Content-Encoding, Content-Language, Expires.
	System map[string]string
	// User holds the user's metadata, names in lower case without a prefix.
	User map[string]string
}

// Checksum is a checksum of an object or a part, as given by the protocol:
// stored and returned, never interpreted here.
type Checksum struct {
	Algorithm string // "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", ...
	Type      string // "FULL_OBJECT" or "COMPOSITE"
	Value     string // base64, with a "-N" suffix when composite
}

// Object describes an object, without its bytes.
type Object struct {
	Key       string
	Size      int64 // bytes
	ETag      string
	Modified  time.Time // to the millisecond, from the database's clock
	Class     string    // storage class; "" is STANDARD
	Meta      Metadata
	Checksums []Checksum
	Parts     []Part // in order; one for a simple put, none for an empty object
}

// Part is one contiguous run of an object's bytes.
type Part struct {
	Number    int // 1.. as uploaded; 0 for a simple put
	Size      int64
	ETag      string
	Checksums []Checksum
	Modified  time.Time
	Extent    Extent
}

// Extent tells where a part's bytes lie: stripes of StripeSize bytes (the last
// one shorter) under keys derived from Base.
type Extent struct {
	Base       Base
	Size       int64
	StripeSize int64
	Protection chunk.Protection
}

// Base is the name of a part's stripes: stripe n has the key StripeKey(n).
// Volume is the session of the connector that wrote them, Sequence counts
// inside the session, so a base is never reused.
type Base struct {
	Volume   uint32
	Sequence uint64 // 40 bits
}

// WriteCondition guards a write; the zero value always holds. It is evaluated
// in the same command as the write.
type WriteCondition struct {
	IfMatch     []string // ETags; "*" means "exists"
	IfNoneMatch []string // ETags; "*" means "does not exist"
}

// Seal is what the protocol computed over a body.
type Seal struct {
	ETag      string
	Checksums []Checksum
}

// Body is the bytes of a put.
type Body struct {
	Reader io.Reader
	Size   int64 // declared length in bytes; -1 if not known beforehand
	// Seal is called once, after Reader has answered io.EOF and Size bytes (when
	// declared) were read, before anything is committed. An error aborts the put
	// with that very error and leaves nothing behind.
	Seal func() (Seal, error)
}

// PutRequest stores an object.
type PutRequest struct {
	Bucket BucketName
	Key    string
	Body   Body
	Meta   Metadata
	Class  string
	If     WriteCondition
}

// ListRequest asks for a page of a bucket.
type ListRequest struct {
	Bucket    BucketName
	Prefix    string
	Delimiter string
	After     string // only keys (and common prefixes) greater than this; "" from the start
	Limit     int    // entries, 0..ListLimitMax
}

// ListPage is one page: Objects and Prefixes each in order, together at most Limit.
type ListPage struct {
	Bucket    Bucket
	Objects   []Object // without Parts
	Prefixes  []string // common prefixes, delimiter included
	Truncated bool
	Next      string // After for the next page when Truncated
}

// UploadRequest starts a multipart upload.
type UploadRequest struct {
	Bucket            BucketName
	Key               string
	Meta              Metadata
	Class             string
	ChecksumAlgorithm string // "" if none was asked for
	ChecksumType      string
}

// Upload is a multipart upload under way.
type Upload struct {
	ID                UploadID
	Key               string
	Started           time.Time
	Class             string
	Meta              Metadata
	ChecksumAlgorithm string
	ChecksumType      string
}

// PartRequest stores one part of an upload; the same number again replaces it.
type PartRequest struct {
	Bucket BucketName
	Key    string
	Upload UploadID
	Number int
	Body   Body
}

// PartsPage is one page of an upload's parts.
type PartsPage struct {
	Upload    Upload
	Parts     []Part
	Truncated bool
	Next      int // part number to continue after
}

// UploadsRequest asks for a page of a bucket's uploads, ordered by key, then by start.
type UploadsRequest struct {
	Bucket      BucketName
	Prefix      string
	Delimiter   string
	AfterKey    string
	AfterUpload UploadID
	Limit       int
}

// UploadsPage is one page of uploads.
type UploadsPage struct {
	Uploads    []Upload
	Prefixes   []string
	Truncated  bool
	NextKey    string
	NextUpload UploadID
}

// CompletedPart names a part in the list that completes an upload.
type CompletedPart struct {
	Number int
	ETag   string
}

// CompleteRequest turns parts into an object.
type CompleteRequest struct {
	Bucket BucketName
	Key    string
	Upload UploadID
	Parts  []CompletedPart // ascending numbers
	If     WriteCondition
	// Seal computes the object's ETag and checksums from the stored parts, in
	// the order of Parts. An error aborts the completion and changes nothing.
	Seal func(u Upload, parts []Part) (Seal, error)
}

// DeleteItem is one key of DeleteMany.
type DeleteItem struct {
	Key     string
	IfMatch string // "" for none
}

// DeleteResult answers one DeleteItem: nil Err also when the key was not there.
type DeleteResult struct {
	Key string
	Err error
}
