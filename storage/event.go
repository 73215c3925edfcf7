package storage

import (
	"fmt"
	"log/slog"

	"torc/chunk"
)

// Event is something that happened on a disk that an operator or another part of
// Torc may act on. Each is also logged.
type Event interface {
	// Level is how much a person should care.
	Level() slog.Level
	fmt.Stringer
}

type (
	// Recovered ends every Open.
	Recovered struct {
		Replayed   int64 // records read from containers
		Containers int
		Rebuilt    bool   // the index was rebuilt from all containers
		Why        string // why it was
	}
	// TornBatch: the last, never acknowledged group commit of a container was
	// incomplete after a crash and has been dropped.
	TornBatch struct {
		Container uint32
		Offset    int64
		Seq       uint64
	}
	// Corruption: bytes on the disk are not what was written there. Key is the
	// chunk concerned if known.
	Corruption struct {
		Container   uint32
		Offset, Len int64
		Key         chunk.Key
		What        string
	}
	// Quarantined: a write or sync of a container failed; it takes no more writes.
	Quarantined struct {
		Container uint32
		Err       error
	}
	// Sealed: a container is full.
	Sealed struct {
		Container uint32
		Bytes     int64
	}
	// Freed: a container held nothing alive and was removed.
	Freed struct {
		Container uint32
		Bytes     int64
	}
	// StateChanged: the disk's state is another one now.
	StateChanged struct {
		From, To State
		Reason   string
	}
)

func (Recovered) Level() slog.Level    { return slog.LevelInfo }
func (TornBatch) Level() slog.Level    { return slog.LevelInfo }
func (Corruption) Level() slog.Level   { return slog.LevelError }
func (Quarantined) Level() slog.Level  { return slog.LevelError }
func (Sealed) Level() slog.Level       { return slog.LevelDebug }
func (Freed) Level() slog.Level        { return slog.LevelDebug }
func (StateChanged) Level() slog.Level { return slog.LevelWarn }

func (e Recovered) String() string {
	s := fmt.Sprintf("disk recovered: %d records replayed, %d containers", e.Replayed, e.Containers)
	if e.Rebuilt {
		s += ", index rebuilt: " + e.Why
	}
	return s
}

func (e TornBatch) String() string {
	return fmt.Sprintf("unacknowledged batch %d dropped at %d of container %d", e.Seq, e.Offset, e.Container)
}

func (e Corruption) String() string {
	s := fmt.Sprintf("corruption in container %d at %d+%d: %s", e.Container, e.Offset, e.Len, e.What)
	if e.Key != (chunk.Key{}) {
		s += " (chunk " + e.Key.String() + ")"
	}
	return s
}

func (e Quarantined) String() string {
	return fmt.Sprintf("container %d quarantined: %v", e.Container, e.Err)
}
func (e Sealed) String() string {
	return fmt.Sprintf("container %d sealed at %d bytes", e.Container, e.Bytes)
}
func (e Freed) String() string {
	return fmt.Sprintf("container %d freed, %d bytes", e.Container, e.Bytes)
}
func (e StateChanged) String() string {
	return fmt.Sprintf("disk state %s, was %s: %s", e.To, e.From, e.Reason)
}

// emit logs e and hands it on.
func (d *Disk) emit(e Event) {
	d.cfg.Log.Log(d.ctx, e.Level(), e.String(), "disk", d.id.Disk.String(), "dir", d.cfg.Dir)
	d.cfg.Events(e)
}
