package storage

import (
	"github.com/cockroachdb/pebble/v2"

	"torc/chunk"
)

// txn collects the effect of durable records on the index and the containers'
// statistics, and commits it at once. One at a time: the committer's, recovery's or
// reclaim's under Disk.indexMu.
type txn struct {
	d       *Disk
	entries map[chunk.Key]entry
	dropped map[chunk.Key]bool // entries to remove, by a transaction that does nothing else
	stats   map[uint32]containerStat
	freed   []uint32 // containers to forget
}

func (d *Disk) begin() *txn {
	return &txn{d: d, entries: map[chunk.Key]entry{}, dropped: map[chunk.Key]bool{}, stats: map[uint32]containerStat{}}
}

// get returns what the index will hold of k after the transaction.
func (t *txn) get(op string, k chunk.Key) (entry, bool, error) {
	if e, ok := t.entries[k]; ok {
		return e, true, nil
	}
	return t.d.lookup(op, k)
}

// lookup returns the index entry of k.
func (d *Disk) lookup(op string, k chunk.Key) (entry, bool, error) {
	e, ok, err := d.ix.get(op, k)
	return e, ok && d.alive(&e), err
}

// apply adds a durable record. It is commutative and idempotent.
func (t *txn) apply(op string, k chunk.Key, e entry) error {
	old, ok, err := t.get(op, k)
	switch {
	case err != nil:
		return err
	case !ok:
		t.live(k, &e, 1)
	case old.container == e.container && old.pos == e.pos:
		return nil
	default:
		if e.beats(&old) {
			t.live(k, &old, -1)
			t.live(k, &e, 1)
		}
		e = old.merge(e)
	}
	t.entries[k] = e
	return nil
}

// stat returns the statistics of container num as the transaction has them.
func (t *txn) stat(num uint32) (containerStat, bool) {
	if s, ok := t.stats[num]; ok {
		return s, true
	}
	t.d.mu.RLock()
	defer t.d.mu.RUnlock()
	c, ok := t.d.containers[num]
	if !ok {
		return containerStat{}, false // its file is lost
	}
	return c.stat, true
}

// live counts a record in or out.
func (t *txn) live(k chunk.Key, e *entry, n int64) {
	s, ok := t.stat(e.container)
	if !ok {
		return
	}
	s.liveBytes += n * e.recordLen(k)
	if e.deleted {
		s.tombstones += n
		s.youngest = max(s.youngest, e.version)
	} else {
		s.livePuts += n
		s.liveData += n * e.size
	}
	t.stats[e.container] = s
}

// commit applies the transaction to the index and then to the containers.
func (t *txn) commit(op string) error {
	ix := t.d.ix
	if err := ix.check(op); err != nil {
		return err
	}
	b := ix.db.NewBatch()
	defer b.Close()
	var buf []byte
	for k, e := range t.entries {
		buf = e.append(buf[:0])
		_ = b.Set(chunkKey(k), buf, nil) // fails only on a closed batch
	}
	for k := range t.dropped {
		_ = b.Delete(chunkKey(k), nil)
	}
	for num, s := range t.stats {
		if t.d.forgotten(num) {
			continue
		}
		buf = s.append(buf[:0])
		_ = b.Set(statKey(num), buf, nil)
	}
	for _, num := range t.freed {
		_ = b.Delete(statKey(num), nil)
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return ix.note(op, err)
	}
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	for num, s := range t.stats {
		if c, ok := t.d.containers[num]; ok {
			c.stat = s
		}
	}
	for _, num := range t.freed {
		if c, ok := t.d.containers[num]; ok {
			c.forgotten = true
		}
	}
	return nil
}

// forgotten reports whether container num is being freed.
func (d *Disk) forgotten(num uint32) bool {
	c := d.container(num)
	if c == nil {
		return false
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return c.forgotten
}
