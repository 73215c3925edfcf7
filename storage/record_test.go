package storage

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"torc/chunk"
	"torc/internal/errs"
)

func testHeader() header {
	return header{typ: typePut, flags: flagFirst, key: testKey(1), version: 77, seq: 9, left: 3, container: 4, pos: 8192,
		size: 200_000, groupSize: 900_000, ownerLen: 17, sum: 0xdeadbeef, metaSum: 0xcafebabe}
}

func TestHeaderRoundTrip(t *testing.T) {
	h := testHeader()
	b := make([]byte, recordHeaderSize)
	h.encode(b, 5)
	got, err := decodeHeader(b, 5, 4, 8192)
	if err != nil || got != h {
		t.Fatalf("%+v, %v; want %+v", got, err, h)
	}
	if h.blocks() != 4 || h.dataOff()%recordAlign != 0 || h.recordLen() < h.size+recordHeaderSize+17+16 {
		t.Errorf("layout: %d blocks, data at %d, length %d", h.blocks(), h.dataOff(), h.recordLen())
	}
	for bit := range 8 * recordHeaderSize {
		bad := bytes.Clone(b)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := decodeHeader(bad, 5, 4, 8192); err == nil {
			t.Errorf("bit %d flipped and not noticed", bit)
		}
	}
}

func TestHeaderRejects(t *testing.T) {
	for name, c := range map[string]struct {
		change func(h *header)
		kind   errs.Kind
	}{
		"another container":   {func(h *header) { h.container = 5 }, errs.Corrupt},
		"another place":       {func(h *header) { h.pos = 4096 }, errs.Corrupt},
		"unknown type":        {func(h *header) { h.typ = 9 }, errs.Corrupt},
		"encrypted":           {func(h *header) { h.flags |= flagEncrypted }, errs.Unsupported},
		"too large":           {func(h *header) { h.size = chunk.SizeMax + 1 }, errs.Corrupt},
		"negative":            {func(h *header) { h.size = -1 }, errs.Corrupt},
		"owner too long":      {func(h *header) { h.ownerLen = chunk.OwnerLenMax + 1 }, errs.Corrupt},
		"tombstone with data": {func(h *header) { h.typ = typeTombstone }, errs.Corrupt},
		"version 0":           {func(h *header) { h.version = 0 }, errs.Corrupt},
		"batch 0":             {func(h *header) { h.seq = 0 }, errs.Corrupt},
		"endless batch":       {func(h *header) { h.left = BatchOpsMax }, errs.Corrupt},
	} {
		h := testHeader()
		c.change(&h)
		b := make([]byte, recordHeaderSize)
		h.encode(b, 5)
		if _, err := decodeHeader(b, 5, 4, 8192); !errors.Is(err, c.kind) {
			t.Errorf("%s: %v, want %v", name, err, c.kind)
		}
	}
	h := testHeader()
	b := make([]byte, recordHeaderSize)
	h.encode(b, 5)
	if _, err := decodeHeader(b, 6, 4, 8192); !errors.Is(err, errs.Corrupt) {
		t.Errorf("header of another disk: %v", err)
	}
}

func FuzzDecodeHeader(f *testing.F) {
	h := testHeader()
	b := make([]byte, recordHeaderSize)
	h.encode(b, 5)
	f.Add(b)
	f.Add(bytes.Repeat([]byte{0x54}, recordHeaderSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHeader(b, 5, 4, 8192)
		if err != nil {
			return
		}
		again := make([]byte, recordHeaderSize)
		h.encode(again, 5)
		got, err := decodeHeader(again, 5, 4, 8192)
		if err != nil || got != h {
			t.Fatalf("%+v encodes to %+v, %v", h, got, err)
		}
		if n := h.recordLen(); n < recordHeaderSize || n > recordMax || n%recordAlign != 0 {
			t.Fatalf("record of %d bytes", n)
		}
	})
}

func FuzzDecodeEntry(f *testing.F) {
	e := entry{version: 1, container: 2, pos: 4096, seq: 3, size: 10, owner: []byte("x")}
	f.Add(e.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEntry(b)
		if err != nil {
			return
		}
		again, err := decodeEntry(e.append(nil))
		if err != nil || !bytes.Equal(again.append(nil), e.append(nil)) {
			t.Fatalf("%+v, %v; want %+v", again, err, e)
		}
	})
}

// Merging records into the index must not depend on their order: replay sees them
// in another one than the writers did.
func TestMergeIsOrderFree(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var es []entry
		for i := range 2 + rng.IntN(5) {
			es = append(es, entry{version: chunk.Version(1 + rng.IntN(4)), deleted: rng.IntN(3) == 0,
				container: uint32(1 + i/2), pos: int64(4096 * (1 + i)), seq: uint64(1 + i)})
		}
		var want string
		for range 6 {
			rng.Shuffle(len(es), func(i, j int) { es[i], es[j] = es[j], es[i] })
			got := merge(es)
			if want == "" {
				want = got
			}
			if got != want {
				t.Fatalf("%+v merges to %q or %q", es, got, want)
			}
		}
	}
}

// merge applies es to an empty transaction, as replay does.
func merge(es []entry) string {
	e := es[0]
	for _, n := range es[1:] {
		e = e.merge(n)
	}
	return string(e.append(nil))
}
