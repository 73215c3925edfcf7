package object

import (
	"time"

	"torc/internal/clock"
	"torc/internal/codec"
	"torc/internal/errs"
	"torc/meta"
)

// reference asks whether the record a chunk names as its owner, or any other at
// the same object, still refers to the base.
type reference struct {
	Owner Owner
	Base  Base
}

type refsQuery struct{ Refs []reference }

func (q *refsQuery) code(c *coder) {
	codec.List(c, &q.Refs, func(c *coder, r *reference) { r.Owner.code(c); r.Base.code(c) })
}

// refsReply answers the first references; the others are to be sent again,
// routed by the first of them.
type refsReply struct{ Used []bool }

func (r *refsReply) code(c *coder) { codec.List(c, &r.Used, func(c *coder, b *bool) { c.Flag(b) }) }

func evalRefs(txn meta.Txn, q *refsQuery, r *refsReply) error {
	bases := map[string]map[Base]bool{} // by anchor: objects of 10,000 parts are asked for 10,000 times
	for i, ref := range q.Refs {
		anchor := objectKey(ref.Owner.Bucket, ref.Owner.Key)
		if i > 0 && !holds(txn, anchor) {
			break
		}
		known, ok := bases[string(anchor)]
		if !ok {
			var err error
			if known, err = objectBases(txn, anchor); err != nil {
				return err
			}
			bases[string(anchor)] = known
		}
		used, err := known[ref.Base], error(nil)
		if !used {
			used, err = waiting(txn, anchor, ref)
		}
		if err != nil {
			return err
		}
		r.Used = append(r.Used, used)
	}
	return nil
}

func objectBases(txn meta.Txn, anchor []byte) (map[Base]bool, error) {
	var rec objectRecord
	if _, err := load(txn, "object", anchor, &rec); err != nil {
		return nil, err
	}
	m := make(map[Base]bool, len(rec.Part))
	for _, p := range rec.Part {
		m[p.Extent.Base] = true
	}
	return m, nil
}

// waiting reports that a base is in the purge queue or a part of an upload.
func waiting(txn meta.Txn, anchor []byte, ref reference) (bool, error) {
	if v, err := txn.Get(purgeKey(anchor, ref.Base)); err != nil || v != nil {
		return v != nil, err
	}
	if ref.Owner.Upload == "" {
		return false, nil
	}
	var p Part
	found, err := load(txn, "part", partKey(anchor, ref.Owner.Upload, ref.Owner.Part), &p)
	return found && p.Extent.Base == ref.Base, err
}

// discardCommand queues an extent that was written and will never be committed.
type discardCommand struct {
	Owner  Owner
	Extent Extent
}

func (q *discardCommand) code(c *coder) { q.Owner.code(c); q.Extent.code(c) }

// evalDiscard refuses an extent in use: whatever a connector believes, what a
// record refers to is not purged.
func evalDiscard(txn meta.Txn, q *discardCommand, _ *empty) error {
	refs := refsQuery{Refs: []reference{{q.Owner, q.Extent.Base}}}
	var used refsReply
	if err := evalRefs(txn, &refs, &used); err != nil {
		return err
	}
	if used.Used[0] {
		return errs.E("object.discard", errs.Conflict, "the bytes are in use")
	}
	return release(txn, objectKey(q.Owner.Bucket, q.Owner.Key), q.Extent)
}

// walkQuery asks for a stretch of a local table from a key on.
type walkQuery struct {
	From  []byte        // a local key; the table's first when empty
	Limit int           // entries returned
	Grace time.Duration // younger entries are not due
}

func (q *walkQuery) code(c *coder) {
	c.Bytes(&q.From)
	codec.Number(c, &q.Limit)
	codec.Number(c, &q.Grace)
}

// walkWorkMax bounds the entries that one command looks at.
const walkWorkMax = 8192

// walk calls fn over a local table from q.From on. It returns where to go on,
// nil at the table's end. fn returns false to stop before the entry it was given.
func walk(txn meta.Txn, table byte, from []byte, fn func(anchor, suffix, v []byte) (bool, error)) (next []byte, err error) {
	span := meta.LocalSpan(table, nil, nil)
	if len(from) > 0 {
		span.From = from
	}
	var bad error
	seen := 0
	err = txn.Scan(span, func(k, v []byte) bool {
		var (
			anchor, suffix []byte
			on             bool
		)
		if _, anchor, suffix, bad = meta.SplitLocalKey(k); bad != nil {
			return false
		}
		if seen++; seen <= walkWorkMax {
			on, bad = fn(anchor, suffix, v)
		}
		if !on && bad == nil {
			next = append([]byte(nil), k...)
		}
		return on
	})
	if err = firstError(err, bad); err != nil {
		return nil, err
	}
	if end := txn.Range().To; next == nil && end != nil {
		next = meta.LocalKey(table, end, nil)
	}
	return next, nil
}

// purgeEntry is an entry of the queue with its place.
type purgeEntry struct {
	Anchor []byte
	Record purgeRecord
}

// purgePage is a stretch of the queue: the due entries, and figures over all
// that were looked at.
type purgePage struct {
	Due    []purgeEntry
	Next   []byte
	Seen   int64
	Bytes  int64
	Oldest time.Duration
}

func (p *purgePage) code(c *coder) {
	codec.List(c, &p.Due, func(c *coder, e *purgeEntry) { c.Bytes(&e.Anchor); e.Record.code(c) })
	c.Bytes(&p.Next)
	codec.Number(c, &p.Seen)
	codec.Number(c, &p.Bytes)
	codec.Number(c, &p.Oldest)
}

func evalPurgeScan(txn meta.Txn, q *walkQuery, r *purgePage) (err error) {
	now := txn.Now().Time()
	r.Next, err = walk(txn, localPurge, q.From, func(anchor, _, v []byte) (bool, error) {
		if len(r.Due) >= q.Limit {
			return false, nil
		}
		e := purgeEntry{Anchor: anchor}
		if err := decode("purge entry", v, &e.Record); err != nil {
			return false, err
		}
		age := now.Sub(e.Record.At.Time())
		r.Seen++
		r.Bytes += e.Record.Extent.Size
		r.Oldest = max(r.Oldest, age)
		if age >= q.Grace && !now.Before(stampTime(e.Record.NotBefore)) {
			r.Due = append(r.Due, e)
		}
		return true, nil
	})
	return err
}

// purgeDone removes the entries whose bytes are gone and puts off the others.
type purgeDone struct {
	Gone  []purgeEntry
	Later []purgeEntry
	Delay []time.Duration // of each of Later
}

func (q *purgeDone) code(c *coder) {
	entry := func(c *coder, e *purgeEntry) { c.Bytes(&e.Anchor); e.Record.code(c) }
	codec.List(c, &q.Gone, entry)
	codec.List(c, &q.Later, entry)
	codec.List(c, &q.Delay, func(c *coder, d *time.Duration) { codec.Number(c, d) })
}

func evalPurgeDone(txn meta.Txn, q *purgeDone, _ *empty) error {
	if len(q.Delay) != len(q.Later) {
		return errs.E("object.purge", errs.Invalid, "%d delays for %d entries", len(q.Delay), len(q.Later))
	}
	for _, e := range q.Gone {
		if holds(txn, e.Anchor) {
			txn.Delete(purgeKey(e.Anchor, e.Record.Extent.Base))
		}
	}
	for i, e := range q.Later {
		if !holds(txn, e.Anchor) {
			continue
		}
		e.Record.Attempts++
		e.Record.NotBefore = clock.MakeTimestamp(txn.Now().Time().Add(q.Delay[i]), 0)
		store(txn, purgeKey(e.Anchor, e.Record.Extent.Base), &e.Record)
	}
	return nil
}

// expired answers evalOutcomeExpire.
type expired struct {
	Next    []byte
	Removed int
}

func (r *expired) code(c *coder) { c.Bytes(&r.Next); codec.Number(c, &r.Removed) }

// evalOutcomeExpire forgets the outcomes of completions older than q.Grace.
func evalOutcomeExpire(txn meta.Txn, q *walkQuery, r *expired) error {
	now := txn.Now().Time()
	var old [][]byte
	next, err := walk(txn, localOutcome, q.From, func(anchor, suffix, v []byte) (bool, error) {
		if len(old) >= q.Limit {
			return false, nil
		}
		var o outcomeRecord
		if err := decode("outcome", v, &o); err != nil {
			return false, err
		}
		if now.Sub(o.Head.At.Time()) >= q.Grace {
			old = append(old, outcomeKey(anchor, UploadID(suffix)))
		}
		return true, nil
	})
	for _, k := range old {
		txn.Delete(k)
	}
	r.Next, r.Removed = next, len(old)
	return err
}
