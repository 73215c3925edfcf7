package storage

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"torc/chunk"
	"torc/internal/errs"
	"torc/internal/vfs"
)

func testKey(i int) chunk.Key {
	return chunk.NewKey(chunk.Payload{Object: uint64(i), Service: chunk.ServiceS3}, chunk.Replicas(1))
}

// testWrite is chunk i of size bytes at version v.
func testWrite(i, size int, v chunk.Version) chunk.Write {
	w := chunk.Write{Key: testKey(i), Version: v, Data: make([]byte, size)}
	fill(w.Data, uint64(i)<<32+uint64(v))
	w.GroupSize, w.Owner = int64(size), []byte("owner")
	return w
}

func mustPut(t testing.TB, d *Disk, w chunk.Write) {
	t.Helper()
	if _, err := d.Put(context.Background(), w); err != nil {
		t.Fatal(err)
	}
}

func mustHave(t testing.TB, d *Disk, w chunk.Write) {
	t.Helper()
	c, err := d.Get(context.Background(), w.Key, chunk.All)
	if err != nil {
		t.Fatalf("Get %s: %v", w.Key, err)
	}
	defer c.Release()
	if !bytes.Equal(c.Data, w.Data) || c.Version != w.Version || !bytes.Equal(c.Owner, w.Owner) {
		t.Fatalf("Get %s: wrong bytes or attributes: %+v", w.Key, c.Info)
	}
}

func wantKind(t testing.TB, err error, kind errs.Kind, words string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), words) {
		t.Fatalf("error %v; want kind %v with %q", err, kind, words)
	}
}

func TestOpenRefuses(t *testing.T) {
	mem := vfs.NewMem()
	cfg := testConfig(mem)
	_, err := Open(cfg)
	wantKind(t, err, errs.NotFound, "is the disk mounted?")
	if err := mem.MkdirAll("/d", 0o755); err != nil {
		t.Fatal(err)
	}
	_, err = Open(cfg)
	wantKind(t, err, errs.NotFound, "holds no torc-disk file")
	id, err := Create(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Create(cfg)
	wantKind(t, err, errs.Exists, "holds a disk already")

	other := cfg
	other.Cluster = "c2"
	_, err = Open(other)
	wantKind(t, err, errs.Invalid, `belongs to cluster "c1", not to "c2"`)
	other = cfg
	other.Server = "s2"
	_, err = Open(other)
	wantKind(t, err, errs.Invalid, `belongs to server "s1", not to "s2"`)
	other = cfg
	other.Disk = DiskID{1}
	_, err = Open(other)
	wantKind(t, err, errs.Invalid, "were disks swapped?")
	other = cfg
	other.ContainerSize = 1
	_, err = Open(other)
	wantKind(t, err, errs.Invalid, "container size")

	cfg.Disk = id
	d := mustOpen(t, cfg)
	_, err = Open(cfg)
	wantKind(t, err, errs.Unavailable, "in use by another process")
	if d.ID() != id {
		t.Fatalf("disk %s, created %s", d.ID(), id)
	}
}

func TestSuperblockDamage(t *testing.T) {
	sb := superblock{Format: FormatVersion, Cluster: "c1", Server: "s1", Disk: DiskID{7}}
	good := sb.encode()
	if got, err := decodeSuperblock(good); err != nil || got.Disk != sb.Disk || got.Cluster != "c1" || got.Server != "s1" {
		t.Fatalf("decode: %+v, %v", got, err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if _, err := decodeSuperblock(bad); !errors.Is(err, errs.Corrupt) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
	}
	mem := vfs.NewMem()
	cfg := testConfig(mem)
	mustCreate(t, cfg)
	sb.Format = 99
	if err := vfs.WriteFileAtomic(mem, "/d/torc-disk", sb.encode()); err != nil {
		t.Fatal(err)
	}
	_, err := Open(cfg)
	wantKind(t, err, errs.Unsupported, "disk format 99, this program reads 1")
}

func TestContainerOfAnotherDisk(t *testing.T) {
	mem := vfs.NewMem()
	a, b := testConfig(mem), testConfig(mem)
	b.Dir = "/e"
	for _, cfg := range []Config{a, b} {
		mustCreate(t, cfg)
		d := mustOpen(t, cfg)
		mustPut(t, d, testWrite(1, 100, 1))
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := mem.Rename("/e/00000001.ctr", "/d/00000002.ctr"); err != nil {
		t.Fatal(err)
	}
	_, err := Open(a)
	wantKind(t, err, errs.Invalid, "is container 1 of disk")
}

func TestRealFileSystem(t *testing.T) {
	cfg := Config{Dir: filepath.Join(t.TempDir(), "disk"), Cluster: "c1", Server: "s1", ContainerSize: 1 << 20}
	id, err := Create(cfg)
	if err != nil {
		t.Fatal(err)
	}
	d := mustOpen(t, cfg)
	var ws []chunk.Write
	for i, size := range []int{0, 1, 4096, 65536, 65537, 700_000, 2 << 20, chunk.SizeMax} {
		w := testWrite(i, size, 5)
		mustPut(t, d, w)
		ws = append(ws, w)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Get(context.Background(), ws[0].Key, chunk.All); !errors.Is(err, errs.Closed) {
		t.Errorf("Get after Close: %v", err)
	}
	if _, err := d.Put(context.Background(), testWrite(1, 1, 9)); !errors.Is(err, errs.Closed) {
		t.Errorf("Put after Close: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(cfg.Dir, "index")); err != nil {
		t.Fatal(err)
	}
	cfg.Disk = id
	d = mustOpen(t, cfg)
	for _, w := range ws {
		mustHave(t, d, w)
	}
	st := d.Status()
	if st.Chunks != int64(len(ws)) || st.State != OK || st.Capacity == 0 || st.Available == 0 || st.Used == 0 {
		t.Errorf("Status: %+v", st)
	}
}

// An idle disk must cost next to nothing: development runs 18 of them.
func TestEmptyDiskIsSmall(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), Cluster: "c1", Server: "s1"}
	mustCreate(t, cfg)
	d := mustOpen(t, cfg)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	var total int64
	err := filepath.Walk(cfg.Dir, func(_ string, st os.FileInfo, err error) error {
		if err == nil {
			total += st.Size()
		}
		return err
	})
	if err != nil || total > 1<<20 {
		t.Fatalf("an empty disk takes %d bytes, %v", total, err)
	}
}

// A directory given for indexes may be shared, by disks and by strangers: a disk uses
// and empties only a part of its own.
func TestSharedIndexDir(t *testing.T) {
	mem := vfs.NewMem()
	if err := mem.MkdirAll("/flash", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := vfs.WriteFileAtomic(mem, "/flash/precious", []byte("x")); err != nil {
		t.Fatal(err)
	}
	var disks []*Disk
	for i, dir := range []string{"/d", "/e"} {
		cfg := testConfig(mem)
		cfg.Dir, cfg.IndexDir = dir, "/flash"
		mustCreate(t, cfg)
		d := mustOpen(t, cfg)
		mustPut(t, d, testWrite(i, 100, 1))
		disks = append(disks, d)
	}
	for i, d := range disks {
		mustHave(t, d, testWrite(i, 100, 1))
		if infos, err := d.List(context.Background(), nil, 10); err != nil || len(infos) != 1 {
			t.Errorf("disk %d lists %d chunks, %v; want its own", i, len(infos), err)
		}
		mustClose(t, d)
	}
	if _, err := mem.Stat("/flash/precious"); err != nil {
		t.Errorf("a stranger's file: %v", err)
	}
}
