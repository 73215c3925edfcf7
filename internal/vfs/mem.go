package vfs

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

// memCapacity is what a Mem reports as its size until SetUsage, in bytes.
const memCapacity = 1 << 40

// Mem is a file system in memory that can crash. It does not limit what it
// holds: use a Faulty to run out of space.
type Mem struct{ *pebblevfs.MemFS }

// NewMem returns an empty memory file system.
func NewMem() *Mem {
	m := &Mem{pebblevfs.NewCrashableMem()}
	m.SetUsage(memCapacity, memCapacity)
	return m
}

// SetUsage sets what GetDiskUsage reports, in bytes.
func (m *Mem) SetUsage(total, avail uint64) {
	m.TestingSetDiskUsage(pebblevfs.DiskUsage{TotalBytes: total, AvailBytes: avail, UsedBytes: total - avail})
}

// CrashClone returns a copy as a power cut at this moment could leave it. Synced
// data is there; each 4 KiB block and directory entry that is not synced is there
// with a probability of keepPercent. m is not affected.
func (m *Mem) CrashClone(seed uint64, keepPercent int) *Mem {
	c := &Mem{m.MemFS.CrashClone(pebblevfs.CrashCloneCfg{
		UnsyncedDataPercent: keepPercent,
		RNG:                 rand.New(rand.NewPCG(seed, uint64(keepPercent))),
	})}
	c.SetUsage(memCapacity, memCapacity)
	return c
}

// OpenFile implements FS.
func (m *Mem) OpenFile(name string, create bool) (File, error) {
	_, err := m.Stat(name)
	switch {
	case err == nil && create:
		return nil, &os.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case err != nil && !create:
		return nil, err
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	f, err := m.OpenReadWrite(name, "torc")
	if err != nil {
		return nil, err
	}
	return memFile{f}, nil
}

type memFile struct{ pebblevfs.File }

func (f memFile) ReadVec(bufs [][]byte, off int64) (int64, error)  { return readVec(f, bufs, off) }
func (f memFile) WriteVec(bufs [][]byte, off int64) (int64, error) { return writeVec(f, bufs, off) }

func (f memFile) Preallocate(size int64) error {
	old, err := f.Size()
	if err != nil || old >= size {
		return err
	}
	return writeZeros(f, old, size-old)
}

// Zero implements File; like a real punch hole it never grows the file.
func (f memFile) Zero(off, n int64) error {
	size, err := f.Size()
	if err != nil || off >= size {
		return err
	}
	return writeZeros(f, off, min(n, size-off))
}

func (f memFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

var _ io.ReaderAt = memFile{}
