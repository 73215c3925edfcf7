package storage

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"torc/chunk"
	"torc/chunk/chunktest"
	"torc/internal/errs"
	"torc/internal/vfs"
)

// testConfig is a small disk "/d" on fs that logs nothing.
func testConfig(fs vfs.FS) Config {
	return Config{FS: fs, Dir: "/d", Cluster: "c1", Server: "s1", ContainerSize: 256 << 10, MemtableBytes: 256 << 10}
}

func mustCreate(t testing.TB, cfg Config) {
	t.Helper()
	if _, err := Create(cfg); err != nil {
		t.Fatal(err)
	}
}

func mustOpen(t testing.TB, cfg Config) *Disk {
	t.Helper()
	d, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil && !errors.Is(err, errs.Closed) {
			t.Errorf("Close: %v", err)
		}
	})
	return d
}

// events collects what a disk tells.
type events struct {
	mu   sync.Mutex
	list []Event
}

func (e *events) add(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, ev)
}

// count returns how many events of E's type came.
func count[E Event](e *events) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, ev := range e.list {
		if _, ok := ev.(E); ok {
			n++
		}
	}
	return n
}

func (e *events) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := ""
	for _, ev := range e.list {
		s += fmt.Sprintf("  %T %v\n", ev, ev)
	}
	return s
}

func TestConformanceMem(t *testing.T) {
	chunktest.Run(t, func(t *testing.T) chunk.ListStore {
		cfg := testConfig(vfs.NewMem())
		mustCreate(t, cfg)
		return mustOpen(t, cfg)
	})
}

func TestConformanceOS(t *testing.T) {
	chunktest.Run(t, func(t *testing.T) chunk.ListStore {
		cfg := testConfig(vfs.OS())
		cfg.Dir = t.TempDir()
		mustCreate(t, cfg)
		return mustOpen(t, cfg)
	})
}

func TestConformanceReopen(t *testing.T) {
	chunktest.RunReopen(t, func(t *testing.T, dir string) (chunk.ListStore, func()) {
		cfg := testConfig(vfs.OS())
		cfg.Dir = dir
		if _, err := Create(cfg); err != nil && !errors.Is(err, errs.Exists) {
			t.Fatal(err)
		}
		d := mustOpen(t, cfg)
		return d, func() {
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
