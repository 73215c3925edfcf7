package storage

import (
	"hash/crc32"
	"testing"

	"torc/internal/vfs"
)

// A record whose header is whole but whose owner is not, right where the scanner's
// buffer ends: reading the owner moves the buffer past the place where the search for
// the next record goes on.
func TestScanDamagedOwnerAtBufferEnd(t *testing.T) {
	mem := vfs.NewMem()
	f, err := mem.OpenFile("/c", true)
	if err != nil {
		t.Fatal(err)
	}
	const size = 4 * scanChunk
	if err := f.Preallocate(size); err != nil {
		t.Fatal(err)
	}
	put := func(pos int64, metaSum uint32) {
		h := testHeader()
		h.pos, h.container, h.ownerLen, h.size, h.metaSum = pos, 1, 100, 0, metaSum
		b := make([]byte, recordHeaderSize)
		h.encode(b, 7)
		if _, err := f.WriteAt(b, pos); err != nil {
			t.Fatal(err)
		}
	}
	damaged := int64(containerHeaderSize + scanChunk - recordHeaderSize)
	put(damaged, 1) // not the checksum of 100 zero bytes
	good := damaged + 2*recordHeaderSize
	put(good, crc32.Checksum(make([]byte, 100), castagnoli))
	r, err := newScanner(f, 7, 1, size, containerHeaderSize).record()
	if err != nil || r == nil || r.pos != good {
		t.Fatalf("found %+v, %v; want the record at %d", r, err, good)
	}
}
