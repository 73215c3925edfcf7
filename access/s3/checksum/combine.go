package checksum

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"strconv"
)

// Part is the checksum of one part of a multipart object.
type Part struct {
	Sum  []byte
	Size int64 // bytes
}

// Combine computes the checksum of an object from its parts, in their order:
// the hash of the digests when composite, the CRC of all the bytes when of the
// full object. The error is InvalidRequest when the algorithm does not allow
// the type, InvalidPart when a part has no sum of the right length.
func Combine(a Algorithm, t Type, parts []Part) (Value, error) {
	if !a.Allows(t) {
		return Value{}, fail(InvalidRequest, "The %s checksum type cannot be used with the %s checksum algorithm.", t, a)
	}
	for _, p := range parts {
		if len(p.Sum) != a.Size() || p.Size < 0 {
			return Value{}, fail(InvalidPart, "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.")
		}
	}
	if t == Composite {
		h := a.New()
		for _, p := range parts {
			h.Write(p.Sum)
		}
		return Value{Algorithm: a, Type: Composite, Sum: h.Sum(nil), Parts: len(parts)}, nil
	}
	return Value{Algorithm: a, Sum: combineCRC(a, parts)}, nil
}

// MultipartETag is the ETag of a multipart object, without quotes: the hex MD5
// of the parts' MD5s and "-N".
func MultipartETag(parts [][md5.Size]byte) string {
	h := md5.New()
	for i := range parts {
		h.Write(parts[i][:])
	}
	return hex.EncodeToString(h.Sum(nil)) + "-" + strconv.Itoa(len(parts))
}

func combineCRC(a Algorithm, parts []Part) []byte {
	f := fieldOf(a)
	var crc uint64 // of no bytes
	size, shift := int64(0), f.shift(0)
	for _, p := range parts {
		if p.Size != size { // parts are mostly of one size
			size, shift = p.Size, f.shift(p.Size)
		}
		crc = f.multiply(shift, crc) ^ load(p.Sum)
	}
	return store(crc, a.Size())
}

// field is GF(2)[x] modulo a CRC's polynomial, in the reflected order of bits
// that all three CRCs use: bit width-1 is x^0.
type field struct {
	width uint
	poly  uint64
}

func fieldOf(a Algorithm) field {
	switch a {
	case CRC32:
		return field{32, 0xEDB88320}
	case CRC32C:
		return field{32, 0x82F63B78}
	}
	return field{64, 0x9A6C9329AC4BC9B5} // CRC64NVME
}

// multiply returns a*b, long multiplication with reduction at each step.
func (f field) multiply(a, b uint64) (product uint64) {
	for bit := uint64(1) << (f.width - 1); bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		carry := b & 1
		b >>= 1
		if carry != 0 {
			b ^= f.poly
		}
	}
	return product
}

// shift returns x^(8n): what n bytes that follow multiply a CRC by.
func (f field) shift(n int64) uint64 {
	power := uint64(1) << (f.width - 1) // x^0
	square := power >> 8                // x^8
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			power = f.multiply(square, power)
		}
		square = f.multiply(square, square)
	}
	return power
}

func load(sum []byte) uint64 {
	if len(sum) == 4 {
		return uint64(binary.BigEndian.Uint32(sum))
	}
	return binary.BigEndian.Uint64(sum)
}

func store(crc uint64, size int) []byte {
	if size == 4 {
		return binary.BigEndian.AppendUint32(nil, uint32(crc))
	}
	return binary.BigEndian.AppendUint64(nil, crc)
}
