package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"sync"

	"torc/chunk"
	"torc/internal/errs"
	"torc/internal/vfs"
)

const (
	containerMagic      = 0x5254434352524f54 // "TORRCCTR" little-endian
	containerHeaderSize = 4096
	containerSuffix     = ".ctr"
)

// container is one container file. The committer and recovery alone write it;
// readers hold a reference while they read.
type container struct {
	num     uint32
	size    int64  // of the file
	after   uint64 // the last batch before the container's first; what its header says
	missing bool   // the index knows it but its file cannot be read

	// Guarded by Disk.mu.
	stat      containerStat
	forgotten bool // being freed: the index must not have it again

	mu   sync.Mutex
	file vfs.File // nil once freed and unreferenced
	refs int
	gone bool // close when refs drops to 0
}

// containerStat is what the index keeps about a container.
type containerStat struct {
	end         int64  // where the next batch goes; all before it is durable
	seq         uint64 // of the last batch
	sealed      bool   // takes no more writes
	quarantined bool   // sealed because a write or sync failed
	liveBytes   int64  // of records that the index points to
	livePuts    int64
	liveData    int64         // bytes of data in live puts
	tombstones  int64         // live ones
	youngest    chunk.Version // of the tombstones that were ever alive in it
}

func containerName(num uint32) string { return fmt.Sprintf("%08d%s", num, containerSuffix) }

func parseContainerName(name string) (uint32, bool) {
	digits, ok := strings.CutSuffix(name, containerSuffix)
	n, err := strconv.ParseUint(digits, 10, 32)
	if !ok || err != nil || n == 0 || containerName(uint32(n)) != name {
		return 0, false
	}
	return uint32(n), true
}

// encodeContainerHeader fills the first sector of a container.
func encodeContainerHeader(id superblock, num uint32, size int64, after uint64) []byte {
	b := make([]byte, containerHeaderSize)
	le := binary.LittleEndian
	le.PutUint64(b[0:], containerMagic)
	b[8] = FormatVersion
	copy(b[16:32], id.Disk[:])
	le.PutUint32(b[32:], num)
	le.PutUint64(b[40:], uint64(size))
	le.PutUint64(b[48:], after)
	le.PutUint32(b[containerHeaderSize-4:], crc32.Checksum(b[:containerHeaderSize-4], castagnoli))
	return b
}

func checkContainerHeader(b []byte, id superblock, num uint32) error {
	const op = "storage.checkContainerHeader"
	le := binary.LittleEndian
	switch {
	case len(b) < containerHeaderSize || le.Uint64(b) != containerMagic,
		le.Uint32(b[containerHeaderSize-4:]) != crc32.Checksum(b[:containerHeaderSize-4], castagnoli):
		return errs.E(op, errs.Corrupt, "container %d: header damaged", num)
	case b[8] != FormatVersion:
		return errs.E(op, errs.Unsupported, "container %d has format %d, this program reads %d", num, b[8], FormatVersion)
	case DiskID(b[16:32]) != id.Disk || le.Uint32(b[32:]) != num:
		return errs.E(op, errs.Invalid, "container %d: the file is container %d of disk %s", num, le.Uint32(b[32:]), DiskID(b[16:32]))
	}
	return nil
}

// createContainer makes container num durable, entry and space included; batch
// after is the last one before it.
func createContainer(cfg Config, id superblock, num uint32, size int64, after uint64) (*container, error) {
	name := cfg.FS.PathJoin(cfg.Dir, containerName(num))
	f, err := cfg.FS.OpenFile(name, true)
	if err != nil {
		return nil, err
	}
	err = f.Preallocate(size)
	if err == nil {
		_, err = f.WriteAt(encodeContainerHeader(id, num, size, after), 0)
	}
	if err == nil {
		err = f.SyncData()
	}
	if err == nil {
		err = vfs.SyncDir(cfg.FS, cfg.Dir)
	}
	if err != nil {
		// Nothing was written to it: without its file it never was.
		return nil, errors.Join(err, f.Close(), cfg.FS.Remove(name))
	}
	return &container{num: num, size: size, after: after, file: f, stat: containerStat{end: containerHeaderSize}}, nil
}

// openContainer opens an existing container and checks that it is this disk's. With
// errs.Corrupt (header damaged) it returns the container too.
func openContainer(cfg Config, id superblock, num uint32) (*container, error) {
	f, err := cfg.FS.OpenFile(cfg.FS.PathJoin(cfg.Dir, containerName(num)), false)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b := make([]byte, containerHeaderSize)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, f.Close())
	}
	c := &container{num: num, size: size, file: f, stat: containerStat{end: containerHeaderSize}}
	err = checkContainerHeader(b[:n], id, num)
	if err != nil && !errors.Is(err, errs.Corrupt) {
		return nil, errors.Join(err, f.Close())
	}
	if err == nil {
		c.after = binary.LittleEndian.Uint64(b[48:])
	}
	return c, err
}

// listContainers returns the numbers of the container files in cfg.Dir, unordered.
func listContainers(cfg Config) ([]uint32, error) {
	names, err := cfg.FS.List(cfg.Dir)
	if err != nil {
		return nil, err
	}
	var nums []uint32
	for _, n := range names {
		if num, ok := parseContainerName(n); ok {
			nums = append(nums, num)
		}
	}
	return nums, nil
}

// acquire returns the open file and keeps it open until release.
func (c *container) acquire() (vfs.File, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return nil, false
	}
	c.refs++
	return c.file, true
}

func (c *container) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refs--
	if c.gone && c.refs == 0 {
		_ = c.file.Close() // nothing unsynced is in it
	}
}

// retire closes the file once nobody reads it.
func (c *container) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return
	}
	c.gone = true
	if c.refs == 0 {
		_ = c.file.Close()
	}
}

// isNotExist reports a missing file.
func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
