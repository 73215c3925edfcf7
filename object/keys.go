package object

import (
	"encoding/binary"
	"encoding/hex"

	"torc/chunk"
	"torc/internal/codec"
	"torc/internal/errs"
	"torc/meta"
)

// Plain tables, by first byte. docs/formats/records.md is the register of all
// packages' first bytes.
const (
	tableBucket  = 'b' // b | name -> Bucket
	tableOwner   = 'B' // B | owner | 0x00 | name -> Bucket
	tableObject  = 'o' // o | bucket id, 8 bytes big-endian | key -> objectRecord
	tableSession = 's' // s | session id, 4 bytes big-endian -> sessionRecord
	tableCounter = 'S' // S -> the last session id given out
)

// Local tables, whose anchor is the object's plain key, so that they stay in
// its range whatever the splits.
const (
	localUpload  = 'u' // upload id -> uploadRecord
	localPart    = 'p' // upload id | part number, 2 bytes big-endian -> Part
	localOutcome = 'c' // upload id -> outcomeRecord
	localPurge   = 'q' // base, 12 bytes -> purgeRecord
	localDebt    = 'd' // base, 12 bytes -> debtRecord
)

const bucketPrefixLen = 9 // bytes of an object's plain key before the key itself

func bucketKey(name BucketName) []byte { return append([]byte{tableBucket}, name...) }

func ownerPrefix(owner AccountID) []byte {
	k := append([]byte{tableOwner}, owner...)
	return append(k, 0)
}

func ownerKey(owner AccountID, name BucketName) []byte { return append(ownerPrefix(owner), name...) }

func objectKey(b BucketID, key string) []byte {
	k := make([]byte, 0, bucketPrefixLen+len(key))
	k = binary.BigEndian.AppendUint64(append(k, tableObject), uint64(b))
	return append(k, key...)
}

func sessionKey(id uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{tableSession}, id)
}

func uploadKey(anchor []byte, id UploadID) []byte {
	return meta.LocalKey(localUpload, anchor, []byte(id))
}

func partKey(anchor []byte, id UploadID, number int) []byte {
	return meta.LocalKey(localPart, anchor, binary.BigEndian.AppendUint16([]byte(id), uint16(number)))
}

// partSpan covers an upload's parts with numbers > after.
func partSpan(anchor []byte, id UploadID, after int) meta.Span {
	return meta.Span{
		From: partKey(anchor, id, after+1),
		To:   meta.PrefixEnd(meta.LocalKey(localPart, anchor, []byte(id))),
	}
}

func outcomeKey(anchor []byte, id UploadID) []byte {
	return meta.LocalKey(localOutcome, anchor, []byte(id))
}

func baseSuffix(b Base) []byte {
	s := binary.BigEndian.AppendUint32(make([]byte, 0, 12), b.Volume)
	return binary.BigEndian.AppendUint64(s, b.Sequence)
}

func purgeKey(anchor []byte, b Base) []byte { return meta.LocalKey(localPurge, anchor, baseSuffix(b)) }

func debtKey(anchor []byte, b Base) []byte { return meta.LocalKey(localDebt, anchor, baseSuffix(b)) }

// splitAnchor returns what an object's plain key says.
func splitAnchor(anchor []byte) (BucketID, string, error) {
	if len(anchor) < bucketPrefixLen || anchor[0] != tableObject {
		return 0, "", errs.E("object: read key", errs.Corrupt, "%x is not an object's key", anchor)
	}
	return BucketID(binary.BigEndian.Uint64(anchor[1:])), string(anchor[bucketPrefixLen:]), nil
}

// Upload ids: 16 hex digits of the start's timestamp, so that they sort by
// start, and 32 random ones, so that nobody guesses them.
const (
	uploadIDLen     = 48
	uploadRandomLen = 16 // bytes
)

func validUploadID(id UploadID) bool {
	if len(id) != uploadIDLen {
		return false
	}
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func makeUploadID(started uint64, random []byte) UploadID {
	b := append(binary.BigEndian.AppendUint64(nil, started), random...)
	return UploadID(hex.EncodeToString(b))
}

// Stripe addressing: the 64-bit object id of a ring key is sequence << 24 | stripe.
const (
	stripeBits  = 24
	stripesMax  = 1 << stripeBits
	sequenceMax = 1<<40 - 1
)

// StripeKey returns the main key of stripe n under base. Panics when n or the
// base is out of range or prot invalid: extents are validated when decoded.
func StripeKey(b Base, n int64, prot chunk.Protection) chunk.Key {
	if n < 0 || n >= stripesMax || b.Sequence > sequenceMax {
		panic("object: stripe out of range")
	}
	return chunk.NewKey(chunk.Payload{
		Object: b.Sequence<<stripeBits | uint64(n), Volume: b.Volume, Service: chunk.ServiceS3,
	}, prot)
}

// BaseOf returns the base and stripe number in a key of the S3 service; ok is
// false for the keys of others.
func BaseOf(k chunk.Key) (b Base, stripe int64, ok bool) {
	p := k.Payload()
	if p.Service != chunk.ServiceS3 {
		return Base{}, 0, false
	}
	return Base{Volume: p.Volume, Sequence: p.Object >> stripeBits}, int64(p.Object & (stripesMax - 1)), true
}

// stripes returns how many stripes the extent has.
func (e Extent) stripes() int64 {
	if e.Size <= 0 || e.StripeSize <= 0 {
		return 0
	}
	return (e.Size + e.StripeSize - 1) / e.StripeSize
}

// stripeSize returns the length of stripe n in bytes.
func (e Extent) stripeSize(n int64) int64 { return min(e.StripeSize, e.Size-n*e.StripeSize) }

// Owner is the back-reference in a chunk's header: which record ought to refer
// to it. Upload and Part are set for the parts of an upload.
type Owner struct {
	Bucket BucketID
	Key    string
	Upload UploadID
	Part   int
}

func (o *Owner) code(c *coder) {
	codec.Number(c, &o.Bucket)
	codec.Text(c, &o.Key)
	codec.Text(c, &o.Upload)
	codec.Number(c, &o.Part)
}

// ParseOwner reads Attrs.Owner of a chunk this package wrote; errs.Corrupt for
// anything else.
func ParseOwner(b []byte) (Owner, error) {
	var o Owner
	if err := decode("owner", b, &o); err != nil {
		return Owner{}, err
	}
	return o, nil
}
