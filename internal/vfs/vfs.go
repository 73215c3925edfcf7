package vfs

import (
	"io"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

// FS is a file system that Pebble and Torc's own files can share. Safe for
// concurrent use.
type FS interface {
	pebblevfs.FS
	// OpenFile opens name for positioned reads and writes. With create it must not
	// exist yet (fs.ErrExist); without, it must (fs.ErrNotExist). A created file's
	// directory entry is durable only after SyncDir.
	OpenFile(name string, create bool) (File, error)
}

// File is a file of fixed place: no cursor, all reads and writes are positioned.
// Reads may run concurrently with each other and with writes; writes and syncs
// are made by one goroutine at a time.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// ReadVec fills bufs, in order, from off. Fewer bytes than asked come with
	// io.EOF or another error.
	ReadVec(bufs [][]byte, off int64) (int64, error)
	// WriteVec writes bufs, in order, at off. It changes neither bufs nor what
	// they hold. After an error any part of it may have been written.
	WriteVec(bufs [][]byte, off int64) (int64, error)
	// SyncData makes all that was written durable (fdatasync). After an error
	// nothing may be assumed about any write since the last success, and a later
	// success does not repair it: the kernel reports a lost page once.
	SyncData() error
	// Preallocate reserves the space of [0, size) and extends the file to size;
	// what was not written reads as zeros.
	Preallocate(size int64) error
	// Zero makes [off, off+n) read as zeros, giving its space back where the file
	// system can. The size does not change.
	Zero(off, n int64) error
	// Size returns the file's length in bytes.
	Size() (int64, error)
}

// SyncDir makes the entries of directory dir durable.
func SyncDir(fs pebblevfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// WriteFileAtomic replaces name by data so that after a crash it holds the old
// content or the new, never a part. It is durable on return.
func WriteFileAtomic(fs pebblevfs.FS, name string, data []byte) error {
	tmp := name + ".tmp"
	f, err := fs.Create(tmp, "torc")
	if err != nil {
		return err
	}
	_, err = f.Write(append([]byte(nil), data...)) // Pebble's Write may scribble on its argument
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fs.Rename(tmp, name)
	}
	if err != nil {
		return err
	}
	return SyncDir(fs, fs.PathDir(name))
}

// ReadFile returns the first max bytes of name.
func ReadFile(fs pebblevfs.FS, name string, max int64) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, max))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return data, err
}

// readVec is ReadVec for files that have only ReadAt.
func readVec(f io.ReaderAt, bufs [][]byte, off int64) (int64, error) {
	var total int64
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		n, err := f.ReadAt(b, off+total)
		total += int64(n)
		if n < len(b) {
			return total, err
		}
	}
	return total, nil
}

// writeVec is WriteVec for files that have only WriteAt.
func writeVec(f io.WriterAt, bufs [][]byte, off int64) (int64, error) {
	var total int64
	for _, b := range bufs {
		n, err := f.WriteAt(b, off+total)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}
