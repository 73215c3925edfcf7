package vfs

import (
	"errors"
	"io"
	"os"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// vecMax bounds the buffers of one preadv or pwritev (Linux IOV_MAX).
const vecMax = 1024

// OS returns the machine's file system.
func OS() FS { return osFS{pebblevfs.Default} }

type osFS struct{ pebblevfs.FS }

func (osFS) OpenFile(name string, create bool) (File, error) {
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE | os.O_EXCL
	}
	f, err := os.OpenFile(name, flags, 0o640)
	if err != nil {
		return nil, err
	}
	return &osFile{File: f, fd: int(f.Fd())}, nil
}

type osFile struct {
	*os.File
	fd int
}

func (f *osFile) ReadVec(bufs [][]byte, off int64) (int64, error) {
	return f.vec("preadv", unix.Preadv, bufs, off)
}

func (f *osFile) WriteVec(bufs [][]byte, off int64) (int64, error) {
	return f.vec("pwritev", unix.Pwritev, bufs, off)
}

// vec repeats call until bufs are through: the kernel may do less than asked.
func (f *osFile) vec(op string, call func(int, [][]byte, int64) (int, error), bufs [][]byte, off int64) (int64, error) {
	var total int64
	for len(bufs) > 0 {
		part := bufs[:min(len(bufs), vecMax)]
		want := 0
		for _, b := range part {
			want += len(b)
		}
		n, err := call(f.fd, part, off+total)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
			continue
		}
		if err != nil {
			return total, &os.PathError{Op: op, Path: f.Name(), Err: err}
		}
		total += int64(n)
		bufs = bufs[len(part):]
		if n == want {
			continue
		}
		if n == 0 {
			return total, io.EOF
		}
		bufs = append(rest(part, n), bufs...)
	}
	return total, nil
}

// rest returns what is left of bufs after n bytes.
func rest(bufs [][]byte, n int) [][]byte {
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	out := append([][]byte(nil), bufs...)
	out[0] = out[0][n:]
	return out
}

func (f *osFile) SyncData() error {
	if err := unix.Fdatasync(f.fd); err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

func (f *osFile) Preallocate(size int64) error {
	err := unix.Fallocate(f.fd, 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) {
		// Without fallocate the space is not reserved: a write may meet ENOSPC, which
		// the writer handles like any failed write.
		err = unix.Ftruncate(f.fd, size)
	}
	if err != nil {
		return &os.PathError{Op: "fallocate", Path: f.Name(), Err: err}
	}
	return nil
}

func (f *osFile) Zero(off, n int64) error {
	err := unix.Fallocate(f.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return writeZeros(f, off, n)
	}
	if err != nil {
		return &os.PathError{Op: "punch hole", Path: f.Name(), Err: err}
	}
	return nil
}

func (f *osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// writeZeros overwrites [off, off+n) for file systems without holes.
func writeZeros(f io.WriterAt, off, n int64) error {
	zeros := make([]byte, min(n, 1<<20))
	for n > 0 {
		part := zeros[:min(n, int64(len(zeros)))]
		if _, err := f.WriteAt(part, off); err != nil {
			return err
		}
		off += int64(len(part))
		n -= int64(len(part))
	}
	return nil
}
