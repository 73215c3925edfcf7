package storage

import (
	"errors"
	"fmt"
	"syscall"

	"torc/internal/errs"
)

// commitLoop is the disk's one writer. While a batch is being synced the next one
// gathers in the queue: that is the group commit.
func (d *Disk) commitLoop() {
	defer close(d.ended)
	for {
		select {
		case o := <-d.queue:
			d.commitBatch(d.gather(o))
		case <-d.quit:
			return
		}
	}
}

// gather takes what is queued, up to the limits of a batch.
func (d *Disk) gather(first *pending) []*pending {
	ops := d.ops[:0]
	var bytes int64
	for o := first; ; {
		if o.to(opQueued, opTaken) {
			ops = append(ops, o)
			bytes += o.e.recordLen(o.k)
		}
		// Half a container: small containers must not waste much at their ends.
		if len(ops) == BatchOpsMax || bytes >= min(BatchBytesMax, d.cfg.ContainerSize/2) {
			break
		}
		select {
		case o = <-d.queue:
			continue
		default:
		}
		break
	}
	d.ops = ops
	return ops
}

// commitBatch decides, writes, syncs, indexes and answers ops, in this order. They
// take effect in the order given, so of two writes of one key in a batch the second
// sees the first.
func (d *Disk) commitBatch(ops []*pending) {
	d.indexMu.Lock()
	defer d.indexMu.Unlock()
	for len(ops) > 0 {
		ops = d.tryBatch(ops)
	}
}

// tryBatch is one attempt. If there is no space it answers those that may take least
// of it, puts before deletes, and returns the rest.
func (d *Disk) tryBatch(ops []*pending) []*pending {
	t := d.begin()
	seq := d.seq + 1
	full := d.refusesPuts()
	var write []*pending
	var wait []answer
	for _, o := range ops {
		needed, err := d.decide(t, o, full)
		if !needed && len(write) == 0 {
			o.done <- err
			continue
		}
		// An answer may rest on a write of this batch, so it waits for that one.
		wait = append(wait, answer{o, err})
		if !needed {
			continue
		}
		o.prepare(seq)
		write = append(write, o)
		// Where it will lie is not known yet; what it makes of the key is.
		t.entries[o.k] = o.e
	}
	if len(write) == 0 {
		return nil
	}
	err := d.store(write, seq)
	var again []*pending
	for _, a := range wait {
		switch {
		case errors.Is(err, errs.Full) && a.o.need() < need(write):
			again = append(again, a.o)
		case err != nil:
			d.count.errors.Add(1)
			a.o.done <- err
		default:
			a.o.done <- a.err
		}
	}
	return again
}

// answer is what a write will be told if its batch succeeds.
type answer struct {
	o   *pending
	err error
}

// decide applies the rules of chunk.Store: it reports whether o must be written,
// or the error that it is answered with.
func (d *Disk) decide(t *txn, o *pending, full error) (bool, error) {
	if err := d.writable(o.name); err != nil {
		return false, err
	}
	old, ok, err := t.get(o.name, o.k)
	if err != nil {
		return false, err
	}
	if o.from != nil {
		return ok && old.container == o.from.container && old.pos == o.from.pos && old.version == o.from.version, nil
	}
	if ok && old.version > o.e.version {
		return false, errs.E(o.name, errs.Stale, "%s: version %v is below the stored %v", o.k, o.e.version, old.version)
	}
	if ok && old.version == o.e.version && old.deleted && !o.e.deleted {
		return false, errs.E(o.name, errs.Stale, "%s: version %v is deleted", o.k, o.e.version)
	}
	if ok && old.version == o.e.version && old.deleted == o.e.deleted && !o.replaces(&old) {
		o.again = !o.e.deleted
		return false, nil
	}
	if !o.e.deleted && full != nil {
		return false, full
	}
	return true, nil
}

// store makes the batch durable and visible. A container that fails is given up
// and the batch written once more, elsewhere; if that fails too, nobody knows what
// of it will be found after a restart.
func (d *Disk) store(write []*pending, seq uint64) error {
	const name = "storage.commit"
	var bytes int64
	for _, o := range write {
		bytes += o.h.recordLen()
	}
	var failed error
	cleared := true // nothing is left of the failed attempts
	for range 2 {
		c, err := d.room(bytes, write)
		if err != nil && failed == nil {
			return err // nothing was written
		}
		if err != nil {
			failed = errors.Join(failed, err)
			break
		}
		err = d.append(c, write, bytes)
		if err == nil {
			return d.publish(write, c, seq, bytes)
		}
		failed = errors.Join(failed, err)
		cleared = d.quarantine(c, err) && cleared
	}
	if noSpace(failed) && cleared {
		d.setState(Full, "no space left", failed)
		return errs.E(name, errs.Full, "disk %s: %w", d.cfg.Dir, failed)
	}
	d.setState(StoreErr, "writes failed in two containers: "+failed.Error(), failed)
	return errs.E(name, errs.Unknown, "disk %s: write failed: %w", d.cfg.Dir, failed)
}

func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// append writes the batch behind the last one of c and syncs it.
func (d *Disk) append(c *container, write []*pending, bytes int64) error {
	off := c.stat.end // only this goroutine changes it
	for _, o := range write {
		o.to(opTaken, opWriting)
	}
	bufs := d.layout(c, write, off)
	n, err := c.file.WriteVec(bufs, off)
	clear(bufs) // callers' data must not be kept
	if err == nil && n != bytes {
		err = fmt.Errorf("wrote %d of %d bytes", n, bytes)
	}
	for _, o := range write {
		o.to(opWriting, opTaken)
		select {
		case o.written <- struct{}{}:
		default:
		}
	}
	if err != nil {
		return err
	}
	d.count.syncs.Add(1)
	return c.file.SyncData()
}

// layout places the records from off and returns them as buffers to write: the
// heads in the disk's arena, the data where the callers have it.
func (d *Disk) layout(c *container, write []*pending, off int64) [][]byte {
	need := 0
	for _, o := range write {
		need += int(o.h.recordLen() - o.h.size)
	}
	if cap(d.arena) < need {
		d.arena = make([]byte, need)
	}
	arena := d.arena[:need]
	clear(arena)
	bufs := d.bufs[:0]
	for i, o := range write {
		h := &o.h
		h.container, h.pos, h.left = c.num, off, uint32(len(write)-1-i)
		if i == 0 {
			h.flags |= flagFirst
		}
		head := int(h.dataOff())
		h.encode(arena, d.salt)
		copy(arena[recordHeaderSize:], o.meta)
		bufs = append(bufs, arena[:head])
		arena = arena[head:]
		if h.size > 0 {
			pad := int(align(h.size, recordAlign) - h.size)
			bufs = append(bufs, o.data)
			if pad > 0 {
				bufs = append(bufs, arena[:pad])
			}
			arena = arena[pad:]
		}
		off += h.recordLen()
	}
	d.bufs = bufs
	return bufs
}

// publish puts the durable batch into the index.
func (d *Disk) publish(write []*pending, c *container, seq uint64, bytes int64) error {
	const name = "storage.commit"
	t := d.begin()
	for _, o := range write {
		o.e.container, o.e.pos = c.num, o.h.pos
		if err := t.apply(name, o.k, o.e); err != nil {
			return d.indexLost(err)
		}
	}
	s, _ := t.stat(c.num)
	s.end = align(s.end+bytes, batchAlign)
	s.seq = seq
	t.stats[c.num] = s
	if err := t.commit(name); err != nil {
		return d.indexLost(err)
	}
	d.seq = seq
	d.count.batches.Add(1)
	d.count.batchRecords.Add(int64(len(write)))
	d.unflushed += bytes
	if d.unflushed >= flushBytesMax {
		d.unflushed = 0
		if _, err := d.ix.db.AsyncFlush(); err != nil {
			d.ix.fail(err.Error())
		}
	}
	return nil
}

// indexLost answers writes that are durable in a container but not to be found:
// the next Open replays them.
func (d *Disk) indexLost(err error) error {
	d.ix.fail(err.Error())
	return errs.E("storage.commit", errs.Unknown, "disk %s: index: %w", d.cfg.Dir, err)
}

// room returns a container with space for a batch, a new one if need be.
func (d *Disk) room(bytes int64, write []*pending) (*container, error) {
	const name = "storage.commit"
	need := align(bytes, batchAlign)
	old := d.active
	if old != nil && old.stat.end+need <= old.size {
		return old, nil
	}
	size := max(d.cfg.ContainerSize, containerHeaderSize+need)
	if err := d.spaceFor(size, write); err != nil {
		return nil, err
	}
	c, err := createContainer(d.cfg, d.id, d.highest+1, size, d.seq)
	if err != nil {
		if noSpace(err) {
			d.setState(Full, "no space for a new container", err)
			return nil, errs.E(name, errs.Full, "disk %s: new container: %w", d.cfg.Dir, err)
		}
		d.setState(StoreErr, "cannot create a container: "+err.Error(), err)
		return nil, errs.E(name, errs.Unavailable, "disk %s: new container: %w", d.cfg.Dir, err)
	}
	if old != nil {
		d.seal(old, false)
		d.emit(Sealed{Container: old.num, Bytes: old.stat.end})
	}
	d.highest = c.num
	d.active = c
	d.mu.Lock()
	d.containers[c.num] = c
	d.mu.Unlock()
	return c, nil
}

// seal ends writing to c and gives back what it does not use. It reports whether
// all behind its last batch is durably zero again.
func (d *Disk) seal(c *container, quarantined bool) bool {
	d.mu.Lock()
	c.stat.sealed, c.stat.quarantined = true, quarantined
	stat := c.stat
	d.mu.Unlock()
	d.active = nil
	t := d.begin()
	t.stats[c.num] = stat
	if err := t.commit("storage.seal"); err != nil {
		d.ix.fail(err.Error())
	}
	if stat.end >= c.size {
		return true
	}
	err := c.file.Zero(stat.end, c.size-stat.end)
	if err == nil && quarantined {
		err = c.file.SyncData()
	}
	return err == nil
}

// quarantine gives up a container after a failed write or sync. The failed batch,
// of which anything may be on the disk, is cleared away if the medium lets us; it
// reports whether it did.
func (d *Disk) quarantine(c *container, err error) bool {
	cleared := d.seal(c, true)
	d.setState(Warn, fmt.Sprintf("container %d quarantined: %v", c.num, err), err)
	d.emit(Quarantined{Container: c.num, Err: err})
	return cleared
}
