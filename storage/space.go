package storage

import (
	"time"

	"torc/internal/errs"
)

// spaceCheckInterval is how old a measure of free space may be for a put.
const spaceCheckInterval = time.Second

// refusesPuts returns the error for puts while free space is below the reserve or,
// once the disk is full, until a whole container fits above it again: the state must not
// flap. Nil otherwise.
func (d *Disk) refusesPuts() error {
	now := d.cfg.Clock.Now()
	d.mu.RLock()
	want := d.cfg.Reserve
	if d.reasons[Full] != "" {
		want += d.cfg.ContainerSize
	}
	sp, fresh := d.space, !d.spaceAt.IsZero() && now.Sub(d.spaceAt) < spaceCheckInterval && now.Sub(d.spaceAt) >= 0
	d.mu.RUnlock()
	if !fresh {
		sp = d.measureSpace()
		d.mu.Lock()
		d.space, d.spaceAt = sp, now
		d.mu.Unlock()
	}
	if sp.free >= want || sp.capacity == 0 {
		d.clearFull()
		return nil
	}
	d.setState(Full, "free space is below the reserve", nil)
	return errs.E("storage.Put", errs.Full, "disk %s: %d bytes free, %d are kept in reserve", d.cfg.Dir, sp.free, d.cfg.Reserve)
}

// spaceFor returns errs.Full if a new container of size bytes would take what is
// kept for others: the reserve is for deletes and relocation, the last half of it for
// relocation alone, which deletes without end must not leave without room.
func (d *Disk) spaceFor(size int64, write []*pending) error {
	sp := d.measureSpace()
	d.mu.Lock()
	d.space, d.spaceAt = sp, d.cfg.Clock.Now()
	d.mu.Unlock()
	keep := int64(0)
	switch need(write) {
	case needPut:
		keep = d.cfg.Reserve
	case needDelete:
		keep = d.cfg.Reserve / 2
	case needRelocation:
		return nil
	}
	if sp.capacity == 0 || sp.free-size >= keep {
		return nil
	}
	d.setState(Full, "free space is below the reserve", nil)
	return errs.E("storage.commit", errs.Full, "disk %s: %d bytes free, %d are kept in reserve", d.cfg.Dir, sp.free, keep)
}

// How little a write must leave of the free space, from least to most.
const (
	needRelocation = iota
	needDelete
	needPut
)

// need returns the highest need of some writes.
func need(write []*pending) int {
	n := needRelocation
	for _, o := range write {
		n = max(n, o.need())
	}
	return n
}

func (o *pending) need() int {
	switch {
	case o.from != nil:
		return needRelocation
	case o.e.deleted:
		return needDelete
	}
	return needPut
}
