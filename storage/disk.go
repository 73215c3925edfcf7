package storage

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"torc/chunk"
	"torc/internal/errs"
	"torc/internal/loop"
)

const (
	lockName       = "LOCK"
	indexDirPrefix = "torc-index-" // of a disk's part of Config.IndexDir, before its UUID
)

// Disk is an open disk: a chunk.ListStore. Safe for concurrent use.
type Disk struct {
	cfg  Config
	id   superblock
	salt uint32
	lock io.Closer
	ix   *index

	ctx     context.Context // of background work; ends with Close
	cancel  context.CancelFunc
	loops   sync.WaitGroup
	reclaim *loop.Loop

	queue   chan *pending
	quit    chan struct{} // closed by Close
	ended   chan struct{} // closed when the committer has ended
	closing sync.Once

	// indexMu serialises transactions.
	indexMu sync.Mutex

	// The committer's own (recovery's before it starts).
	active    *container
	highest   uint32 // container number ever used
	seq       uint64 // of the last batch
	ops       []*pending
	bufs      [][]byte
	arena     []byte
	unflushed int64 // bytes of records since the last index checkpoint

	sweepFrom *chunk.Key // where the next sweep of the index begins; guarded by indexMu

	mu         sync.RWMutex
	containers map[uint32]*container
	state      State
	reasons    [stateEnd]string // of each state that holds, "" if it does not
	lastErr    error
	corrupt    int64 // corruptions seen since Open
	space      space
	spaceAt    time.Time

	reads   chan struct{} // a token for each read under way
	readers sync.RWMutex  // held for reading by every read, for writing by Close
	closed  bool

	count counters
}

// counters are the disk's running totals since Open.
type counters struct {
	puts, deletes, gets, lists   atomic.Int64
	putBytes, getBytes           atomic.Int64
	batches, batchRecords, syncs atomic.Int64
	errors                       atomic.Int64
}

var _ chunk.ListStore = (*Disk)(nil)

// Open opens the disk in cfg.Dir, recovers it, and starts its committer. It
// refuses a directory that is missing, empty, another disk's, in use by another
// process, or of a format it does not know, and changes nothing then.
func Open(cfg Config) (*Disk, error) {
	const op = "storage.Open"
	shared := cfg.IndexDir != ""
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	id, err := readSuperblock(cfg)
	if err != nil {
		return nil, err
	}
	if shared { // it may hold other things, which an emptied index must not take along
		cfg.IndexDir = cfg.FS.PathJoin(cfg.IndexDir, indexDirPrefix+id.Disk.String())
	}
	lock, err := cfg.FS.Lock(cfg.FS.PathJoin(cfg.Dir, lockName))
	if err != nil {
		return nil, errs.E(op, errs.Unavailable, "%s is in use by another process (or cannot be locked): %w", cfg.Dir, err)
	}
	d := &Disk{cfg: cfg, id: id, salt: id.Disk.salt(), lock: lock,
		queue: make(chan *pending, QueueLenMax), quit: make(chan struct{}), ended: make(chan struct{}),
		reads: make(chan struct{}, ReadsMax), containers: map[uint32]*container{}}
	d.ctx, d.cancel = context.WithCancel(context.Background()) // ends with Close, not with a request
	if err := d.recover(); err != nil {
		return nil, errors.Join(err, d.shut())
	}
	d.reclaim = loop.New("reclaim "+cfg.Dir, cfg.Clock, cfg.ReclaimInterval, d.reclaimPass)
	d.loops.Go(d.commitLoop)
	d.loops.Go(func() { _ = d.reclaim.Run(d.ctx) })
	return d, nil
}

// ID returns the disk's UUID.
func (d *Disk) ID() DiskID { return d.id.Disk }

// Reclaim returns the loop that frees dead space, to be listed, paused and stepped.
func (d *Disk) Reclaim() *loop.Loop { return d.reclaim }

// Close ends the disk: writes still queued fail with errs.Closed, the index is
// checkpointed, files and lock are released. Chunks already read stay valid.
func (d *Disk) Close() error {
	err := errs.E("storage.Close", errs.Closed, "%s is closed already", d.cfg.Dir)
	d.closing.Do(func() {
		close(d.quit)
		d.cancel()
		d.loops.Wait()
		d.readers.Lock()
		d.closed = true
		d.readers.Unlock()
		err = d.ix.flush("storage.Close")
		err = errors.Join(err, d.shut())
		d.setState(Offline, "closed", nil)
	})
	return err
}

// shut releases what Open took.
func (d *Disk) shut() error {
	d.cancel()
	var err error
	if d.ix != nil {
		err = d.ix.close()
	}
	d.mu.Lock()
	for _, c := range d.containers {
		c.retire()
	}
	d.mu.Unlock()
	return errors.Join(err, d.lock.Close())
}

// container returns container num, nil if it does not exist.
func (d *Disk) container(num uint32) *container {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.containers[num]
}
