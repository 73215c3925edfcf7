package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"torc/internal/errs"
	"torc/internal/vfs"
)

const (
	epochName      = "index-epoch"
	epochBytes     = 64
	replayBatchLen = 1000 // records in one index transaction of replay
)

// recover opens index and containers and replays what the index lacks.
//
// The index is trusted if it opens, is this disk's, and is as recent as the
// disk's epoch file says; both are counted up at every Open, index first, so an old
// copy put back is noticed. Otherwise it is rebuilt from all containers.
func (d *Disk) recover() error {
	const op = "storage.Open"
	epoch, why := d.readEpoch()
	if why == "" {
		why = d.openTrusted(op, epoch)
	}
	nums, err := listContainers(d.cfg)
	if err != nil {
		return errs.E(op, errs.Unavailable, "%s: %w", d.cfg.Dir, err)
	}
	if why != "" {
		if err := d.emptyIndex(op); err != nil {
			return err
		}
	}
	slices.Sort(nums)
	if err := d.openContainers(op, nums); err != nil {
		return err
	}
	r := &replay{d: d, txn: d.begin()}
	if err := r.run(op); err != nil {
		return err
	}
	if err := d.ix.setIdentity(op, d.id.Disk, epoch+1); err != nil {
		return err
	}
	if err := d.writeEpoch(epoch + 1); err != nil {
		return errs.E(op, errs.Unavailable, "%s: %w", d.cfg.Dir, err)
	}
	d.emit(Recovered{Replayed: r.records, Containers: len(d.containers), Rebuilt: why != "" && len(nums) > 0, Why: why})
	return nil
}

// readEpoch returns the disk's index epoch, or why there is none.
func (d *Disk) readEpoch() (uint64, string) {
	data, err := vfs.ReadFile(d.cfg.FS, d.cfg.FS.PathJoin(d.cfg.Dir, epochName), epochBytes)
	if err != nil {
		return 0, "no index epoch"
	}
	epoch, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return 0, "index epoch unreadable"
	}
	return epoch, ""
}

func (d *Disk) writeEpoch(epoch uint64) error {
	return vfs.WriteFileAtomic(d.cfg.FS, d.cfg.FS.PathJoin(d.cfg.Dir, epochName), fmt.Appendf(nil, "%d\n", epoch))
}

// openTrusted opens the existing index and its container table; it returns why it
// cannot be used, if so.
func (d *Disk) openTrusted(op string, epoch uint64) string {
	if _, err := d.cfg.FS.Stat(d.cfg.IndexDir); err != nil {
		return "the index is missing"
	}
	ix, err := openIndex(d.cfg, d.indexFailed)
	if err != nil {
		return "the index does not open: " + err.Error()
	}
	why := ""
	id, have, err := ix.identity(op)
	switch {
	case err != nil:
		why = err.Error()
	case id != d.id.Disk:
		why = "the index is not this disk's"
	case have != epoch && have != epoch+1:
		why = fmt.Sprintf("the index is stale (epoch %d, disk %d)", have, epoch)
	}
	var stats map[uint32]containerStat
	if why == "" {
		if stats, err = ix.stats(op); err != nil {
			why = err.Error()
		}
	}
	if why != "" {
		_ = ix.close()
		return why
	}
	d.ix = ix
	for num, s := range stats {
		d.containers[num] = &container{num: num, stat: s}
	}
	return ""
}

// emptyIndex starts a new index.
func (d *Disk) emptyIndex(op string) error {
	fs := d.cfg.FS
	if err := fs.RemoveAll(d.cfg.IndexDir); err != nil {
		return errs.E(op, errs.Unavailable, "old index %s: %w", d.cfg.IndexDir, err)
	}
	err := fs.MkdirAll(d.cfg.IndexDir, 0o750)
	if err == nil {
		err = vfs.SyncDir(fs, fs.PathDir(d.cfg.IndexDir))
	}
	if err == nil {
		d.ix, err = openIndex(d.cfg, d.indexFailed)
	}
	if err != nil {
		return errs.E(op, errs.Unavailable, "new index %s: %w", d.cfg.IndexDir, err)
	}
	return nil
}

// indexFailed makes the next Open rebuild the index, and stops writes.
func (d *Disk) indexFailed(reason string) {
	_ = d.cfg.FS.Remove(d.cfg.FS.PathJoin(d.cfg.Dir, epochName)) // gone already is fine; else the index shows its damage again
	d.setState(StoreErr, "index: "+reason, nil)
}

// openContainers opens the files and matches them with the index's table.
func (d *Disk) openContainers(op string, nums []uint32) error {
	table := d.containers
	d.containers = map[uint32]*container{}
	var indexed uint32
	for num := range table {
		indexed = max(indexed, num)
	}
	for _, num := range nums {
		d.highest = max(d.highest, num)
		known := table[num]
		if known == nil && num < indexed {
			// Freed: the index forgot it durably before the file was to go.
			if err := d.removeContainer(num); err != nil {
				return errs.E(op, errs.Unavailable, "freed container %d: %w", num, err)
			}
			continue
		}
		c, err := d.openContainer(num, known, known == nil && num == nums[len(nums)-1])
		if err != nil {
			return errs.Wrap(op, err)
		}
		if c == nil && known == nil {
			continue
		}
		if c == nil {
			known.missing, known.stat.sealed, known.gone = true, true, true
			c = known
		}
		if known != nil {
			c.stat = known.stat
		}
		d.containers[num] = c
	}
	d.highest = max(d.highest, indexed)
	for num, c := range table {
		if !slices.Contains(nums, num) {
			c.missing, c.stat.sealed, c.gone = true, true, true
			d.containers[num] = c
			d.reportCorruption(Corruption{Container: num, Len: c.stat.end, What: "the container file is missing"})
		}
	}
	return nil
}

// openContainer opens container num, known as the index has it. Nil without error: it
// cannot be read (and is reported), or it was being created when the machine died
// (newest) and is removed.
//
// One that cannot be read for now costs its own chunks only if the index knows all
// of it. Otherwise the disk must not open: what replay passes over would later look
// like a freed container, or like batches that a failure has overtaken.
func (d *Disk) openContainer(num uint32, known *container, newest bool) (*container, error) {
	c, err := openContainer(d.cfg, d.id, num)
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, errs.Invalid), errors.Is(err, errs.Unsupported):
		return nil, err
	case !errors.Is(err, errs.Corrupt) && (known == nil || !known.stat.sealed):
		return nil, errs.E("storage.openContainer", errs.Unavailable, "container %d cannot be read: %w", num, err)
	case !errors.Is(err, errs.Corrupt):
		d.reportCorruption(Corruption{Container: num, What: err.Error()})
		return nil, nil
	}
	// The header is damaged, which the records do not need: each proves by itself
	// where it belongs.
	if c.size > containerHeaderSize {
		first, rerr := newScanner(c.file, d.salt, num, c.size, containerHeaderSize).record()
		if first != nil || rerr != nil || !newest {
			d.reportCorruption(Corruption{Container: num, Len: containerHeaderSize, What: err.Error()})
			return c, nil
		}
	}
	// Nothing was acknowledged in a container whose header is not durable.
	return nil, errors.Join(c.file.Close(), d.removeContainer(num))
}

func (d *Disk) removeContainer(num uint32) error {
	err := d.cfg.FS.Remove(d.cfg.FS.PathJoin(d.cfg.Dir, containerName(num)))
	if isNotExist(err) {
		return nil
	}
	return err
}

// replay brings index and containers to one state.
type replay struct {
	d       *Disk
	txn     *txn
	records int64
	prev    *scannedBatch // found, not yet known to have been acknowledged
}

func (r *replay) run(op string) error {
	d := r.d
	nums := make([]uint32, 0, len(d.containers))
	for num, c := range d.containers {
		nums = append(nums, num)
		d.seq = max(d.seq, c.stat.seq)
	}
	slices.Sort(nums)
	for _, num := range nums {
		if c := d.containers[num]; !c.stat.sealed {
			if err := r.container(op, c); err != nil {
				return err
			}
		}
	}
	if err := r.last(op); err != nil {
		return err
	}
	if err := r.txn.commit(op); err != nil {
		return err
	}
	return r.settle(op, nums)
}

// container replays the batches of c that the index lacks.
func (r *replay) container(op string, c *container) error {
	s := newScanner(c.file, r.d.salt, c.num, c.size, c.stat.end)
	for {
		b, err := s.batch()
		if err != nil {
			return errs.Wrap(op, err)
		}
		if b == nil {
			return nil
		}
		floor := r.d.seq + 1
		if r.prev != nil {
			floor = r.prev.seq
		}
		if b.seq < floor {
			// An older batch than one known durable: a stale sector come back.
			r.d.reportCorruption(Corruption{Container: c.num, Offset: b.start, Len: b.end - b.start, What: "stale batch"})
			continue
		}
		if err := r.acknowledged(op, b); err != nil {
			return err
		}
		r.prev = b
	}
}

// acknowledged settles the batch before b: since b exists, it was durable, unless
// b is the same batch written again after a failure.
func (r *replay) acknowledged(op string, b *scannedBatch) error {
	p := r.prev
	if p == nil {
		// The first batch that the index lacks: it follows what the index knows of its
		// container or, in a new container, what its header names.
		c := r.d.containers[b.container]
		if have := max(c.stat.seq, c.after); (have > 0 || c.num == 1) && b.seq > have+1 {
			r.lost(have, b)
		}
		return nil
	}
	if b.seq == p.seq {
		return nil // p failed and was written again as b
	}
	have := p.seq
	if b.container != p.container {
		// Between them may have been containers that are freed by now.
		have = max(have, r.d.containers[b.container].after)
		if b.container == p.container+1 {
			have = p.seq
		}
	}
	if b.seq != have+1 {
		r.lost(have, b)
	}
	if !p.whole {
		r.d.reportCorruption(Corruption{Container: p.container, Offset: p.start, Len: p.end - p.start,
			What: fmt.Sprintf("records of batch %d are damaged", p.seq)})
	}
	return r.apply(op, p)
}

func (r *replay) lost(after uint64, b *scannedBatch) {
	r.d.reportCorruption(Corruption{Container: b.container, Offset: b.start,
		What: fmt.Sprintf("batches %d to %d are lost", after+1, b.seq-1)})
}

// last settles the very last batch: whole or never acknowledged.
func (r *replay) last(op string) error {
	p := r.prev
	if p == nil {
		return nil
	}
	d := r.d
	c := d.containers[p.container]
	if p.whole {
		s := newScanner(c.file, d.salt, c.num, c.size, p.start)
		ok, err := s.verify(p)
		if err != nil {
			return errs.Wrap(op, err)
		}
		if ok {
			if err := rewrite(c, p.start, p.end); err != nil {
				d.setState(Warn, "recovered records cannot be made durable", err)
				d.emit(Quarantined{Container: c.num, Err: err})
			}
			return r.apply(op, p)
		}
	}
	d.emit(TornBatch{Container: p.container, Offset: p.start, Seq: p.seq})
	return nil
}

// rewrite makes [start, end) of c durable even if an earlier sync of it failed:
// the kernel then has clean pages that never reached the disk, which only a new
// write makes it write.
func rewrite(c *container, start, end int64) error {
	b := make([]byte, min(scanChunk, end-start))
	for off := start; off < end; off += int64(len(b)) {
		b = b[:min(int64(len(b)), end-off)]
		n, err := c.file.ReadAt(b, off)
		if n < len(b) {
			clear(b[n:])
			_ = err // the file ends inside the last record's padding
		}
		if _, err := c.file.WriteAt(b, off); err != nil {
			return err
		}
	}
	return c.file.SyncData()
}

// apply adds the records of a durable batch to the index.
func (r *replay) apply(op string, b *scannedBatch) error {
	for i := range b.records {
		rec := &b.records[i]
		if err := r.txn.apply(op, rec.key, entryOf(rec.header, rec.owner)); err != nil {
			return err
		}
	}
	s, _ := r.txn.stat(b.container)
	s.end, s.seq = b.end, b.seq
	r.txn.stats[b.container] = s
	r.d.seq = b.seq
	r.records += int64(len(b.records))
	if len(r.txn.entries) < replayBatchLen {
		return nil
	}
	if err := r.txn.commit(op); err != nil {
		return err
	}
	r.txn = r.d.begin()
	return nil
}

// settle seals all containers but the highest, clears what a crash left behind
// the last durable batch, and makes the highest the active one.
func (r *replay) settle(op string, nums []uint32) error {
	d := r.d
	t := d.begin()
	for i, num := range nums {
		c := d.containers[num]
		if c.stat.sealed {
			continue
		}
		if err := clearTail(c); err != nil {
			d.setState(Warn, "cannot clear the tail of a container", err)
			s, _ := t.stat(num)
			s.sealed, s.quarantined = true, true
			t.stats[num] = s
			d.emit(Quarantined{Container: num, Err: err})
			continue
		}
		if i < len(nums)-1 {
			s, _ := t.stat(num)
			s.sealed = true
			t.stats[num] = s
			continue
		}
		d.active = c
	}
	return t.commit(op)
}

// clearTail makes all behind the last durable batch zero again, if it is not.
func clearTail(c *container) error {
	end := c.stat.end
	limit := min(c.size, end+batchBytesLimit)
	b := make([]byte, scanChunk)
	dirty := false
	for off := end; off < limit && !dirty; off += int64(len(b)) {
		n, _ := c.file.ReadAt(b[:min(int64(len(b)), limit-off)], off) // an unreadable tail is not zero
		if n == 0 {
			dirty = true
		}
		for p := b[:n]; len(p) >= 8; p = p[8:] {
			if binary.LittleEndian.Uint64(p) != 0 {
				dirty = true
				break
			}
		}
	}
	if !dirty {
		return nil
	}
	if err := c.file.Zero(end, c.size-end); err != nil {
		return err
	}
	if err := c.file.Preallocate(c.size); err != nil {
		return err
	}
	return c.file.SyncData()
}
