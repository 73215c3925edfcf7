// Package storage is the disk engine: one Disk a disk, each an IO daemon that keeps
// chunks in append-only container files and finds them through an index.
//
// # Nouns
//
// A disk is a directory with an identity (the torc-disk file): cluster, server,
// disk UUID, format. A container is a file NNNNNNNN.ctr of fixed size, filled from
// front to back and then sealed. A record is one put or tombstone: a checksummed
// header, the owner, checksums of each 64 KiB block, the data. A batch is a group
// commit: the records that one write and one fdatasync made durable together; it
// begins on a sector of its own and carries the next number of the disk's sequence.
// The index is a Pebble database from key to record. docs/formats/container.md
// draws the bytes.
//
// # Writing
//
// Put and Delete queue a write for the disk's one committer and wait. The committer
// takes what has gathered, decides each write against the index by the version rules
// of chunk.Store, writes the batch with one pwritev straight from the callers'
// buffers, syncs once, updates the index, and only then answers. What a reader can
// see is therefore durable, always.
//
// # Recovery
//
// The index has no log of its own. A crash takes it back to an earlier state, which
// names for each container the place up to which it is known; from there the
// containers' records are replayed. Replay does not depend on order: of two records
// of a key the higher version stays, a tombstone before a put of the same version.
// A batch is whole or it never happened. Only the very last one of the disk may be
// torn, since the next is written after it is durable: it is dropped and its space
// cleared. Anything else that is missing or damaged is corruption: reported, counted,
// never skipped silently. An index that is lost, damaged, stale or another disk's is
// rebuilt from all containers.
//
// # Failures
//
// A failed write or sync condemns its container (quarantined: sealed, cleared behind
// the last good batch); the batch goes to a new container once; if that fails too the
// writers get errs.Unknown and the disk takes no more writes (STOREERR) until it is
// reopened. Reads go on in every state but OFFLINE. Free space below the reserve
// refuses puts with errs.Full; deletes and relocation still work, and service resumes by
// itself. Damaged bytes answer errs.Corrupt, are reported as an event, and leave the
// disk at DISKWARN; a put of the same version writes them anew.
//
// A disk that hangs holds on to ReadsMax reads and to the writes whose bytes it is
// taking at that moment. All others end with their context.
//
// # Space
//
// Deleting leaves a tombstone record, which must outlive every older record of its
// key that a replay could find. A pass of the reclaim loop frees containers that hold
// nothing alive and relocates what little is alive in others.
//
// Read next: Disk in disk.go, the record in record.go, the committer in commit.go,
// recovery in recover.go.
package storage
