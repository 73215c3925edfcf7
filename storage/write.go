package storage

import (
	"context"
	"errors"
	"hash/crc32"
	"sync/atomic"

	"torc/chunk"
	"torc/internal/errs"
)

// pending is one write on its way to the committer.
type pending struct {
	name string // for errors
	k    chunk.Key
	e    entry  // what it will be in the index; container, pos and seq are set by the committer
	meta []byte // owner and block checksums
	data []byte // the caller's, valid until done

	// relocation: the record that this one copies; the copy is dropped if the key
	// has moved on.
	from *entry

	over  *entry // damaged: the record that this one is to replace although the version is the same
	again bool   // set by the committer: the version was stored already

	state atomic.Int32
	done  chan error

	h header // set by the committer
}

// States of an op: the committer takes it, or its caller withdraws it.
const (
	opQueued = iota
	opTaken
	opWithdrawn
)

// Put implements chunk.Putter. A context that ends before the write is taken up
// withdraws it; after that Put waits for the disk.
func (d *Disk) Put(ctx context.Context, w chunk.Write) (chunk.Receipt, error) {
	const name = "storage.Put"
	if err := w.Validate(); err != nil {
		return chunk.Receipt{}, err
	}
	o := &pending{name: name, k: w.Key, data: w.Data, done: make(chan error, 1)}
	o.e = entry{version: w.Version, size: int64(len(w.Data)), groupSize: w.GroupSize}
	if len(w.Owner) > 0 {
		o.e.owner = append([]byte(nil), w.Owner...) // the index transaction keeps it
	}
	// Checksums are made here, by as many cores as there are writers.
	o.meta = append(o.meta, w.Owner...)
	o.meta, o.e.sum = blockSums(o.meta, w.Data)
	err := d.submit(ctx, o)
	if err == nil && o.again {
		err = d.putAgain(ctx, o)
	}
	if err != nil {
		return chunk.Receipt{}, err
	}
	d.count.puts.Add(1)
	d.count.putBytes.Add(o.e.size)
	return chunk.Receipt{Want: 1, Durable: 1}, nil
}

// putAgain acknowledges o, whose version is stored already, only if that can still be
// read; otherwise it writes it once more. This is how a damaged chunk gets well.
func (d *Disk) putAgain(ctx context.Context, o *pending) error {
	old, err := d.find(ctx, o.name, o.k)
	if err == nil && !old.deleted && old.version == o.e.version {
		var c *chunk.Chunk
		c, err = d.Get(ctx, o.k, chunk.All)
		c.Release()
	}
	switch {
	case errors.Is(err, errs.Corrupt):
		return d.submit(ctx, &pending{name: o.name, k: o.k, e: o.e, meta: o.meta, data: o.data, over: &old, done: make(chan error, 1)})
	case errors.Is(err, errs.NotFound):
		return nil // it was stored; a delete has overtaken it
	default:
		return err
	}
}

// Delete implements chunk.Deleter.
func (d *Disk) Delete(ctx context.Context, k chunk.Key, v chunk.Version) (chunk.Receipt, error) {
	const name = "storage.Delete"
	if v == 0 {
		return chunk.Receipt{}, errs.E(name, errs.Invalid, "%s: version 0", k)
	}
	o := &pending{name: name, k: k, e: entry{version: v, deleted: true}, done: make(chan error, 1)}
	if err := d.submit(ctx, o); err != nil {
		return chunk.Receipt{}, err
	}
	d.count.deletes.Add(1)
	return chunk.Receipt{Want: 1, Durable: 1}, nil
}

// submit hands o to the committer and waits for its outcome.
func (d *Disk) submit(ctx context.Context, o *pending) error {
	if err := ctx.Err(); err != nil {
		return errs.Wrap(o.name, err)
	}
	if err := d.writable(o.name); err != nil {
		return err
	}
	closed := errs.E(o.name, errs.Closed, "disk %s is closed", d.cfg.Dir)
	select {
	case d.queue <- o:
	case <-ctx.Done():
		return errs.Wrap(o.name, ctx.Err())
	case <-d.quit:
		return closed
	}
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		if o.state.CompareAndSwap(opQueued, opWithdrawn) {
			return errs.Wrap(o.name, ctx.Err())
		}
	case <-d.ended:
		if o.state.CompareAndSwap(opQueued, opWithdrawn) {
			return closed
		}
	}
	return <-o.done
}

// prepare completes o's header but for what depends on its place.
func (o *pending) prepare(seq uint64) {
	o.e.seq = seq
	o.h = o.e.header(o.k)
	if o.from != nil {
		o.h.flags |= flagRelocated
	}
	o.h.metaSum = crc32.Checksum(o.meta, castagnoli)
}

// replaces reports whether o was made to take the place of record old.
func (o *pending) replaces(old *entry) bool {
	return o.over != nil && o.over.container == old.container && o.over.pos == old.pos
}
