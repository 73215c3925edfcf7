package storage

import (
	"context"
	"strings"
	"sync"
	"testing"

	"torc/chunk"
	"torc/internal/errs"
	"torc/internal/vfs"
)

// A write over a tombstone whose container is being freed must not bring the
// container back into the index: the next open would miss its file.
func TestWriteWhileContainerIsFreed(t *testing.T) {
	d, cfg, _, faults, ev := faultyDisk(t)
	d.cfg.TombstoneKeep = 1
	ctx := context.Background()
	w := testWrite(1, 100, 7)
	if _, err := d.Delete(ctx, w.Key, 6); err != nil { // lies in container 1, hides nothing
		t.Fatal(err)
	}
	fillContainer(t, d, 3)
	fillContainer(t, d, 3)
	var once sync.Once
	var put error
	faults.Before = func(op vfs.Op, name string) {
		if op == vfs.OpRemove && strings.HasSuffix(name, containerName(1)) {
			once.Do(func() { _, put = d.Put(ctx, w) })
		}
	}
	if err := d.Reclaim().Step(ctx); err != nil || put != nil {
		t.Fatal(err, put)
	}
	if d.container(1) != nil {
		t.Fatal("container 1 is not freed")
	}
	mustHave(t, d, w)
	mustClose(t, d)
	d = mustOpen(t, cfg)
	mustHave(t, d, w)
	if n := count[Corruption](ev); n != 0 {
		t.Errorf("%d corruptions reported\n%s", n, ev)
	}
}

// A full disk from every container of which less than half is deleted serves again,
// and takes no more than its reserve to get there.
func TestFullDiskPacks(t *testing.T) {
	mem := vfs.NewMem()
	cfg := testConfig(mem)
	cfg.Capacity = 6 << 20 // 24 containers, three of them reserve
	cfg.TombstoneKeep = 1
	mustCreate(t, cfg)
	d := mustOpen(t, cfg)
	ctx := context.Background()
	var err error
	n := 0
	for ; err == nil && n < 1000; n++ {
		_, err = d.Put(ctx, testWrite(n, 20_000, 1))
	}
	wantKind(t, err, errs.Full, "in reserve")
	n--
	for i := 0; i < n; i += 5 { // 40 %, evenly
		for j := range 2 {
			if _, err := d.Delete(ctx, testKey(i+j), 2); err != nil {
				t.Fatal(err)
			}
		}
	}
	most := int64(0) // bytes used at any time
	d.cfg.Events = func(Event) { most = max(most, d.measureSpace().used) }
	for range 3 {
		if err := d.Reclaim().Step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	d.mu.Lock()
	d.spaceAt = d.spaceAt.Add(-2 * spaceCheckInterval) // as if measured long ago
	d.mu.Unlock()
	mustPut(t, d, testWrite(5000, 20_000, 3))
	if st := d.Status(); st.State != OK || st.Used > cfg.Capacity*3/4 {
		t.Errorf("Status %+v", st)
	}
	if most > cfg.Capacity {
		t.Errorf("relocation took %d of %d bytes", most, cfg.Capacity)
	}
	for i := range n {
		if i%5 >= 2 {
			mustHave(t, d, testWrite(i, 20_000, 1))
		}
	}
}

// Deletes without end on a full disk leave relocation the space that it needs to make
// an end of it.
func TestDeletesLeaveRoomForRelocation(t *testing.T) {
	mem := vfs.NewMem()
	cfg := testConfig(mem)
	cfg.Capacity = 6 << 20
	cfg.TombstoneKeep = 1
	mustCreate(t, cfg)
	d := mustOpen(t, cfg)
	ctx := context.Background()
	var err error
	n := 0
	for ; err == nil && n < 1000; n++ {
		_, err = d.Put(ctx, testWrite(n, 20_000, 1))
	}
	wantKind(t, err, errs.Full, "in reserve")
	err = nil
	for i := 0; err == nil; i++ {
		if i == 1000 {
			t.Fatal("deletes are never refused")
		}
		_, err = d.Delete(ctx, testKey(i*7%(n-1)), chunk.Version(2+i))
	}
	wantKind(t, err, errs.Full, "in reserve")
	if used := d.measureSpace().used; used > cfg.Capacity-cfg.ContainerSize {
		t.Fatalf("deletes left %d bytes", cfg.Capacity-used)
	}
	if err := d.Reclaim().Step(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Delete(ctx, testKey(0), 5000); err != nil {
		t.Errorf("Delete after a pass of reclaim: %v", err)
	}
}
