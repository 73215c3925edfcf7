package storage

// Combining checksums: the CRC32C of a concatenation follows from those of its
// parts, so data is read once for block checksums and whole checksum alike.
// Appending n zero bytes to a message multiplies its remainder by x^(8n) modulo
// the polynomial (M. Adler, zlib crc32_combine); products are taken in the
// bit-reflected field, as CRC32C is.

const crcPoly = 0x82f63b78 // Castagnoli, reflected

// crcCombine returns the checksum of a followed by b, where a and b are the
// checksums of the parts and bLen the length of the second in bytes.
func crcCombine(a, b uint32, bLen int64) uint32 {
	if bLen == blockSize {
		return crcMul(a, crcBlockShift) ^ b
	}
	return crcMul(a, crcShift(bLen)) ^ b
}

// crcBlockShift is crcShift(blockSize); a test holds it to that.
const crcBlockShift = 0xfe7740e6

// crcShift returns x^(8n) modulo the polynomial.
func crcShift(n int64) uint32 {
	p := uint32(1) << 31  // x^0
	sq := uint32(1) << 23 // x^8
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			p = crcMul(p, sq)
		}
		sq = crcMul(sq, sq)
	}
	return p
}

// crcMul multiplies two polynomials modulo the polynomial.
func crcMul(a, b uint32) uint32 {
	var p uint32
	for m := uint32(1) << 31; a != 0; m >>= 1 {
		if a&m != 0 {
			p ^= b
			a &^= m
		}
		b = b>>1 ^ crcPoly&-(b&1)
	}
	return p
}
