package vfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"torc/internal/errs"
)

// each runs f on every implementation, in an empty directory.
func each(t *testing.T, f func(t *testing.T, fsys FS, dir string)) {
	mem := NewMem()
	if err := mem.MkdirAll("/d", 0o755); err != nil {
		t.Fatal(err)
	}
	t.Run("os", func(t *testing.T) { f(t, OS(), t.TempDir()) })
	t.Run("mem", func(t *testing.T) { f(t, mem, "/d") })
	t.Run("faulty", func(t *testing.T) { f(t, Faulty(OS(), NewFaults(1)), t.TempDir()) })
}

func create(t *testing.T, fsys FS, name string) File {
	t.Helper()
	f, err := fsys.OpenFile(name, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestFile(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "f")
		if _, err := fsys.OpenFile(name, false); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("open of a missing file: %v", err)
		}
		f := create(t, fsys, name)
		if _, err := fsys.OpenFile(name, true); !errors.Is(err, fs.ErrExist) {
			t.Fatalf("create of an existing file: %v", err)
		}
		if err := f.Preallocate(100_000); err != nil {
			t.Fatal(err)
		}
		// More buffers than one system call takes.
		var bufs [][]byte
		var want []byte
		for i := range 3000 {
			b := bytes.Repeat([]byte{byte(i)}, i%7)
			bufs, want = append(bufs, b), append(want, b...)
		}
		if n, err := f.WriteVec(bufs, 5000); n != int64(len(want)) || err != nil {
			t.Fatalf("WriteVec: %d, %v", n, err)
		}
		if err := f.SyncData(); err != nil {
			t.Fatal(err)
		}
		a, b := make([]byte, 1000), make([]byte, len(want)-1000)
		if n, err := f.ReadVec([][]byte{a, nil, b}, 5000); n != int64(len(want)) || err != nil {
			t.Fatalf("ReadVec: %d, %v", n, err)
		}
		if !bytes.Equal(append(a, b...), want) {
			t.Fatal("read back other bytes")
		}
		if err := f.Zero(5100, 200); err != nil {
			t.Fatal(err)
		}
		copy(want[100:], make([]byte, 200))
		got := make([]byte, len(want))
		if _, err := f.ReadAt(got, 5000); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("after Zero: %v", err)
		}
		if size, err := f.Size(); size != 100_000 || err != nil {
			t.Fatalf("size %d, %v", size, err)
		}
		if n, err := f.ReadVec([][]byte{make([]byte, 10)}, 99_995); n != 5 || !errors.Is(err, io.EOF) {
			t.Errorf("read over the end: %d, %v", n, err)
		}
		if err := f.Preallocate(10); err != nil {
			t.Fatal(err)
		}
		if size, _ := f.Size(); size != 100_000 {
			t.Errorf("Preallocate shrank the file to %d", size)
		}
	})
}

func TestAtomicFile(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "a")
		for _, s := range []string{"one", "two, longer", ""} {
			if err := WriteFileAtomic(fsys, name, []byte(s)); err != nil {
				t.Fatal(err)
			}
			if b, err := ReadFile(fsys, name, 100); err != nil || string(b) != s {
				t.Fatalf("%q, %v", b, err)
			}
		}
		if names, _ := fsys.List(dir); len(names) != 1 {
			t.Errorf("left behind: %v", names)
		}
	})
}

func TestLockExcludes(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "LOCK")
		l, err := fsys.Lock(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fsys.Lock(name); err == nil {
			t.Fatal("locked twice")
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l, err = fsys.Lock(name)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	})
}

func TestCrashClone(t *testing.T) {
	mem := NewMem()
	if err := mem.MkdirAll("/d", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := SyncDir(mem, "/"); err != nil {
		t.Fatal(err)
	}
	f := create(t, mem, "/d/f")
	ones, twos := bytes.Repeat([]byte{1}, 64<<10), bytes.Repeat([]byte{2}, 64<<10)
	_, _ = f.WriteAt(ones, 0)
	if err := f.SyncData(); err != nil {
		t.Fatal(err)
	}
	if _, err := mem.CrashClone(1, 0).Stat("/d/f"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("an entry never synced survived: %v", err)
	}
	if err := SyncDir(mem, "/d"); err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteAt(twos, 0)
	for _, c := range []struct {
		keep     int
		some, no byte
	}{{0, 1, 2}, {100, 2, 1}} {
		b, err := ReadFile(mem.CrashClone(1, c.keep), "/d/f", 1<<20)
		if err != nil || bytes.IndexByte(b, c.no) >= 0 || bytes.IndexByte(b, c.some) < 0 {
			t.Errorf("keep %d%%: %v", c.keep, err)
		}
	}
	half, err := ReadFile(mem.CrashClone(7, 50), "/d/f", 1<<20)
	if err != nil || bytes.IndexByte(half, 1) < 0 || bytes.IndexByte(half, 2) < 0 {
		t.Errorf("keep 50%% kept all or nothing: %v", err)
	}
	again, _ := ReadFile(mem.CrashClone(7, 50), "/d/f", 1<<20)
	if !bytes.Equal(half, again) {
		t.Error("one seed, two outcomes")
	}
}

func TestRules(t *testing.T) {
	write := func(n int) func(f File) error {
		return func(f File) error { _, err := f.WriteAt(make([]byte, n), 0); return err }
	}
	sync := func(f File) error { return f.SyncData() }
	read := func(f File) error { _, err := f.ReadAt(make([]byte, 1), 0); return err }
	for _, c := range []struct {
		rules string
		do    []func(File) error
		want  []error
	}{
		{"sync & nth(2) -> EIO", []func(File) error{sync, sync, sync}, []error{nil, syscall.EIO, nil}},
		{"sync & times(2) -> EIO", []func(File) error{sync, sync, sync}, []error{syscall.EIO, syscall.EIO, nil}},
		{"write & after-bytes(100) -> ENOSPC", []func(File) error{write(60), write(40), write(1), sync}, []error{nil, nil, syscall.ENOSPC, nil}},
		{"read & name('*.other') -> EIO", []func(File) error{read}, []error{nil}},
		{"any & name('*.ctr') & nth(3) -> EROFS", []func(File) error{sync, read, sync}, []error{nil, nil, syscall.EROFS}},
		{"write & prob(0) -> EIO", []func(File) error{write(1)}, []error{nil}},
		{"# comment\n\nzero -> EIO\nprealloc -> EDQUOT", []func(File) error{
			func(f File) error { return f.Zero(0, 1) }, func(f File) error { return f.Preallocate(1) }}, []error{syscall.EIO, syscall.EDQUOT}},
	} {
		faults := NewFaults(1)
		f := create(t, Faulty(NewMem(), faults), "/a.ctr")
		if _, err := f.WriteAt([]byte{1}, 0); err != nil {
			t.Fatal(err)
		}
		if err := faults.Set(c.rules); err != nil {
			t.Fatal(err)
		}
		fired := 0
		for i, do := range c.do {
			if err := do(f); !errors.Is(err, c.want[i]) {
				t.Errorf("%s: call %d: %v, want %v", c.rules, i, err, c.want[i])
			}
			if c.want[i] != nil {
				fired++
			}
		}
		if faults.Fired() != fired {
			t.Errorf("%s: fired %d, want %d", c.rules, faults.Fired(), fired)
		}
	}
}

func TestTornWriteAndLyingSync(t *testing.T) {
	mem, faults := NewMem(), NewFaults(1)
	fsys := Faulty(mem, faults)
	f := create(t, fsys, "/f")
	if err := SyncDir(mem, "/"); err != nil {
		t.Fatal(err)
	}
	if err := faults.Set("write -> torn(5)"); err != nil {
		t.Fatal(err)
	}
	n, err := f.WriteVec([][]byte{[]byte("abc"), []byte("defg")}, 0)
	if n != 5 || !errors.Is(err, syscall.EIO) {
		t.Fatalf("torn write: %d, %v", n, err)
	}
	if b, _ := ReadFile(mem, "/f", 100); string(b) != "abcde" {
		t.Errorf("torn write left %q", b)
	}
	if err := faults.Set("sync -> lie"); err != nil {
		t.Fatal(err)
	}
	if err := f.SyncData(); err != nil {
		t.Fatal(err)
	}
	if b, _ := ReadFile(mem.CrashClone(1, 0), "/f", 100); len(b) != 0 {
		t.Errorf("a lying sync kept %q", b)
	}
}

// Pebble's own files obey the rules as well.
func TestRulesReachPebbleFiles(t *testing.T) {
	faults := NewFaults(1)
	fsys := Faulty(NewMem(), faults)
	if err := faults.Set("sync & name('*.sst') -> EIO\nremove -> EROFS\nlist -> EIO\nrename -> EIO"); err != nil {
		t.Fatal(err)
	}
	f, err := fsys.Create("/1.sst", "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync: %v", err)
	}
	if err := fsys.Remove("/1.sst"); !errors.Is(err, syscall.EROFS) {
		t.Errorf("remove: %v", err)
	}
	if _, err := fsys.List("/"); !errors.Is(err, syscall.EIO) {
		t.Errorf("list: %v", err)
	}
	if err := WriteFileAtomic(fsys, "/x", nil); !errors.Is(err, syscall.EIO) {
		t.Errorf("rename: %v", err)
	}
	if _, err := fsys.Stat("/1.sst"); err != nil {
		t.Errorf("stat: %v", err)
	}
}

func TestParseRuleRejects(t *testing.T) {
	for rule, words := range map[string]string{
		"sync":                     "no '->'",
		"fsync -> EIO":             "unknown operation",
		"sync & nth -> EIO":        "want word(argument)",
		"sync & nth(x) -> EIO":     "invalid syntax",
		"sync & never(1) -> EIO":   "unknown condition",
		"sync -> EPANIC":           "unknown effect",
		"sync -> torn(4)":          "want torn(bytes) on write",
		"write -> torn(-1)":        "want torn(bytes) on write",
		"write -> lie":             "only on sync",
		"write & name('[') -> EIO": "syntax error",
	} {
		if _, err := ParseRule(rule); !errors.Is(err, errs.Invalid) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", rule, err, words)
		}
	}
}
