package storage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"torc/chunk"
	"torc/internal/errs"
)

// Disks written by earlier versions must open for ever. testdata/v1 was written by
// the first one; TORC_GOLDEN=write makes it anew, which is right only before a
// format is released.

func goldenConfig(dir string) Config {
	return Config{Dir: dir, Cluster: "golden", Server: "s1", Disk: DiskID{0xd1, 0x5c}, ContainerSize: 64 << 10}
}

func goldenWrites() []chunk.Write {
	return []chunk.Write{testWrite(1, 0, 3), testWrite(2, 100, 4), testWrite(3, 4096, 5), testWrite(4, 70_000, 6), testWrite(5, 30, 70)}
}

func writeGolden(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	cfg := goldenConfig(dir)
	mustCreate(t, cfg)
	d := mustOpen(t, cfg)
	ctx := context.Background()
	mustPut(t, d, testWrite(5, 50, 7)) // overwritten below
	for _, w := range goldenWrites() {
		mustPut(t, d, w)
	}
	mustPut(t, d, testWrite(6, 10, 8))
	if _, err := d.Delete(ctx, testKey(6), 9); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestGoldenDisk(t *testing.T) {
	const golden = "testdata/v1"
	if os.Getenv("TORC_GOLDEN") == "write" {
		writeGolden(t, golden)
	}
	for _, index := range []bool{true, false} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(golden)); err != nil {
			t.Fatal(err)
		}
		ev := &events{}
		cfg := goldenConfig(dir)
		cfg.Events = ev.add
		if !index {
			if err := os.RemoveAll(filepath.Join(dir, "index")); err != nil {
				t.Fatal(err)
			}
		}
		d := mustOpen(t, cfg)
		for _, w := range goldenWrites() {
			mustHave(t, d, w)
		}
		info, err := d.Stat(context.Background(), testKey(6))
		if err != nil || !info.Deleted || info.Version != 9 {
			t.Errorf("tombstone: %+v, %v", info, err)
		}
		if st := d.Status(); st.Chunks != 5 || st.Tombstones != 1 || st.State != OK {
			t.Errorf("Status %+v", st)
		}
		for _, e := range ev.list {
			if r, ok := e.(Recovered); ok && r.Rebuilt == index {
				t.Errorf("index present: %v, but %v", index, r)
			}
		}
		mustPut(t, d, testWrite(7, 1000, 10))
		if _, err := d.Get(context.Background(), testKey(8), chunk.All); !errors.Is(err, errs.NotFound) {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(golden, "LOCK")); !errors.Is(err, fs.ErrNotExist) {
		t.Log("the fixture holds a lock file, which is harmless")
	}
}
