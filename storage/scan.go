package storage

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"torc/internal/errs"
	"torc/internal/vfs"
)

// batchBytesLimit is more than any batch takes: a batch is closed once it has
// reached BatchBytesMax.
const batchBytesLimit = BatchBytesMax + recordMax + batchAlign

// A scan reads scanChunk bytes at once, or only scanHead after a jump: among large
// records it looks at the heads alone.
const (
	scanChunk = 256 << 10
	scanHead  = 8 << 10
)

// scannedBatch is a group commit found in a container.
type scannedBatch struct {
	container  uint32
	seq        uint64
	start, end int64 // end is aligned: where the next batch may begin
	records    []scannedRecord
	whole      bool // all its records have valid headers and owners
}

type scannedRecord struct {
	header
	owner []byte
}

// scanner finds the batches of one container, in order, whatever lies between.
type scanner struct {
	file      vfs.File
	salt      uint32
	container uint32
	size      int64

	buf    []byte // bytes of the file from bufOff
	bufOff int64

	next *scannedRecord // read but not yet given out
	pos  int64          // where to look for the next record
}

func newScanner(file vfs.File, salt, container uint32, size, from int64) *scanner {
	return &scanner{file: file, salt: salt, container: container, size: size, pos: from}
}

// batch returns the next batch, or nil at the end of the container. An error is
// one of reading, not of what was read.
func (s *scanner) batch() (*scannedBatch, error) {
	first, err := s.record()
	if err != nil || first == nil {
		return nil, err
	}
	b := &scannedBatch{container: s.container, seq: first.seq, start: first.pos, records: []scannedRecord{*first},
		whole: first.flags&flagFirst != 0 && first.pos%batchAlign == 0}
	for {
		last := &b.records[len(b.records)-1]
		end := last.pos + last.recordLen()
		r, err := s.record()
		if err != nil {
			return nil, err
		}
		if r == nil || r.seq != b.seq {
			s.next = r
			b.whole = b.whole && last.left == 0
			b.end = align(end, batchAlign)
			return b, nil
		}
		b.whole = b.whole && r.pos == end && r.left == last.left-1
		b.records = append(b.records, *r)
	}
}

// record returns the next valid record at or after s.pos, nil if there is none
// within the reach of one batch.
func (s *scanner) record() (*scannedRecord, error) {
	if r := s.next; r != nil {
		s.next = nil
		return r, nil
	}
	limit := min(s.size, s.pos+batchBytesLimit)
	for s.pos+recordHeaderSize <= limit {
		b, err := s.bytes(s.pos, recordHeaderSize)
		if err != nil {
			return nil, err
		}
		if len(b) < recordHeaderSize {
			return nil, nil
		}
		if binary.LittleEndian.Uint32(b) == recordMagic {
			r, err := s.parse(b)
			if err != nil {
				return nil, err
			}
			if r != nil {
				s.pos += r.recordLen()
				return r, nil
			}
		}
		s.skip(limit)
	}
	return nil, nil
}

// skip moves to the next place in the buffer where a record may begin.
func (s *scanner) skip(limit int64) {
	s.pos += recordAlign
	if s.pos < s.bufOff {
		return // parse has read on, beyond this place
	}
	end := min(limit, s.bufOff+int64(len(s.buf)))
	for s.pos+recordAlign <= end && binary.LittleEndian.Uint32(s.buf[s.pos-s.bufOff:]) != recordMagic {
		s.pos += recordAlign
	}
}

// parse returns the record at s.pos, whose header bytes are b; nil if it is not one.
func (s *scanner) parse(b []byte) (*scannedRecord, error) {
	h, err := decodeHeader(b, s.salt, s.container, s.pos)
	if err != nil {
		return nil, nil //nolint:nilerr // not a record: the scan goes on
	}
	if h.pos+h.recordLen() > s.size {
		return nil, nil
	}
	r := &scannedRecord{header: h}
	meta, err := s.bytes(s.pos+recordHeaderSize, h.metaLen())
	if err != nil {
		return nil, err
	}
	if len(meta) != h.metaLen() || crc32.Checksum(meta, castagnoli) != h.metaSum {
		return nil, nil
	}
	if h.ownerLen > 0 {
		r.owner = append([]byte(nil), meta[:h.ownerLen]...)
	}
	return r, nil
}

// bytes returns n bytes at off, fewer at the end of the file, valid until the next call.
func (s *scanner) bytes(off int64, n int) ([]byte, error) {
	if lo := off - s.bufOff; lo >= 0 && lo+int64(n) <= int64(len(s.buf)) {
		return s.buf[lo : lo+int64(n)], nil
	}
	if s.buf == nil {
		s.buf = make([]byte, scanChunk)
	}
	s.buf = s.buf[:cap(s.buf)]
	if off > s.bufOff+scanChunk && s.bufOff > 0 {
		s.buf = s.buf[:max(scanHead, n)]
	}
	got, err := s.file.ReadAt(s.buf, off)
	s.buf, s.bufOff = s.buf[:got], off
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errs.E("storage.scan", errs.Unavailable, "container %d at %d: %w", s.container, off, err)
	}
	return s.buf[:min(n, got)], nil
}

// verify reads the data of b's records and reports whether all of it is as written.
func (s *scanner) verify(b *scannedBatch) (bool, error) {
	for i := range b.records {
		r := &b.records[i]
		var sum uint32
		off, left := r.pos+r.dataOff(), r.size
		for left > 0 {
			p, err := s.bytes(off, int(min(left, scanChunk)))
			if err != nil || len(p) == 0 {
				return false, err
			}
			sum = crc32.Update(sum, castagnoli, p)
			off += int64(len(p))
			left -= int64(len(p))
		}
		if sum != r.sum {
			return false, nil
		}
	}
	return true, nil
}
