package storage

import (
	"context"
	"errors"
	"testing"

	"torc/chunk"
	"torc/internal/errs"
	"torc/internal/vfs"
)

// damaged is a closed disk with three chunks in one container, and where they lie.
type damaged struct {
	mem *vfs.Mem
	cfg Config
	ev  *events
	ws  []chunk.Write
	at  []entry
}

func newDamaged(t *testing.T) *damaged {
	t.Helper()
	x := &damaged{mem: vfs.NewMem(), ev: &events{}}
	x.cfg = testConfig(x.mem)
	x.cfg.ContainerSize = 1 << 20
	x.cfg.Events = x.ev.add
	mustCreate(t, x.cfg)
	d := mustOpen(t, x.cfg)
	for i, size := range []int{4096, 200_000, 5000} {
		w := testWrite(i, size, chunk.Version(10+i))
		mustPut(t, d, w)
		e, _, err := d.lookup("test", w.Key)
		if err != nil {
			t.Fatal(err)
		}
		x.ws, x.at = append(x.ws, w), append(x.at, e)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return x
}

// edit changes bytes of the container behind the disk's back.
func (x *damaged) edit(t *testing.T, off int64, change func(b []byte), n int) {
	t.Helper()
	f, err := x.mem.OpenFile("/d/00000001.ctr", false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := f.ReadAt(b, off); err != nil {
		t.Fatal(err)
	}
	change(b)
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
}

func flip(b []byte) { b[0] ^= 0x10 }

func (x *damaged) loseIndex(t *testing.T) {
	t.Helper()
	if err := x.mem.RemoveAll("/d/index"); err != nil {
		t.Fatal(err)
	}
}

// Every bit of a record matters: a flip anywhere in it is an error when it is read,
// never other bytes, and leaves the other chunks alone.
func TestBitFlipsAreDetectedOnRead(t *testing.T) {
	x := newDamaged(t)
	e := x.at[1]
	h := e.header(x.ws[1].Key)
	spots := []int64{h.dataOff(), h.dataOff() + 70_000, h.dataOff() + h.size - 1}
	for off := int64(0); off < recordHeaderSize+int64(h.metaLen()); off++ {
		spots = append(spots, off)
	}
	d := mustOpen(t, x.cfg)
	for _, off := range spots {
		x.edit(t, e.pos+off, flip, 1)
		_, err := d.Get(context.Background(), x.ws[1].Key, chunk.All)
		if !errors.Is(err, errs.Corrupt) {
			t.Errorf("flip at %d: %v", off, err)
		}
		x.edit(t, e.pos+off, flip, 1)
	}
	mustHave(t, d, x.ws[0])
	mustHave(t, d, x.ws[1])
	mustHave(t, d, x.ws[2])
	if n := count[Corruption](x.ev); n != len(spots) {
		t.Errorf("%d corruptions reported, %d made", n, len(spots))
	}
	if st := d.Status(); st.State != Warn || st.Corrupt != int64(len(spots)) {
		t.Errorf("Status %+v", st)
	}
}

// A ranged read verifies the blocks it returns, no more.
func TestRangeReadsOnlyItsBlocks(t *testing.T) {
	x := newDamaged(t)
	e := x.at[1]
	h := e.header(x.ws[1].Key)
	x.edit(t, e.pos+h.dataOff()+blockSize+5, flip, 1)
	d := mustOpen(t, x.cfg)
	for _, c := range []struct {
		r  chunk.Range
		ok bool
	}{
		{chunk.Range{Off: 0, Len: blockSize}, true},
		{chunk.Range{Off: 0, Len: blockSize + 1}, false},
		{chunk.Range{Off: blockSize, Len: 1}, false},
		{chunk.Range{Off: 2*blockSize - 1, Len: 10}, false},
		{chunk.Range{Off: 2 * blockSize, Len: -1}, true},
	} {
		got, err := d.Get(context.Background(), x.ws[1].Key, c.r)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, errs.Corrupt) {
			t.Errorf("range %+v: %v", c.r, err)
		}
		got.Release()
	}
}

// A good record of another place, or an older content of this place, is not taken
// for what belongs there.
func TestMisdirectedAndStaleRecords(t *testing.T) {
	x := newDamaged(t)
	grab := func(e entry, n int) []byte {
		b := make([]byte, n)
		x.edit(t, e.pos, func(have []byte) { copy(b, have) }, n)
		return b
	}
	first := grab(x.at[0], 4300)
	x.edit(t, x.at[2].pos, func(b []byte) { copy(b, first) }, 4300)
	d := mustOpen(t, x.cfg)
	_, err := d.Get(context.Background(), x.ws[2].Key, chunk.All)
	wantKind(t, err, errs.Corrupt, "misdirected")
	mustHave(t, d, x.ws[0])
}

// With the index gone, damage in the middle is reported and costs the damaged
// records only.
func TestRebuildOverDamage(t *testing.T) {
	for name, c := range map[string]struct {
		chunk int
		off   int64
		keeps []int
		loses []int
		note  int // corruptions at Open
	}{
		"header of the first":  {0, 8, []int{1, 2}, []int{0}, 1},
		"header of the second": {1, 40, []int{0, 2}, []int{1}, 1},
		"owner of the second":  {1, recordHeaderSize, []int{0, 2}, []int{1}, 1},
		"container header":     {0, -4000, []int{0, 1, 2}, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			x := newDamaged(t)
			x.edit(t, x.at[c.chunk].pos+c.off, flip, 1)
			x.loseIndex(t)
			d := mustOpen(t, x.cfg)
			for _, i := range c.keeps {
				mustHave(t, d, x.ws[i])
			}
			for _, i := range c.loses {
				if _, err := d.Stat(context.Background(), x.ws[i].Key); !errors.Is(err, errs.NotFound) {
					t.Errorf("chunk %d: %v", i, err)
				}
			}
			if n := count[Corruption](x.ev); n != c.note {
				t.Errorf("%d corruptions reported, want %d:\n%s", n, c.note, x.ev)
			}
		})
	}
}

// Damage in the data of an old record is found when it is read, after a rebuild too.
func TestRebuildKeepsChecksums(t *testing.T) {
	x := newDamaged(t)
	e := x.at[1]
	h := e.header(x.ws[1].Key)
	x.edit(t, e.pos+h.dataOff()+h.size-1, flip, 1)
	x.loseIndex(t)
	d := mustOpen(t, x.cfg)
	_, err := d.Get(context.Background(), x.ws[1].Key, chunk.All)
	wantKind(t, err, errs.Corrupt, "data damaged")
}

// A torn last batch is dropped quietly while the index does not know it; what the
// index knows is corruption instead.
func TestTornTail(t *testing.T) {
	x := newDamaged(t)
	x.edit(t, x.at[2].pos+4200, flip, 1)
	d := mustOpen(t, x.cfg)
	_, err := d.Get(context.Background(), x.ws[2].Key, chunk.All)
	wantKind(t, err, errs.Corrupt, "data damaged")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	x.ev.list = nil
	x.loseIndex(t)
	d = mustOpen(t, x.cfg)
	if n, c := count[TornBatch](x.ev), count[Corruption](x.ev); n != 1 || c != 0 {
		t.Fatalf("%d torn batches, %d corruptions:\n%s", n, c, x.ev)
	}
	mustHave(t, d, x.ws[1])
	mustPut(t, d, x.ws[2]) // into the place of the torn one
	if e, _, _ := d.lookup("test", x.ws[2].Key); e.pos != x.at[2].pos || e.seq != x.at[2].seq {
		t.Errorf("rewritten at %d seq %d, was at %d seq %d", e.pos, e.seq, x.at[2].pos, x.at[2].seq)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	x.loseIndex(t)
	d = mustOpen(t, x.cfg)
	for _, w := range x.ws {
		mustHave(t, d, w)
	}
}

// A batch that vanished (a lost write) is noticed through the sequence.
func TestLostBatch(t *testing.T) {
	x := newDamaged(t)
	h := x.at[1].header(x.ws[1].Key)
	x.edit(t, x.at[1].pos, func(b []byte) { clear(b) }, int(h.recordLen()))
	x.loseIndex(t)
	d := mustOpen(t, x.cfg)
	if n := count[Corruption](x.ev); n != 1 {
		t.Fatalf("%d corruptions:\n%s", n, x.ev)
	}
	mustHave(t, d, x.ws[0])
	mustHave(t, d, x.ws[2])
}

func TestMissingContainer(t *testing.T) {
	x := newDamaged(t)
	if err := x.mem.Remove("/d/00000001.ctr"); err != nil {
		t.Fatal(err)
	}
	d := mustOpen(t, x.cfg)
	_, err := d.Get(context.Background(), x.ws[0].Key, chunk.All)
	wantKind(t, err, errs.Corrupt, "container is missing")
	w := testWrite(9, 100, 99)
	mustPut(t, d, w)
	mustHave(t, d, w)
	if err := d.Reclaim().Step(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = mustOpen(t, x.cfg)
	mustHave(t, d, w)
}

// The index is not believed when it is damaged, stale or another disk's.
func TestIndexIsRebuilt(t *testing.T) {
	copyDir := func(t *testing.T, mem *vfs.Mem, from, to string) {
		t.Helper()
		if err := mem.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
		if err := mem.MkdirAll(to, 0o755); err != nil {
			t.Fatal(err)
		}
		names, err := mem.List(from)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			b, err := vfs.ReadFile(mem, from+"/"+n, 1<<30)
			if err == nil {
				err = vfs.WriteFileAtomic(mem, to+"/"+n, b)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, damage := range map[string]func(t *testing.T, x *damaged){
		"missing": func(t *testing.T, x *damaged) { x.loseIndex(t) },
		"stale copy": func(t *testing.T, x *damaged) {
			copyDir(t, x.mem, "/d/index", "/old")
			d := mustOpen(t, x.cfg)
			x.ws[0] = testWrite(0, 300, 77)
			mustPut(t, d, x.ws[0])
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			copyDir(t, x.mem, "/old", "/d/index")
		},
		"of another disk": func(t *testing.T, x *damaged) {
			y := newDamaged(t)
			cfg := y.cfg
			cfg.FS, cfg.Dir, cfg.Events = x.mem, "/other", nil
			mustCreate(t, cfg)
			if err := mustOpen(t, cfg).Close(); err != nil {
				t.Fatal(err)
			}
			copyDir(t, x.mem, "/other/index", "/d/index")
		},
		"epoch lost": func(t *testing.T, x *damaged) {
			if err := x.mem.Remove("/d/" + epochName); err != nil {
				t.Fatal(err)
			}
		},
		"garbage": func(t *testing.T, x *damaged) {
			names, err := x.mem.List("/d/index")
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range names {
				if err := vfs.WriteFileAtomic(x.mem, "/d/index/"+n, []byte("garbage")); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newDamaged(t)
			damage(t, x)
			x.ev.list = nil
			d := mustOpen(t, x.cfg)
			for _, w := range x.ws {
				mustHave(t, d, w)
			}
			rebuilt := false
			for _, e := range x.ev.list {
				if r, ok := e.(Recovered); ok {
					rebuilt = rebuilt || r.Rebuilt && r.Why != ""
				}
			}
			if !rebuilt {
				t.Errorf("not rebuilt:\n%s", x.ev)
			}
		})
	}
}
