package storage

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"sync"

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

	outcome

	h header // set by the committer
}

// outcome is how a write and its caller part.
type outcome struct {
	done    chan error    // the answer
	written chan struct{} // a signal that opWriting is over

	mu    sync.Mutex
	state opState
}

func newOutcome() outcome {
	return outcome{done: make(chan error, 1), written: make(chan struct{}, 1)}
}

// opState says who may do what with a write.
type opState uint8

const (
	opQueued    opState = iota // its caller may withdraw it
	opWithdrawn                // the committer must not take it
	opTaken                    // its caller may leave it, with a copy of its memory
	opWriting                  // the committer reads the caller's memory
)

// to changes the state if it is from.
func (o *outcome) to(from, to opState) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state != from {
		return false
	}
	o.state = to
	return true
}

// Put implements chunk.Putter. A context that ends before the write is taken up
// withdraws it; one that ends later leaves it to be stored or not.
func (d *Disk) Put(ctx context.Context, w chunk.Write) (chunk.Receipt, error) {
	const name = "storage.Put"
	if err := w.Validate(); err != nil {
		return chunk.Receipt{}, err
	}
	o := &pending{name: name, k: w.Key, data: w.Data, outcome: newOutcome()}
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
	if err := d.enter(ctx, o.name); err != nil {
		return err
	}
	old, err := d.find(ctx, o.name, o.k)
	d.leave()
	if err == nil && !old.deleted && old.version == o.e.version {
		var c *chunk.Chunk
		c, err = d.Get(ctx, o.k, chunk.All)
		c.Release()
	}
	switch {
	case errors.Is(err, errs.Corrupt):
		return d.submit(ctx, &pending{name: o.name, k: o.k, e: o.e, meta: o.meta, data: o.data, over: &old, outcome: newOutcome()})
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
	o := &pending{name: name, k: k, e: entry{version: v, deleted: true}, outcome: newOutcome()}
	if err := d.submit(ctx, o); err != nil {
		return chunk.Receipt{}, err
	}
	d.count.deletes.Add(1)
	return chunk.Receipt{Want: 1, Durable: 1}, nil
}

// submit hands o to the committer and waits for its outcome. When ctx ends it
// withdraws o or, once it is taken, leaves it to its fate: a sync may hang for as
// long as a sick disk likes. Only a write under way is waited for.
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
		if o.to(opQueued, opWithdrawn) {
			return errs.Wrap(o.name, ctx.Err())
		}
	case <-d.ended:
		if o.to(opQueued, opWithdrawn) {
			return closed
		}
		return <-o.done
	}
	for {
		if o.leave() {
			return errs.Wrap(o.name, ctx.Err())
		}
		select {
		case err := <-o.done:
			return err
		case <-o.written:
		}
	}
}

// leave gives o memory of its own if the committer is not reading the caller's.
func (o *pending) leave() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state != opTaken {
		return false
	}
	o.data, o.meta = bytes.Clone(o.data), bytes.Clone(o.meta)
	return true
}

// prepare completes o's header but for what depends on its place.
func (o *pending) prepare(seq uint64) {
	o.e.seq = seq
	o.h = o.e.header(o.k)
	if o.from != nil {
		o.h.flags |= flagRelocated
	}
	o.mu.Lock() // the caller may be leaving
	defer o.mu.Unlock()
	o.h.metaSum = crc32.Checksum(o.meta, castagnoli)
}

// replaces reports whether o was made to take the place of record old.
func (o *pending) replaces(old *entry) bool {
	return o.over != nil && o.over.container == old.container && o.over.pos == old.pos
}
