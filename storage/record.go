package storage

import (
	"encoding/binary"
	"hash/crc32"

	"torc/chunk"
	"torc/internal/errs"
)

// The record layout; docs/formats/container.md draws it.
const (
	recordMagic      = 0x43455254 // "TREC" little-endian
	recordHeaderSize = 128
	recordAlign      = 8        // records of a batch follow each other at this alignment
	batchAlign       = 4096     // a batch begins on a sector that no acked batch touches
	blockSize        = 64 << 10 // data bytes a block checksum covers

	typePut       = 1
	typeTombstone = 2

	flagEncrypted = 1 << 0 // reserved: no writer sets it yet, readers refuse it
	flagRelocated = 1 << 1 // a copy made by relocation
	flagFirst     = 1 << 2 // the first record of its batch
)

// recordMax is the longest record: header, owner, checksum table, data.
const recordMax = recordHeaderSize + chunk.OwnerLenMax + 4*(chunk.SizeMax/blockSize) + chunk.SizeMax + 2*recordAlign

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the fixed part of a record.
type header struct {
	typ       uint8
	flags     uint16
	key       chunk.Key
	version   chunk.Version
	seq       uint64 // number of the batch, counted up over the disk's life
	left      uint32 // records that follow in the same batch
	container uint32
	pos       int64 // of the record in its container
	size      int64 // of the data
	groupSize int64
	ownerLen  int
	sum       uint32 // CRC32C of the data
	metaSum   uint32 // CRC32C of owner and block checksums
}

func align(n, to int64) int64 { return (n + to - 1) &^ (to - 1) }

// blocks returns how many block checksums the record stores: none when the data
// is one block, whose checksum is sum itself.
func (h *header) blocks() int {
	if h.size <= blockSize {
		return 0
	}
	return int((h.size + blockSize - 1) / blockSize)
}

func (h *header) metaLen() int { return h.ownerLen + 4*h.blocks() }

// dataOff is where the data begins, counted from the record.
func (h *header) dataOff() int64 { return align(int64(recordHeaderSize+h.metaLen()), recordAlign) }

// recordLen is the length of the whole record.
func (h *header) recordLen() int64 { return h.dataOff() + align(h.size, recordAlign) }

// salt ties headers to one disk: a header of another disk, or one planted inside
// a client's data, fails its checksum.
func (id DiskID) salt() uint32 { return crc32.Checksum(id[:], castagnoli) }

// encode writes the header into b, which has recordHeaderSize bytes.
func (h *header) encode(b []byte, salt uint32) {
	clear(b[:recordHeaderSize])
	le := binary.LittleEndian
	le.PutUint32(b[0:], recordMagic)
	b[4] = FormatVersion
	b[5] = h.typ
	le.PutUint16(b[6:], h.flags)
	copy(b[8:28], h.key[:])
	le.PutUint16(b[28:], uint16(h.ownerLen))
	le.PutUint32(b[32:], h.left)
	le.PutUint32(b[36:], h.container)
	le.PutUint64(b[40:], uint64(h.version))
	le.PutUint64(b[48:], h.seq)
	le.PutUint64(b[56:], uint64(h.pos))
	le.PutUint64(b[64:], uint64(h.size))
	le.PutUint64(b[72:], uint64(h.groupSize))
	le.PutUint32(b[80:], h.sum)
	le.PutUint32(b[84:], h.metaSum)
	// 88-123: zero, kept for an encryption key id and nonce
	le.PutUint32(b[124:], crc32.Update(salt, castagnoli, b[:124]))
}

// decodeHeader reads a header that must lie at pos of the container on the disk of
// salt. Anything that is not exactly a header written there is errs.Corrupt.
func decodeHeader(b []byte, salt, container uint32, pos int64) (header, error) {
	const op = "storage.decodeHeader"
	var h header
	le := binary.LittleEndian
	if len(b) < recordHeaderSize || le.Uint32(b) != recordMagic {
		return h, errs.E(op, errs.Corrupt, "no record")
	}
	if le.Uint32(b[124:]) != crc32.Update(salt, castagnoli, b[:124]) {
		return h, errs.E(op, errs.Corrupt, "header checksum mismatch")
	}
	h = header{
		typ: b[5], flags: le.Uint16(b[6:]), key: chunk.Key(b[8:28]), ownerLen: int(le.Uint16(b[28:])),
		left: le.Uint32(b[32:]), container: le.Uint32(b[36:]), version: chunk.Version(le.Uint64(b[40:])),
		seq: le.Uint64(b[48:]), pos: int64(le.Uint64(b[56:])), size: int64(le.Uint64(b[64:])),
		groupSize: int64(le.Uint64(b[72:])), sum: le.Uint32(b[80:]), metaSum: le.Uint32(b[84:]),
	}
	switch {
	case b[4] != FormatVersion:
		return h, errs.E(op, errs.Unsupported, "record format %d", b[4])
	case h.flags&^(flagRelocated|flagFirst) != 0:
		return h, errs.E(op, errs.Unsupported, "record flags %#x", h.flags)
	case h.container != container || h.pos != pos:
		return h, errs.E(op, errs.Corrupt, "misdirected: the record belongs at %d of container %d", h.pos, h.container)
	case h.typ != typePut && h.typ != typeTombstone,
		h.typ == typeTombstone && (h.size != 0 || h.ownerLen != 0),
		h.size < 0 || h.size > chunk.SizeMax || h.ownerLen > chunk.OwnerLenMax,
		h.groupSize < 0 || h.version == 0 || h.seq == 0 || h.left >= BatchOpsMax:
		return h, errs.E(op, errs.Corrupt, "field out of range")
	}
	return h, nil
}

// blockSums appends the block checksums of data to dst and returns it with the
// checksum of the whole.
func blockSums(dst []byte, data []byte) ([]byte, uint32) {
	if len(data) <= blockSize {
		return dst, crc32.Checksum(data, castagnoli)
	}
	var sum uint32
	for off := 0; off < len(data); off += blockSize {
		block := data[off:min(off+blockSize, len(data))]
		c := crc32.Checksum(block, castagnoli)
		dst = binary.LittleEndian.AppendUint32(dst, c)
		sum = crcCombine(sum, c, int64(len(block)))
	}
	return dst, sum
}
