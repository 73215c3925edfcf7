package protect

import (
	"context"

	"torc/chunk"
	"torc/internal/errs"
)

// Delete implements chunk.Deleter for the group of main key k: a tombstone on
// every home, and on every hand-off place that holds a fragment which its home
// lacks. It succeeds once an acknowledgeable set of homes has the tombstone;
// Receipt.Durable counts the fragments that are gone for good, at home and on
// hand-off places. Until the receipt is whole a fragment may be left somewhere:
// whoever owns the deletion repeats it until then.
func (s *Store) Delete(ctx context.Context, k chunk.Key, v chunk.Version) (chunk.Receipt, error) {
	const op = "protect.Delete"
	if v == 0 {
		return chunk.Receipt{}, errs.E(op, errs.Invalid, "%s: version 0", k)
	}
	if err := ctx.Err(); err != nil {
		return chunk.Receipt{}, errs.Wrap(op, err)
	}
	g, err := s.enter(op, k)
	if err != nil {
		return chunk.Receipt{}, err
	}
	defer s.work.Done()
	s.count.deletes.Add(1)
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	d := &deletion{s: s, g: g, v: v, gone: make([]bool, g.homes()), results: make(chan deleted, 2*g.homes())}
	for i := range g.homes() {
		s.work.Add(1)
		go func() {
			defer s.work.Done()
			d.fragment(work, i)
		}()
	}
	d.collect(ctx)
	return d.answer(ctx)
}

// deletion is one Delete under way.
type deletion struct {
	s       *Store
	g       *group
	v       chunk.Version
	results chan deleted // room for all there can be: nobody waits to be heard

	homes   []int  // with a durable tombstone
	gone    []bool // by fragment: nothing is left of it anywhere
	stale   error
	failure error
	unsure  bool // some home may have the tombstone without having said so
}

// deleted says how one half of deleting one fragment went.
type deleted struct {
	frag    int
	handoff bool // about the hand-off places; the home otherwise
	err     error
}

// collect waits for all results; for those that take longer than HandoffAfter
// only until the deletion can be acknowledged.
func (d *deletion) collect(ctx context.Context) {
	late, stopLate := d.s.cfg.Clock.After(d.s.cfg.HandoffAfter)
	defer stopLate()
	timeout, stop := d.s.cfg.Clock.After(d.s.cfg.WriteTimeout)
	defer stop()
	isLate := false
	for left := 2 * d.g.homes(); left > 0 && !(isLate && d.g.ackable(d.homes)); {
		select {
		case r := <-d.results:
			left--
			d.note(r)
		case <-late:
			isLate = true
		case <-timeout:
			d.unsure = true
			return
		case <-ctx.Done():
			d.unsure = true
			return
		}
	}
}

func (d *deletion) note(r deleted) {
	switch {
	case r.handoff:
		d.gone[r.frag] = r.err == nil
	case r.err == nil:
		d.homes = append(d.homes, r.frag)
	case errs.Is(r.err, errs.Stale):
		d.stale = r.err
	default:
		d.failure = r.err
		d.unsure = d.unsure || !hadNoEffect(errs.KindOf(r.err))
	}
}

func (d *deletion) answer(ctx context.Context) (chunk.Receipt, error) {
	const op = "protect.Delete"
	switch {
	case d.stale != nil:
		return chunk.Receipt{}, errs.Wrap(op, d.stale)
	case d.g.ackable(d.homes):
		r := chunk.Receipt{Want: d.g.n}
		for _, i := range d.homes {
			if d.gone[i] {
				r.Durable++
			}
		}
		return r, nil
	case ctx.Err() != nil:
		return chunk.Receipt{}, errs.Wrap(op, ctx.Err())
	}
	kind := errs.Unavailable
	if d.unsure || len(d.homes) > 0 {
		kind = errs.Unknown
	}
	return chunk.Receipt{}, errs.E(op, kind, "%s: %d of %d tombstones durable, want at least %d (on two servers where there are): %w",
		d.g.key, len(d.homes), d.g.n, d.g.quorum, orNoPlace(d.failure))
}

// fragment deletes fragment i at its home, having asked what the home holds: a
// fragment that its home lacks may lie on hand-off places, and must not come
// back from there.
func (d *deletion) fragment(ctx context.Context, i int) {
	k := d.g.key.Sibling(i)
	store := d.g.places[i].Store
	held, err := false, errs.E("protect.Delete", errs.Unavailable, "the place has no store")
	if store != nil {
		info, statErr := store.Stat(ctx, k)
		held = statErr == nil && !info.Deleted && info.Version <= d.v
		_, err = store.Delete(ctx, k, d.v)
	}
	d.results <- deleted{frag: i, err: err}
	if !held && !errs.Is(err, errs.Stale) {
		err = d.handoffs(ctx, k)
	}
	d.results <- deleted{frag: i, handoff: true, err: err}
}

// handoffs deletes k where hand-off places hold it.
func (d *deletion) handoffs(ctx context.Context, k chunk.Key) error {
	places := d.g.places[d.g.homes():]
	results := make(chan error, len(places))
	for _, p := range places {
		go func() { results <- d.handoff(ctx, p, k) }()
	}
	var failure error
	for range places {
		if err := <-results; err != nil {
			failure = err
		}
	}
	return failure
}

func (d *deletion) handoff(ctx context.Context, p chunk.Place, k chunk.Key) error {
	if p.Store == nil {
		return errs.E("protect.Delete", errs.Unavailable, "the place has no store")
	}
	info, err := p.Store.Stat(ctx, k)
	if err == nil && !info.Deleted {
		_, err = p.Store.Delete(ctx, k, d.v)
	}
	if errs.Is(err, errs.NotFound) || errs.Is(err, errs.Stale) {
		return nil
	}
	return err
}
