package storage

import (
	"torc/chunk"
	"torc/internal/errs"
)

// State is a disk's condition, in the words operators know.
type State uint8

const (
	OK       State = iota
	Warn           // works, but something needs a look: corruption seen or a container quarantined
	Full           // no space for puts; reads and deletes work; ends by itself
	StoreErr       // writes failed twice or the index is damaged: reads only until reopened
	Offline        // closed
	stateEnd
)

// String returns OK, DISKWARN, DISKFULL, STOREERR or OFFLINE.
func (s State) String() string {
	return [...]string{"OK", "DISKWARN", "DISKFULL", "STOREERR", "OFFLINE"}[s]
}

// Status is a snapshot of a disk.
type Status struct {
	ID     DiskID
	Server chunk.ServerID
	Dir    string
	State  State
	Reason string // why it is not OK; empty if it is
	// LastErr is the last error of the medium, nil if none since Open.
	LastErr error

	Capacity  int64 // bytes the disk may use
	Used      int64 // bytes that container files take
	Available int64 // bytes that puts may still take
	Live      int64 // bytes of records that are alive
	LiveData  int64 // bytes of data in chunks

	Chunks     int64
	Tombstones int64
	Containers int
	Corrupt    int64 // corruptions seen since Open

	Metrics Metrics
}

// Metrics are totals since Open.
type Metrics struct {
	Puts, Deletes, Gets, Lists int64
	PutBytes, GetBytes         int64 // of data
	Batches, BatchRecords      int64 // group commits and the records in them
	Syncs                      int64
	Errors                     int64 // requests that failed by the disk's fault
}

// space is what the file system and the capacity leave, in bytes.
type space struct{ capacity, used, free int64 }

// Status returns a snapshot.
func (d *Disk) Status() Status {
	sp := d.measureSpace()
	d.mu.RLock()
	defer d.mu.RUnlock()
	s := Status{ID: d.id.Disk, Server: d.id.Server, Dir: d.cfg.Dir, State: d.state, Reason: d.reasons[d.state], LastErr: d.lastErr,
		Capacity: sp.capacity, Used: sp.used, Available: max(0, sp.free-d.cfg.Reserve),
		Containers: len(d.containers), Corrupt: d.corrupt}
	for _, c := range d.containers {
		s.Live += c.stat.liveBytes
		s.LiveData += c.stat.liveData
		s.Chunks += c.stat.livePuts
		s.Tombstones += c.stat.tombstones
	}
	n := &d.count
	s.Metrics = Metrics{Puts: n.puts.Load(), Deletes: n.deletes.Load(), Gets: n.gets.Load(), Lists: n.lists.Load(),
		PutBytes: n.putBytes.Load(), GetBytes: n.getBytes.Load(), Batches: n.batches.Load(),
		BatchRecords: n.batchRecords.Load(), Syncs: n.syncs.Load(), Errors: n.errors.Load()}
	return s
}

// measureSpace asks the file system.
func (d *Disk) measureSpace() space {
	var sp space
	d.mu.RLock()
	for _, c := range d.containers {
		if c.stat.sealed {
			sp.used += c.stat.end // the rest was given back
		} else {
			sp.used += c.size
		}
	}
	last := d.space
	d.mu.RUnlock()
	u, err := d.cfg.FS.GetDiskUsage(d.cfg.Dir)
	if err != nil {
		sp.capacity, sp.free = last.capacity, last.free // better old than none
		return sp
	}
	sp.capacity, sp.free = int64(u.TotalBytes), int64(u.AvailBytes)
	if c := d.cfg.Capacity; c > 0 {
		sp.capacity = min(sp.capacity, c)
		sp.free = min(sp.free, max(0, c-sp.used))
	}
	return sp
}

// setState says that to holds, for a reason (the first one is kept). The disk's
// state is the highest that holds; only Full ever ends, by clearFull.
func (d *Disk) setState(to State, reason string, err error) {
	d.changeState(func() {
		if err != nil {
			d.lastErr = err
		}
		if d.reasons[to] == "" {
			d.reasons[to] = reason
		}
	})
}

// clearFull says that there is space again.
func (d *Disk) clearFull() {
	d.changeState(func() { d.reasons[Full] = "" })
}

func (d *Disk) changeState(change func()) {
	d.mu.Lock()
	from := d.state
	change()
	d.state = OK
	for s, reason := range d.reasons {
		if reason != "" {
			d.state = State(s)
		}
	}
	to, reason := d.state, d.reasons[d.state]
	d.mu.Unlock()
	if from != to {
		d.emit(StateChanged{From: from, To: to, Reason: reason})
	}
}

// writable returns an error in states that refuse every write.
func (d *Disk) writable(op string) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	switch d.state {
	case StoreErr:
		return errs.E(op, errs.Unavailable, "disk %s takes no writes: %s", d.cfg.Dir, d.reasons[StoreErr])
	case Offline:
		return errs.E(op, errs.Closed, "disk %s is closed", d.cfg.Dir)
	}
	return nil
}

// reportCorruption counts and announces damaged bytes.
func (d *Disk) reportCorruption(e Corruption) {
	d.mu.Lock()
	d.corrupt++
	d.mu.Unlock()
	d.emit(e)
	d.setState(Warn, e.String(), nil)
}
