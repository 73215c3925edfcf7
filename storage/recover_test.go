package storage

import (
	"context"
	"errors"
	"testing"

	"torc/chunk"
	"torc/internal/errs"
	"torc/internal/vfs"
)

// faultyDisk is a disk whose medium can be told to fail.
func faultyDisk(t *testing.T) (*Disk, Config, *vfs.Mem, *vfs.Faults, *events) {
	t.Helper()
	mem, faults, ev := vfs.NewMem(), vfs.NewFaults(1), &events{}
	cfg := testConfig(vfs.Faulty(mem, faults))
	cfg.Events = ev.add
	mustCreate(t, cfg)
	return mustOpen(t, cfg), cfg, mem, faults, ev
}

func mustSet(t *testing.T, f *vfs.Faults, rules string) {
	t.Helper()
	if err := f.Set(rules); err != nil {
		t.Fatal(err)
	}
}

func mustClose(t *testing.T, d *Disk) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// One failed sync: not acknowledged from the bad container, but from a new one.
func TestFailedSyncQuarantines(t *testing.T) {
	for _, rule := range []string{
		"sync & name('*.ctr') & times(1) -> EIO",
		"write & name('*.ctr') & times(1) -> EIO",
		"write & name('*.ctr') & times(1) -> torn(5000)",
	} {
		d, cfg, mem, faults, ev := faultyDisk(t)
		before := testWrite(1, 9000, 1)
		mustPut(t, d, before)
		mustSet(t, faults, rule)
		w := testWrite(2, 9000, 2)
		mustPut(t, d, w)
		if faults.Fired() != 1 || count[Quarantined](ev) != 1 || d.Status().State != Warn {
			t.Fatalf("%s: fired %d, status %+v\n%s", rule, faults.Fired(), d.Status(), ev)
		}
		e, _, _ := d.lookup("test", w.Key)
		if e.container != 2 {
			t.Errorf("%s: written to container %d, want 2", rule, e.container)
		}
		// It survives the power cut, with and without the index.
		for _, lose := range []bool{false, true} {
			cfg := cfg
			clone := mem.CrashClone(1, 0)
			cfg.FS = clone
			if lose {
				if err := clone.RemoveAll("/d/index"); err != nil {
					t.Fatal(err)
				}
			}
			d2 := mustOpen(t, cfg)
			mustHave(t, d2, before)
			mustHave(t, d2, w)
			mustClose(t, d2)
		}
		if n := count[Corruption](ev); n != 0 {
			t.Errorf("%s: %d corruptions reported", rule, n)
		}
		mustClose(t, d)
	}
}

// Two failures: nobody knows, nothing more is written, reads go on, a reopen heals.
func TestSecondFailureStopsWrites(t *testing.T) {
	d, cfg, _, faults, _ := faultyDisk(t)
	before := testWrite(1, 100, 1)
	mustPut(t, d, before)
	mustSet(t, faults, "sync & name('*.ctr') -> EIO")
	_, err := d.Put(context.Background(), testWrite(2, 100, 2))
	if !errors.Is(err, errs.Unknown) && !errors.Is(err, errs.Unavailable) {
		t.Fatalf("Put: %v", err)
	}
	_, err = d.Put(context.Background(), testWrite(3, 100, 2))
	wantKind(t, err, errs.Unavailable, "takes no writes")
	if st := d.Status(); st.State != StoreErr || st.LastErr == nil || st.Reason == "" {
		t.Errorf("Status %+v", st)
	}
	mustHave(t, d, before)
	mustClose(t, d)
	mustSet(t, faults, "")
	d = mustOpen(t, cfg)
	mustHave(t, d, before)
	mustPut(t, d, testWrite(3, 100, 2))
}

// A batch whose sync failed may be complete in the kernel's cache: once recovery has
// shown it to anyone it must be durable, although the kernel believes it clean.
func TestRecoveredBatchIsMadeDurable(t *testing.T) {
	d, cfg, mem, faults, _ := faultyDisk(t)
	mustPut(t, d, testWrite(1, 100, 1))
	mustSet(t, faults, "sync & name('*.ctr') -> EIO\nzero -> EIO")
	w := testWrite(2, 100, 2)
	if _, err := d.Put(context.Background(), w); err == nil {
		t.Fatal("acknowledged without sync")
	}
	mustClose(t, d)
	mustSet(t, faults, "")
	(&damaged{mem: mem}).loseIndex(t) // which knows that the batch failed
	d = mustOpen(t, cfg)              // the same machine: its cache is intact
	mustHave(t, d, w)
	cfg.FS = mem.CrashClone(1, 0)
	mustHave(t, mustOpen(t, cfg), w)
}

// The remains of a torn batch must not join a later batch of the same number.
func TestTornBatchLeavesNothing(t *testing.T) {
	mem, ev := vfs.NewMem(), &events{}
	cfg := testConfig(mem)
	cfg.Events = ev.add
	mustCreate(t, cfg)
	d := mustOpen(t, cfg)
	mustPut(t, d, testWrite(0, 100, 1))
	var ops []*pending
	for i := 1; i <= 4; i++ {
		w := testWrite(i, 4096-recordHeaderSize, 1) // the second record begins on a sector
		o := &pending{name: "test", k: w.Key, data: w.Data, outcome: newOutcome(), e: entry{version: 1, size: int64(len(w.Data))}}
		o.meta, o.e.sum = blockSums(nil, w.Data)
		ops = append(ops, o)
	}
	d.commitBatch(ops)
	for _, o := range ops {
		if err := <-o.done; err != nil {
			t.Fatal(err)
		}
	}
	first, _, _ := d.lookup("test", ops[0].k)
	mustClose(t, d)
	x := &damaged{mem: mem}
	x.edit(t, first.pos, flip, 1)
	x.loseIndex(t)
	d = mustOpen(t, cfg)
	if count[TornBatch](ev) != 1 {
		t.Fatalf("no torn batch:\n%s", ev)
	}
	w := testWrite(9, 50, 3)
	mustPut(t, d, w)
	mustClose(t, d)
	x.loseIndex(t)
	d = mustOpen(t, cfg)
	mustHave(t, d, w)
	if st := d.Status(); st.Chunks != 2 || count[Corruption](ev) != 0 {
		t.Errorf("%d chunks, want 2:\n%s", st.Chunks, ev)
	}
}

// fillContainer writes until the disk goes on to the next container.
func fillContainer(t *testing.T, d *Disk, key int) {
	t.Helper()
	num := d.Status().Containers
	for v := chunk.Version(1000 + 100*d.seq); d.Status().Containers == num; v++ {
		mustPut(t, d, testWrite(key, 60_000, v))
	}
}

// A tombstone outlives the container it lies in while an older record of its key
// could come back, and goes with it when none can.
func TestTombstoneOutlivesWhatItHides(t *testing.T) {
	mem := vfs.NewMem()
	cfg := testConfig(mem)
	cfg.TombstoneKeep = 1
	mustCreate(t, cfg)
	d := mustOpen(t, cfg)
	ctx := context.Background()
	victim := testWrite(1, 100, 5)
	mustPut(t, d, victim)
	keep := testWrite(2, 180_000, 5)
	mustPut(t, d, keep) // container 1 stays mostly alive
	fillContainer(t, d, 3)
	if _, err := d.Delete(ctx, victim.Key, 6); err != nil { // the tombstone lies in container 2
		t.Fatal(err)
	}
	fillContainer(t, d, 3)
	fillContainer(t, d, 3)
	for range 3 {
		if err := d.Reclaim().Step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if d.container(1) == nil || d.container(2) != nil {
		t.Fatal("want container 1 kept and container 2 freed")
	}
	mustClose(t, d)
	(&damaged{mem: mem}).loseIndex(t)
	d = mustOpen(t, cfg)
	if info, err := d.Stat(ctx, victim.Key); err != nil || !info.Deleted {
		t.Fatalf("deleted chunk after a rebuild: %+v, %v", info, err)
	}
	mustHave(t, d, keep)

	if _, err := d.Delete(ctx, keep.Key, 9); err != nil { // now container 1 may go
		t.Fatal(err)
	}
	for range 8 {
		fillContainer(t, d, 3)
		if err := d.Reclaim().Step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Stat(ctx, victim.Key); !errors.Is(err, errs.NotFound) || d.container(1) != nil {
		t.Fatalf("the tombstone is kept for ever: %v", err)
	}
}

// Below the reserve puts are refused, deletes are not, and service resumes.
func TestReserve(t *testing.T) {
	mem := vfs.NewMem()
	cfg := testConfig(mem)
	cfg.Capacity = 5 << 18 // five containers, three of them reserve
	cfg.TombstoneKeep = 1
	mustCreate(t, cfg)
	d := mustOpen(t, cfg)
	ctx := context.Background()
	var err error
	n := 0
	for ; err == nil && n < 100; n++ {
		_, err = d.Put(ctx, testWrite(n, 50_000, 1))
	}
	wantKind(t, err, errs.Full, "in reserve")
	if st := d.Status(); st.State != Full || st.Available > cfg.ContainerSize {
		t.Fatalf("Status %+v", st)
	}
	mustHave(t, d, testWrite(0, 50_000, 1))
	for i := range n {
		if _, err := d.Delete(ctx, testKey(i), 2); err != nil {
			t.Fatalf("Delete on a full disk: %v", err)
		}
	}
	for range 3 {
		if err := d.Reclaim().Step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	d.mu.Lock()
	d.spaceAt = d.spaceAt.Add(-2 * spaceCheckInterval) // as if measured long ago
	d.mu.Unlock()
	mustPut(t, d, testWrite(500, 50_000, 3))
	if st := d.Status(); st.State != OK {
		t.Fatalf("Status %+v", st)
	}
}

// A write whose caller gives up before the committer takes it never happens.
func TestCanceledWriteIsWithdrawn(t *testing.T) {
	d := &Disk{queue: make(chan *pending, 1), quit: make(chan struct{}), ended: make(chan struct{})} // no committer
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error)
	go func() {
		_, err := d.Put(ctx, testWrite(2, 100, 1))
		result <- err
	}()
	o := <-d.queue
	cancel()
	if err := <-result; !errors.Is(err, errs.Canceled) {
		t.Fatalf("Put: %v", err)
	}
	if ops := d.gather(o); len(ops) != 0 {
		t.Errorf("the committer takes %d withdrawn writes", len(ops))
	}
	close(d.ended) // Close has overtaken a queued write
	if _, err := d.Put(context.Background(), testWrite(2, 100, 1)); !errors.Is(err, errs.Closed) {
		t.Errorf("Put while closing: %v", err)
	}
}

// A failing index device stops writes, never lies, and is rebuilt by a reopen.
func TestIndexDeviceFails(t *testing.T) {
	d, cfg, _, faults, ev := faultyDisk(t)
	w := testWrite(1, 3000, 1)
	mustPut(t, d, w)
	mustSet(t, faults, "sync & name('*.sst') -> EIO\nwrite & name('*.sst') -> EIO\ncreate & name('*.sst') -> EIO")
	acked := []chunk.Write{w}
	for i := 2; i < 20_000; i++ { // until a memtable has to be flushed
		w := testWrite(i, 10, 1)
		w.Owner = make([]byte, chunk.OwnerLenMax)
		if _, err := d.Put(context.Background(), w); err != nil {
			if !errors.Is(err, errs.Unavailable) && !errors.Is(err, errs.Unknown) {
				t.Fatal(err)
			}
			break
		}
		acked = append(acked, w)
	}
	if st := d.Status(); st.State != StoreErr {
		t.Fatalf("Status %+v", st)
	}
	if err := d.Close(); err == nil {
		t.Error("Close says nothing of the index that could not be flushed")
	}
	mustSet(t, faults, "")
	d = mustOpen(t, cfg)
	for _, w := range acked {
		mustHave(t, d, w)
	}
	if n := count[Corruption](ev); n != 0 {
		t.Errorf("%d corruptions reported", n)
	}
}

// Without space for anything puts and deletes fail with Full, and nothing else breaks.
func TestNoSpaceAtAll(t *testing.T) {
	d, _, _, faults, ev := faultyDisk(t)
	w := testWrite(1, 3000, 1)
	mustPut(t, d, w)
	mustSet(t, faults, "prealloc -> ENOSPC")
	big := testWrite(2, 300_000, 1) // needs a container of its own
	_, err := d.Put(context.Background(), big)
	wantKind(t, err, errs.Full, "new container")
	mustHave(t, d, w)
	mustSet(t, faults, "")
	mustPut(t, d, big)
	mustHave(t, d, big)
	if n := count[Quarantined](ev); n != 0 || d.Status().State != OK {
		t.Errorf("%d containers quarantined, status %+v", n, d.Status())
	}
}
