package storage

import (
	"testing"

	"torc/chunk"
	"torc/internal/errs"
	"torc/internal/vfs"
)

// A container that cannot be read for now, for want of descriptors say, is neither
// forgotten nor taken for a freed one: what lies in it is there at the next open.
func TestUnreadableContainerIsNotForgotten(t *testing.T) {
	for _, c := range []struct {
		name, rule string
		lose       bool // the index
	}{
		{"rebuild, not opened", "open & name('*00000001.ctr') -> EIO", true},
		{"rebuild, not read", "read & name('*00000001.ctr') -> EIO", true},
		{"tail not opened", "open & name('*00000002.ctr') -> EIO", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, cfg, mem, faults, ev := faultyDisk(t)
			first := testWrite(1, 100_000, 1)
			mustPut(t, d, first)
			mustPut(t, d, testWrite(2, 100_000, 1))
			mustPut(t, d, testWrite(3, 100_000, 1)) // opens container 2
			last := testWrite(4, 100, 1)
			if c.lose {
				mustClose(t, d)
			}
			cfg2 := cfg
			if !c.lose { // crash with an index that knows container 2 and not all of it
				if err := d.ix.flush("test"); err != nil {
					t.Fatal(err)
				}
				mustPut(t, d, last)
				faults = vfs.NewFaults(1)
				cfg2.FS = vfs.Faulty(mem.CrashClone(1, 0), faults)
				mustClose(t, d)
				mustSet(t, faults, c.rule)
			} else {
				(&damaged{mem: mem}).loseIndex(t)
				mustSet(t, faults, c.rule)
			}
			if d, err := Open(cfg2); err == nil {
				mustPut(t, d, testWrite(9, 100, 1))
				mustClose(t, d)
			} else {
				wantKind(t, err, errs.Unavailable, "container")
			}
			mustSet(t, faults, "")
			d = mustOpen(t, cfg2)
			mustHave(t, d, first)
			if !c.lose {
				mustHave(t, d, last)
			}
			if n := count[Corruption](ev); n != 0 {
				t.Errorf("%d corruptions reported\n%s", n, ev)
			}
		})
	}
}

// One that the index knows whole costs its own chunks only.
func TestUnreadableSealedContainer(t *testing.T) {
	d, cfg, _, faults, _ := faultyDisk(t)
	first := testWrite(1, 100_000, 1)
	mustPut(t, d, first)
	mustPut(t, d, testWrite(2, 100_000, 1))
	third := testWrite(3, 100_000, 1)
	mustPut(t, d, third)
	mustClose(t, d)
	mustSet(t, faults, "open & name('*00000001.ctr') -> EIO")
	d = mustOpen(t, cfg)
	mustHave(t, d, third)
	if _, err := d.Get(t.Context(), first.Key, chunk.All); err == nil {
		t.Error("read from a container that cannot be opened")
	}
	mustClose(t, d)
	mustSet(t, faults, "")
	d = mustOpen(t, cfg)
	mustHave(t, d, first)
}

// A put of what is stored already is acknowledged only if it can still be read; if
// not, it is how the chunk gets well.
func TestPutAgainRepairs(t *testing.T) {
	x := newDamaged(t)
	w, e := x.ws[1], x.at[1]
	h := e.header(w.Key)
	for name, off := range map[string]int64{"header": 0, "data": h.dataOff() + 100_000} {
		x.edit(t, e.pos+off, flip, 1)
		d := mustOpen(t, x.cfg)
		mustPut(t, d, w)
		mustHave(t, d, w)
		mustPut(t, d, w)
		if n := d.count.batches.Load(); n != 1 {
			t.Errorf("%s: %d batches written, want 1", name, n)
		}
		mustClose(t, d)
		x.loseIndex(t)
		d = mustOpen(t, x.cfg)
		mustHave(t, d, w)
		e, _, _ = d.lookup("test", w.Key)
		mustClose(t, d)
	}
	// The whole container is lost.
	if err := x.mem.Remove("/d/00000001.ctr"); err != nil {
		t.Fatal(err)
	}
	d := mustOpen(t, x.cfg)
	mustPut(t, d, w)
	mustHave(t, d, w)
}
