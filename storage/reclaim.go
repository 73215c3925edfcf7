package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"torc/chunk"
	"torc/internal/buf"
	"torc/internal/errs"
	"torc/internal/vfs"
)

// Limits of one reclaim pass.
const (
	relocateLivePercentMax = 50        // a container with more alive than this is left alone
	relocateFullPercentMax = 90        // the same on a disk without space
	relocateBytesMax       = 256 << 20 // copied in one pass
	relocateGroupMax       = 64        // records copied in one group commit
	relocateGroupBytesMax  = 8 << 20
	sweepEntriesMax        = 4096 // index entries looked at in one pass
)

// victim is a container that the plan wants empty and gone.
type victim struct {
	num   uint32
	live  int64 // bytes to copy
	whole int64 // bytes of records in it
}

// reclaimPlan returns the containers to free, those with the least to copy first.
// It is pure: stats is the container table, expired tells which tombstones are old
// enough to be forgotten by the youngest of them, livePercentMax how much of a
// container may be alive.
//
// Never planned: what is still written to; the highest number, which keeps the batch
// sequence going; and the successor of a quarantined container, whose batches prove
// which one of that container failed.
func reclaimPlan(stats map[uint32]containerStat, expired func(youngest chunk.Version) bool, livePercentMax int64) []victim {
	var highest uint32
	for num := range stats {
		highest = max(highest, num)
	}
	var out []victim
	for num, s := range stats {
		if !s.sealed || num == highest || stats[num-1].quarantined {
			continue
		}
		live := s.liveBytes
		if expired(s.youngest) {
			live -= s.tombstones * recordHeaderSize
		}
		whole := s.end - containerHeaderSize
		if s.quarantined || live*100 <= whole*livePercentMax {
			out = append(out, victim{num: num, live: live, whole: whole})
		}
	}
	slices.SortFunc(out, func(a, b victim) int {
		return cmp.Or(cmp.Compare(a.live, b.live), cmp.Compare(a.num, b.num))
	})
	return out
}

// expired reports whether a tombstone of version v is old enough to be forgotten.
func (d *Disk) expired(v chunk.Version) bool {
	return d.cfg.Clock.Now().Sub(v.Time()) > d.cfg.TombstoneKeep
}

// reclaimPass empties and frees containers that are mostly dead.
func (d *Disk) reclaimPass(ctx context.Context) error {
	if d.writable("storage.reclaim") != nil {
		return nil // nothing may be written
	}
	d.mu.RLock()
	stats := make(map[uint32]containerStat, len(d.containers))
	for num, c := range d.containers {
		stats[num] = c.stat
	}
	percent := int64(relocateLivePercentMax)
	if d.reasons[Full] != "" {
		percent = relocateFullPercentMax // else evenly scattered deletes would never give space back
	}
	d.mu.RUnlock()
	var empty []*container
	var failed error
	var copied, held int64 // held: copied out of containers that are not freed yet
	for _, v := range reclaimPlan(stats, d.expired, percent) {
		c := d.container(v.num)
		if c == nil || c.missing || copied >= relocateBytesMax {
			continue
		}
		ok, err := d.evacuate(ctx, c)
		copied, held = copied+v.live, held+v.live
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		if ok {
			empty = append(empty, c)
		}
		if held >= d.cfg.ContainerSize/2 { // copies lie in the reserve, of three containers
			failed = errors.Join(failed, d.free(empty))
			empty, held = nil, 0
		}
	}
	return errors.Join(failed, d.free(empty), d.sweep())
}

// evacuate copies what is alive in c to the active container, except tombstones
// that need not be remembered. It reports whether c can be freed.
func (d *Disk) evacuate(ctx context.Context, c *container) (bool, error) {
	const op = "storage.relocate"
	file, ok := c.acquire()
	if !ok {
		return false, nil
	}
	defer c.release()
	left := int64(0) // tombstones that may go with the container
	m := &mover{d: d, file: file}
	defer m.release()
	d.mu.RLock()
	end := c.stat.end // sealed: it does not change
	d.mu.RUnlock()
	s := newScanner(file, d.salt, c.num, end, containerHeaderSize)
	for {
		b, err := s.batch()
		if err != nil {
			return false, errs.Wrap(op, err)
		}
		if b == nil {
			break
		}
		for i := range b.records {
			r := &b.records[i]
			e, ok, err := d.ix.get(op, r.key)
			if err != nil {
				return false, err
			}
			if !ok || e.container != c.num || e.pos != r.pos {
				continue
			}
			if e.deleted && d.forgettable(&e) {
				left++
				continue
			}
			if err := m.add(ctx, r.key, e); err != nil {
				return false, err
			}
		}
	}
	if err := m.flush(ctx); err != nil {
		return false, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return c.stat.livePuts == 0 && c.stat.tombstones <= left, nil
}

// forgettable reports whether nothing on the disk needs tombstone e any more: it is
// old enough and no container but its own may hold an older record of its key.
func (d *Disk) forgettable(e *entry) bool {
	if !d.expired(e.version) {
		return false
	}
	if e.hideLo == 0 {
		return true
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	for num := range d.containers {
		if num >= e.hideLo && num <= e.hideHi && num != e.container {
			return false
		}
	}
	return true
}

// mover copies records in groups.
type mover struct {
	d     *Disk
	file  vfs.File
	group []*pending
	bufs  []*buf.Buffer
	bytes int64
}

func (m *mover) release() {
	for _, b := range m.bufs {
		b.Release()
	}
	m.bufs, m.group, m.bytes = m.bufs[:0], m.group[:0], 0
}

// add reads and verifies the record of e and queues its copy. A damaged record is
// reported and stays where it is.
func (m *mover) add(ctx context.Context, k chunk.Key, e entry) error {
	h := e.header(k)
	head, body := buf.Get(int(h.dataOff())), buf.Get(int(e.size))
	m.bufs = append(m.bufs, head, body)
	if _, err := m.file.ReadVec([][]byte{head.B, body.B}, e.pos); err != nil {
		return errs.E("storage.relocate", errs.Unavailable, "container %d at %d: %w", e.container, e.pos, err)
	}
	if why := m.d.verify(k, &e, head.B, body.B, 0); why != "" {
		_ = m.d.damaged("storage.relocate", k, &e, why) // reported; its readers get the error
		return nil
	}
	from := e
	m.group = append(m.group, &pending{name: "storage.relocate", k: k, e: e, from: &from, data: body.B,
		meta: head.B[recordHeaderSize : recordHeaderSize+h.metaLen()], outcome: newOutcome()})
	m.bytes += e.size
	if len(m.group) >= relocateGroupMax || m.bytes >= relocateGroupBytesMax {
		return m.flush(ctx)
	}
	return nil
}

// flush commits the queued copies. It waits for all of them: their buffers are ours
// again then.
func (m *mover) flush(ctx context.Context) error {
	defer m.release()
	errList := make([]error, len(m.group))
	done := make(chan struct{})
	for i, o := range m.group {
		go func() {
			errList[i] = m.d.submit(ctx, o)
			done <- struct{}{}
		}()
	}
	for range m.group {
		<-done
	}
	return errors.Join(errList...)
}

// free removes containers in which nothing is needed. First the index forgets
// them, durably; then their files go, durably; and only then do the tombstones in them
// cease to hold (see alive), so at no moment could a crash bring one back that a
// later write has been accepted over.
func (d *Disk) free(cs []*container) error {
	const op = "storage.free"
	if len(cs) == 0 {
		return nil
	}
	d.indexMu.Lock()
	t := d.begin()
	for _, c := range cs {
		t.freed = append(t.freed, c.num)
	}
	err := t.commit(op)
	d.indexMu.Unlock()
	if err == nil {
		err = d.ix.flush(op)
	}
	for _, c := range cs {
		if err == nil {
			err = d.removeContainer(c.num)
		}
	}
	if err == nil {
		err = vfs.SyncDir(d.cfg.FS, d.cfg.Dir)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", op, err) // they stay, and are tried again
	}
	for _, c := range cs {
		d.mu.Lock()
		delete(d.containers, c.num)
		d.mu.Unlock()
		c.retire()
		d.emit(Freed{Container: c.num, Bytes: c.size})
	}
	return nil
}

// alive reports whether entry e counts: a tombstone whose container was freed does
// not, since freeing it meant that it is not needed any more.
func (d *Disk) alive(e *entry) bool { return !e.deleted || d.container(e.container) != nil }

// sweep removes some tombstones that ceased to hold from the index. That it may be
// undone by a crash does no harm: alive decides.
func (d *Disk) sweep() error {
	const op = "storage.sweep"
	d.indexMu.Lock()
	defer d.indexMu.Unlock()
	t := d.begin()
	n := 0
	var last chunk.Key
	err := d.ix.list(op, d.sweepFrom, func(k chunk.Key, e entry) bool {
		if !d.alive(&e) {
			t.dropped[k] = true
		}
		n++
		last = k
		return n < sweepEntriesMax
	})
	if err != nil {
		return err
	}
	d.sweepFrom = nil
	if n == sweepEntriesMax {
		d.sweepFrom = &last
	}
	if len(t.dropped) == 0 {
		return nil
	}
	return t.commit(op)
}
