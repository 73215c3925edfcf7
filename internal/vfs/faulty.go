package vfs

import (
	"math/rand/v2"
	"os"
	"strings"
	"sync"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// Faults decides what goes wrong. Rules are tried in order; the first that fires
// decides. Safe for concurrent use.
type Faults struct {
	// Before, if not nil, is called before every operation, by whatever goroutine
	// makes it. Set it before the file system is used; a test takes its crash
	// clone here, between any two operations.
	Before func(op Op, name string)

	mu    sync.Mutex
	rules []*Rule
	rng   *rand.Rand
	fired int
}

// NewFaults returns no faults yet; seed drives prob() conditions.
func NewFaults(seed uint64) *Faults {
	return &Faults{rng: rand.New(rand.NewPCG(seed, 1))}
}

// Set replaces the rules by those of text, one a line; blank lines and lines that
// begin with '#' are skipped. Set("") heals everything.
func (f *Faults) Set(text string) error {
	var rules []*Rule
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		r, err := ParseRule(line)
		if err != nil {
			return err
		}
		rules = append(rules, r)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = rules
	return nil
}

// Fired returns how many times any rule has fired.
func (f *Faults) Fired() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fired
}

// check returns the rule that fires on this call, or nil.
func (f *Faults) check(op Op, name string, bytes int64) *Rule {
	if f.Before != nil {
		f.Before(op, name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rules {
		if r.applies(op, name, bytes, f.rng.Float64()) {
			f.fired++
			return r
		}
	}
	return nil
}

func (f *Faults) fail(op Op, name string) error {
	if r := f.check(op, name, 0); r != nil && r.err != nil {
		return &os.PathError{Op: string(op), Path: name, Err: r.err}
	}
	return nil
}

// String implements errorfs.Injector.
func (f *Faults) String() string { return "torc faults" }

// MaybeError implements errorfs.Injector for the files that Pebble opens.
func (f *Faults) MaybeError(op errorfs.Op) error {
	if o := opOf(op.Kind); o != "" {
		return f.fail(o, op.Path)
	}
	return nil
}

func opOf(k errorfs.OpKind) Op {
	switch k {
	case errorfs.OpFileRead, errorfs.OpFileReadAt:
		return OpRead
	case errorfs.OpFileWrite, errorfs.OpFileWriteAt:
		return OpWrite
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		return OpSync
	case errorfs.OpCreate, errorfs.OpReuseForWrite, errorfs.OpLink:
		return OpCreate
	case errorfs.OpOpen, errorfs.OpOpenDir:
		return OpOpen
	case errorfs.OpRemove, errorfs.OpRemoveAll:
		return OpRemove
	case errorfs.OpRename:
		return OpRename
	case errorfs.OpList:
		return OpList
	case errorfs.OpMkdirAll:
		return OpMkdir
	case errorfs.OpLock:
		return OpLock
	case errorfs.OpFilePreallocate:
		return OpPrealloc
	case errorfs.OpGetDiskUsage:
		return OpUsage
	}
	return ""
}

// Faulty returns fs with faults.
func Faulty(fs FS, faults *Faults) FS {
	return &faultyFS{FS: errorfs.Wrap(fs, faults), inner: fs, faults: faults}
}

type faultyFS struct {
	pebblevfs.FS
	inner  FS
	faults *Faults
}

func (f *faultyFS) OpenFile(name string, create bool) (File, error) {
	op := OpOpen
	if create {
		op = OpCreate
	}
	if err := f.faults.fail(op, name); err != nil {
		return nil, err
	}
	file, err := f.inner.OpenFile(name, create)
	if err != nil {
		return nil, err
	}
	return &faultyFile{File: file, name: name, faults: f.faults}, nil
}

type faultyFile struct {
	File
	name   string
	faults *Faults
}

func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.faults.fail(OpRead, f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *faultyFile) ReadVec(bufs [][]byte, off int64) (int64, error) {
	if err := f.faults.fail(OpRead, f.name); err != nil {
		return 0, err
	}
	return f.File.ReadVec(bufs, off)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.WriteVec([][]byte{p}, off)
	return int(n), err
}

func (f *faultyFile) WriteVec(bufs [][]byte, off int64) (int64, error) {
	var size int64
	for _, b := range bufs {
		size += int64(len(b))
	}
	r := f.faults.check(OpWrite, f.name, size)
	if r == nil || r.err == nil {
		return f.File.WriteVec(bufs, off)
	}
	var n int64
	if r.torn > 0 {
		n, _ = f.File.WriteVec(cut(bufs, r.torn), off)
	}
	return n, &os.PathError{Op: "write", Path: f.name, Err: r.err}
}

// cut returns the first n bytes of bufs.
func cut(bufs [][]byte, n int64) [][]byte {
	var out [][]byte
	for _, b := range bufs {
		b = b[:min(int64(len(b)), n)]
		n -= int64(len(b))
		out = append(out, b)
	}
	return out
}

func (f *faultyFile) SyncData() error {
	switch r := f.faults.check(OpSync, f.name, 0); {
	case r == nil:
		return f.File.SyncData()
	case r.lie:
		return nil
	default:
		return &os.PathError{Op: "sync", Path: f.name, Err: r.err}
	}
}

func (f *faultyFile) Preallocate(size int64) error {
	if err := f.faults.fail(OpPrealloc, f.name); err != nil {
		return err
	}
	return f.File.Preallocate(size)
}

func (f *faultyFile) Zero(off, n int64) error {
	if err := f.faults.fail(OpZero, f.name); err != nil {
		return err
	}
	return f.File.Zero(off, n)
}
