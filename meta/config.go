package meta

import (
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"torc/internal/clock"
	"torc/internal/errs"
	"torc/internal/transport"
)

// Config says who a Store is and what it stands on.
type Config struct {
	// ClusterID and ServerID name the store's owner. A directory written under
	// other names refuses to open.
	ClusterID string
	ServerID  string
	// Peers are the servers that hold the replicas of the first range, this one
	// included. The set is read once, when the directory is empty, and must be
	// the same on all of them (order is free); later only the addresses are used.
	Peers []Peer
	// Dir is the store's directory on FS.
	Dir string
	// FS is the file system; nil means the machine's.
	FS vfs.FS
	// Cache is a Pebble block cache to share; nil makes one of CacheBytes.
	Cache *pebble.Cache
	// CacheBytes sizes the private cache; 0 means CacheBytesDefault.
	CacheBytes int64
	// MemTableBytes sizes Pebble's write buffer; 0 means MemTableBytesDefault.
	MemTableBytes uint64

	Caller   transport.Caller
	Clock    clock.Clock
	Log      *slog.Logger
	Handlers []Handler

	// TickInterval is raft's unit of time: heartbeats every heartbeatTicks, an
	// election after electionTicks to twice that without a leader. 0 means
	// TickIntervalDefault.
	TickInterval time.Duration
	// LogBytesMax bounds the raft log of a range; 0 means LogBytesMaxDefault.
	LogBytesMax int64
	// SnapshotBytesPerSec throttles the refill of a replica that is too far
	// behind; 0 means SnapshotBytesPerSecDefault.
	SnapshotBytesPerSec int64
	// DedupeInterval is half of the least time an outcome is remembered for
	// retries; 0 means DedupeIntervalDefault.
	DedupeInterval time.Duration
}

// Peer is one server of the configuration.
type Peer struct {
	ID   string // server id
	Addr string // transport address
}

// Defaults of Config.
const (
	TickIntervalDefault        = 100 * time.Millisecond
	CacheBytesDefault          = 8 << 20
	MemTableBytesDefault       = 4 << 20
	LogBytesMaxDefault         = 16 << 20
	SnapshotBytesPerSecDefault = 64 << 20
	DedupeIntervalDefault      = 5 * time.Minute
)

// Raft's timing, in ticks: a new leader serves 0.8 to 1.6 s after the old one
// died, twice that if a first vote is split.
const (
	heartbeatTicks = 2
	electionTicks  = 8
)

// Limits of one store. Beyond a queue's limit a request is refused with
// errs.Overload and has no effect.
const (
	groupCommandsMax   = 256      // commands evaluated into one entry
	groupBytesTarget   = 1 << 20  // bytes of writes after which a group takes no more commands
	entryBytesMax      = 12 << 20 // bytes of one command's writes and reply in an entry
	commandQueueLenMax = 4096     // commands waiting in a range
	commandQueueBytes  = 64 << 20 // bytes of their bodies
	queryQueueLenMax   = 4096     // queries waiting for their read round
	queryWorkersMax    = 16       // queries evaluated at a time
	inboxBytesMax      = 64 << 20 // bytes of raft messages waiting to be stepped; more are dropped
	outboxFramesMax    = 256      // frames waiting for one peer; more are dropped
	frameBytesTarget   = 1 << 20  // raft messages are packed into frames about this big
	raftMessageBytes   = 1 << 20  // entries in one append message, unless one entry is larger
	raftInflightMax    = 64       // append messages under way to one follower
	uncommittedBytes   = 64 << 20 // proposals raft keeps uncommitted
	logTailBytes       = 4 << 20  // newest entries kept in memory
	logEntriesMax      = 20000    // entries in the log before it is cut
	peersMax           = 7        // replicas of a range
	kindLenMax         = 64       // bytes of a Kind
	idLenMax           = 255      // bytes of a server or cluster id
	// clockLead is how far ahead of its own reading a leader persists the range's
	// clock, so that queries can read it without a write.
	clockLead = time.Second
)

func (c Config) withDefaults() (Config, error) {
	const op = "meta.Open"
	switch {
	case c.ClusterID == "" || len(c.ClusterID) > idLenMax:
		return c, errs.E(op, errs.Invalid, "cluster id must have 1 to %d bytes", idLenMax)
	case c.ServerID == "" || len(c.ServerID) > idLenMax:
		return c, errs.E(op, errs.Invalid, "server id must have 1 to %d bytes", idLenMax)
	case c.Dir == "":
		return c, errs.E(op, errs.Invalid, "no directory")
	case c.Caller == nil || c.Clock == nil || c.Log == nil:
		return c, errs.E(op, errs.Invalid, "Caller, Clock and Log must be set")
	case len(c.Peers) == 0 || len(c.Peers) > peersMax:
		return c, errs.E(op, errs.Invalid, "%d peers; 1 to %d are possible", len(c.Peers), peersMax)
	}
	self := false
	seen := map[string]bool{}
	for _, p := range c.Peers {
		if p.ID == "" || len(p.ID) > idLenMax || seen[p.ID] {
			return c, errs.E(op, errs.Invalid, "peer id %q is empty, too long or listed twice", p.ID)
		}
		seen[p.ID] = true
		self = self || p.ID == c.ServerID
	}
	if !self {
		return c, errs.E(op, errs.Invalid, "server %q is not among the peers", c.ServerID)
	}
	kinds := map[Kind]bool{}
	for _, h := range c.Handlers {
		if h.Kind == "" || len(h.Kind) > kindLenMax || kinds[h.Kind] || h.Eval == nil {
			return c, errs.E(op, errs.Invalid, "handler %q is unnamed, unusable or registered twice", h.Kind)
		}
		kinds[h.Kind] = true
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	setDefault(&c.CacheBytes, CacheBytesDefault)
	setDefault(&c.MemTableBytes, MemTableBytesDefault)
	setDefault(&c.TickInterval, TickIntervalDefault)
	setDefault(&c.LogBytesMax, LogBytesMaxDefault)
	setDefault(&c.SnapshotBytesPerSec, SnapshotBytesPerSecDefault)
	setDefault(&c.DedupeInterval, DedupeIntervalDefault)
	return c, nil
}

func setDefault[T comparable](p *T, d T) {
	var zero T
	if *p == zero {
		*p = d
	}
}
