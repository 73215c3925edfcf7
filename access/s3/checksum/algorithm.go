package checksum

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"hash/crc32"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/minio/crc64nvme"
	"github.com/zeebo/xxh3"
)

// Algorithm is one of S3's checksum algorithms; None is no algorithm.
type Algorithm uint8

// The algorithms.
const (
	None Algorithm = iota
	CRC32
	CRC32C
	CRC64NVME
	SHA1
	SHA256
	SHA512
	MD5
	XXHASH64
	XXHASH3
	XXHASH128
	algorithmEnd
)

// Algorithms returns all of them, None excluded.
func Algorithms() []Algorithm {
	all := make([]Algorithm, 0, algorithmEnd-1)
	for a := None + 1; a < algorithmEnd; a++ {
		all = append(all, a)
	}
	return all
}

// String returns AWS's name, "CRC32C"; "" for None.
func (a Algorithm) String() string {
	switch a {
	case CRC32:
		return "CRC32"
	case CRC32C:
		return "CRC32C"
	case CRC64NVME:
		return "CRC64NVME"
	case SHA1:
		return "SHA1"
	case SHA256:
		return "SHA256"
	case SHA512:
		return "SHA512"
	case MD5:
		return "MD5"
	case XXHASH64:
		return "XXHASH64"
	case XXHASH3:
		return "XXHASH3"
	case XXHASH128:
		return "XXHASH128"
	}
	return ""
}

// Header returns the header that carries a value, "x-amz-checksum-crc32c".
func (a Algorithm) Header() string {
	return headerPrefix + strings.ToLower(a.String())
}

// Size is the length of a digest in bytes.
func (a Algorithm) Size() int {
	switch a {
	case CRC32, CRC32C:
		return 4
	case CRC64NVME, XXHASH64, XXHASH3:
		return 8
	case MD5, XXHASH128:
		return 16
	case SHA1:
		return sha1.Size
	case SHA256:
		return sha256.Size
	case SHA512:
		return sha512.Size
	}
	return 0
}

// ParseAlgorithm reads AWS's name, in any case.
func ParseAlgorithm(name string) (Algorithm, bool) {
	for a := None + 1; a < algorithmEnd; a++ {
		if strings.EqualFold(a.String(), name) {
			return a, true
		}
	}
	return None, false
}

// New returns a hash whose Sum is the digest, integers in big-endian order as
// S3 encodes them; nil for None.
func (a Algorithm) New() hash.Hash {
	switch a {
	case CRC32:
		return crc32.NewIEEE()
	case CRC32C:
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case CRC64NVME:
		return crc64nvme.New()
	case SHA1:
		return sha1.New()
	case SHA256:
		return sha256.New()
	case SHA512:
		return sha512.New()
	case MD5:
		return md5.New()
	case XXHASH64:
		return xxhash.New()
	case XXHASH3:
		return xxh3.New()
	case XXHASH128:
		return xxh128{xxh3.New()}
	}
	return nil
}

// xxh128 shows the 128-bit sum of an xxh3 state.
type xxh128 struct{ *xxh3.Hasher }

// Size is 16.
func (xxh128) Size() int { return 16 }

// Sum appends the big-endian sum.
func (h xxh128) Sum(b []byte) []byte {
	sum := h.Sum128().Bytes()
	return append(b, sum[:]...)
}

// Type says what a value was computed over.
type Type uint8

// The types.
const (
	FullObject Type = iota
	Composite
)

// String returns AWS's name.
func (t Type) String() string {
	if t == Composite {
		return "COMPOSITE"
	}
	return "FULL_OBJECT"
}

// ParseType reads AWS's name.
func ParseType(name string) (Type, bool) {
	switch name {
	case "COMPOSITE":
		return Composite, true
	case "FULL_OBJECT":
		return FullObject, true
	}
	return 0, false
}

// DefaultType is the type of a multipart upload that names none.
func (a Algorithm) DefaultType() Type {
	if a == CRC64NVME {
		return FullObject
	}
	return Composite
}

// Allows reports whether a multipart object can have a checksum of this type:
// only CRCs can be combined into one of the full object, and CRC64NVME is
// never composite.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
func (a Algorithm) Allows(t Type) bool {
	switch a {
	case CRC32, CRC32C:
		return true
	case CRC64NVME:
		return t == FullObject
	case None:
		return false
	}
	return t == Composite
}
