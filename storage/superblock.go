package storage

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"torc/chunk"
	"torc/internal/errs"
	"torc/internal/vfs"
)

// FormatVersion is the version of everything a disk holds.
const FormatVersion = 1

const (
	superblockName   = "torc-disk"
	superblockBytes  = 4096 // at most
	superblockHeader = "torc-disk"
)

// superblock is the disk's identity, a checksummed text file that a person can
// read: a header line, "name: value" lines, and the CRC32C of all that precedes it.
type superblock struct {
	Format  int
	Cluster ClusterID
	Server  chunk.ServerID
	Disk    DiskID
	Created time.Time
}

func (s superblock) encode() []byte {
	body := fmt.Sprintf("%s\nformat: %d\ncluster: %s\nserver: %s\ndisk: %s\ncreated: %s\n",
		superblockHeader, s.Format, s.Cluster, s.Server, s.Disk, s.Created.UTC().Format(time.RFC3339))
	return fmt.Appendf(nil, "%scrc32c: %08X\n", body, crc32.Checksum([]byte(body), castagnoli))
}

func decodeSuperblock(data []byte) (superblock, error) {
	var s superblock
	corrupt := func(why string) (superblock, error) {
		return s, errs.E("storage.decodeSuperblock", errs.Corrupt, "%s", why)
	}
	body, sum, ok := strings.Cut(string(data), "crc32c: ")
	if !ok || !strings.HasPrefix(body, superblockHeader+"\n") {
		return corrupt("it is not a torc-disk file")
	}
	if sum != fmt.Sprintf("%08X\n", crc32.Checksum([]byte(body), castagnoli)) {
		return corrupt("checksum mismatch")
	}
	sc := bufio.NewScanner(strings.NewReader(body))
	sc.Scan() // the header line
	for sc.Scan() {
		name, value, _ := strings.Cut(sc.Text(), ": ")
		var err error
		switch name {
		case "format":
			s.Format, err = strconv.Atoi(value)
		case "cluster":
			s.Cluster = ClusterID(value)
		case "server":
			s.Server = chunk.ServerID(value)
		case "disk":
			s.Disk, err = ParseDiskID(value)
		case "created":
			s.Created, err = time.Parse(time.RFC3339, value)
		}
		if err != nil {
			return corrupt("line " + sc.Text())
		}
	}
	return s, nil
}

// readSuperblock returns the identity of the disk in cfg.Dir after checking that
// it is the disk that cfg asks for.
func readSuperblock(cfg Config) (superblock, error) {
	const op = "storage.Open"
	var none superblock
	if _, err := cfg.FS.Stat(cfg.Dir); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return none, errs.E(op, errs.NotFound, "directory %s does not exist: is the disk mounted?", cfg.Dir)
		}
		return none, errs.E(op, errs.Unavailable, "directory %s: %w", cfg.Dir, err)
	}
	data, err := vfs.ReadFile(cfg.FS, cfg.FS.PathJoin(cfg.Dir, superblockName), superblockBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return none, errs.E(op, errs.NotFound, "%s holds no torc-disk file: it is empty, not mounted, or was never made a Torc disk", cfg.Dir)
	}
	if err != nil {
		return none, errs.E(op, errs.Unavailable, "identity of %s: %w", cfg.Dir, err)
	}
	s, err := decodeSuperblock(data)
	if err != nil {
		return none, errs.E(op, errs.Corrupt, "identity of %s: %w", cfg.Dir, err)
	}
	switch {
	case s.Format != FormatVersion:
		return none, errs.E(op, errs.Unsupported, "%s has disk format %d, this program reads %d", cfg.Dir, s.Format, FormatVersion)
	case s.Cluster != cfg.Cluster:
		return none, errs.E(op, errs.Invalid, "%s belongs to cluster %q, not to %q", cfg.Dir, s.Cluster, cfg.Cluster)
	case s.Server != cfg.Server:
		return none, errs.E(op, errs.Invalid, "%s belongs to server %q, not to %q", cfg.Dir, s.Server, cfg.Server)
	case cfg.Disk != DiskID{} && s.Disk != cfg.Disk:
		return none, errs.E(op, errs.Invalid, "%s is disk %s, not the expected disk %s: were disks swapped?", cfg.Dir, s.Disk, cfg.Disk)
	}
	return s, nil
}

// Create makes cfg.Dir, which must hold neither a disk nor containers, a disk of
// cfg.Cluster and cfg.Server, and returns its identity. The directory is created if need be.
func Create(cfg Config) (DiskID, error) {
	const op = "storage.Create"
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return DiskID{}, err
	}
	if strings.ContainsAny(string(cfg.Cluster)+string(cfg.Server), "\r\n") {
		return DiskID{}, errs.E(op, errs.Invalid, "line break in cluster or server name")
	}
	if err := cfg.FS.MkdirAll(cfg.Dir, 0o750); err != nil {
		return DiskID{}, errs.E(op, errs.Unavailable, "directory %s: %w", cfg.Dir, err)
	}
	names, err := cfg.FS.List(cfg.Dir)
	if err != nil {
		return DiskID{}, errs.E(op, errs.Unavailable, "directory %s: %w", cfg.Dir, err)
	}
	for _, n := range names {
		if _, ok := parseContainerName(n); ok || n == superblockName {
			return DiskID{}, errs.E(op, errs.Exists, "%s holds a disk already (%s)", cfg.Dir, n)
		}
	}
	id := cfg.Disk
	if id == (DiskID{}) {
		id = newDiskID()
	}
	s := superblock{Format: FormatVersion, Cluster: cfg.Cluster, Server: cfg.Server, Disk: id, Created: cfg.Clock.Now()}
	if err := vfs.WriteFileAtomic(cfg.FS, cfg.FS.PathJoin(cfg.Dir, superblockName), s.encode()); err != nil {
		return DiskID{}, errs.E(op, errs.Unavailable, "identity of %s: %w", cfg.Dir, err)
	}
	// The directory's own entry, so that a new disk survives power loss whole.
	if err := vfs.SyncDir(cfg.FS, cfg.FS.PathDir(cfg.Dir)); err != nil {
		return DiskID{}, errs.E(op, errs.Unavailable, "directory above %s: %w", cfg.Dir, err)
	}
	return id, nil
}
