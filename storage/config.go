package storage

import (
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"torc/chunk"
	"torc/internal/clock"
	"torc/internal/errs"
	"torc/internal/vfs"
)

// Defaults and limits.
const (
	ContainerSizeDefault = 1 << 30 // bytes
	ContainerSizeMin     = 64 << 10
	ContainerSizeMax     = 64 << 30

	MemtableBytesDefault = 1 << 20 // of the index, a disk
	CacheBytesDefault    = 4 << 20 // of the index, a disk, when no Cache is shared

	QueueLenMax   = 1024     // writes waiting for the committer
	ReadsMax      = 64       // reads under way at once
	BatchOpsMax   = 1024     // writes in one group commit
	BatchBytesMax = 32 << 20 // bytes of records after which a group commit takes no more

	ReclaimIntervalDefault = 10 * time.Second
	TombstoneKeepDefault   = 7 * 24 * time.Hour

	flushBytesMax = 1 << 30 // bytes of records after which the index is checkpointed, so that replay stays short
)

// ClusterID names a cluster; a disk belongs to one for its whole life.
type ClusterID string

// DiskID is a disk's UUID, made by Create. The zero DiskID means "any" to Open and
// "make one" to Create.
type DiskID [16]byte

// String returns 32 hex digits.
func (id DiskID) String() string { return hex.EncodeToString(id[:]) }

// ParseDiskID reads what String returns.
func ParseDiskID(s string) (DiskID, error) {
	var id DiskID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, errs.E("storage.ParseDiskID", errs.Invalid, "%q is not 32 hex digits", s)
	}
	return DiskID(b), nil
}

func newDiskID() DiskID {
	var id DiskID
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return id
}

// Config says which disk to open and how.
type Config struct {
	FS       vfs.FS // nil: the machine's file system
	Dir      string `help:"directory of the disk: a mounted file system of its own, or any directory in development"`
	IndexDir string `help:"directory in which the disk keeps its index in a part of its own, best on flash; empty: Dir/index"`

	Cluster ClusterID      // must match the disk's
	Server  chunk.ServerID // must match the disk's
	Disk    DiskID         // must match the disk's unless zero

	ContainerSize   int64         `help:"size of a container file in bytes" default:"1073741824"`
	Capacity        int64         `help:"bytes the disk may use; 0: all its file system has" default:"0"`
	Reserve         int64         `help:"bytes kept free for deletes and relocation; 0: three containers" default:"0"`
	MemtableBytes   int64         `help:"write buffer of the index in bytes" default:"1048576"`
	TombstoneKeep   time.Duration `help:"how long a delete is remembered at least" default:"168h"`
	ReclaimInterval time.Duration `help:"pause between passes that free dead space" default:"10s"`

	Cache  *pebble.Cache // block cache of the index, to be shared by the disks of a server; nil: a small one
	Clock  clock.Clock   // nil: the machine's clock
	Log    *slog.Logger  // nil: silent
	Events func(Event)   // called synchronously, must not block nor call the Disk; nil: none
}

func (c Config) withDefaults() Config {
	if c.FS == nil {
		c.FS = vfs.OS()
	}
	if c.IndexDir == "" {
		c.IndexDir = c.FS.PathJoin(c.Dir, "index")
	}
	if c.ContainerSize == 0 {
		c.ContainerSize = ContainerSizeDefault
	}
	if c.Reserve == 0 {
		c.Reserve = 3 * c.ContainerSize
	}
	if c.MemtableBytes == 0 {
		c.MemtableBytes = MemtableBytesDefault
	}
	if c.TombstoneKeep == 0 {
		c.TombstoneKeep = TombstoneKeepDefault
	}
	if c.ReclaimInterval == 0 {
		c.ReclaimInterval = ReclaimIntervalDefault
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Events == nil {
		c.Events = func(Event) {}
	}
	return c
}

func (c Config) validate() error {
	const op = "storage.Config"
	switch {
	case c.Dir == "":
		return errs.E(op, errs.Invalid, "no directory given")
	case c.Cluster == "" || c.Server == "":
		return errs.E(op, errs.Invalid, "%s: no cluster or server identity given", c.Dir)
	case c.ContainerSize < ContainerSizeMin || c.ContainerSize > ContainerSizeMax:
		return errs.E(op, errs.Invalid, "%s: container size %d bytes, want %d-%d", c.Dir, c.ContainerSize, ContainerSizeMin, int64(ContainerSizeMax))
	case c.Capacity > 0 && c.Capacity <= c.Reserve:
		return errs.E(op, errs.Invalid, "%s: a capacity of %d bytes leaves nothing above the reserve of %d", c.Dir, c.Capacity, c.Reserve)
	case c.Capacity < 0 || c.Reserve < 0 || c.TombstoneKeep < 0 || c.MemtableBytes < 64<<10:
		return errs.E(op, errs.Invalid, "%s: negative capacity, reserve or retention, or memtable below 65536 bytes", c.Dir)
	}
	return nil
}
