package storage

import (
	"context"
	"strings"
	"sync"
	"testing"

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
