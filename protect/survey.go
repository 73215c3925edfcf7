package protect

import (
	"context"

	"torc/chunk"
	"torc/internal/errs"
)

// survey asks what the places hold of a group: all homes first, and the
// hand-off places about those fragments that the homes leave open. Homes that
// do not answer within HedgeAfter are not waited for alone; any place that does
// not answer counts as silent as soon as the others' answers decide without it,
// and after HandoffAfter in any case; silent nodes are not waited for even that
// long. Unless it is to be thorough, the survey of
// a key written once ends with the homes if they can give the value.
func (s *Store) survey(ctx context.Context, g *group, thorough bool) (*census, error) {
	s.count.surveys.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &census{layout: g.layout, overwritten: g.overwritten}
	q := s.newInquiry(g)
	defer close(q.gone)
	for i := range g.homes() {
		q.ask(ctx, i, i)
	}
	if err := q.collect(ctx, c, func() bool { return true }); err != nil {
		return nil, err
	}
	if !g.overwritten && !thorough && c.decided() {
		return c, nil
	}
	for _, frag := range c.unsettled() {
		for place := g.homes(); place < len(g.places); place++ {
			q.ask(ctx, frag, place)
		}
	}
	if err := q.collect(ctx, c, c.decided); err != nil {
		return nil, err
	}
	return c, nil
}

// inquiry is a set of Stats under way.
type inquiry struct {
	s       *Store
	g       *group
	answers chan sighting
	gone    chan struct{}    // closed when nobody listens any more
	pending map[attempt]bool // asked and not answered
}

func (s *Store) newInquiry(g *group) *inquiry {
	return &inquiry{s: s, g: g, answers: make(chan sighting), gone: make(chan struct{}), pending: map[attempt]bool{}}
}

func (q *inquiry) ask(ctx context.Context, frag, place int) {
	q.pending[attempt{frag, place}] = true
	store := q.g.places[place].Store
	k := q.g.key.Sibling(frag)
	q.s.work.Add(1)
	go func() {
		defer q.s.work.Done()
		a := sighting{frag: frag, place: place, err: errs.Unavailable}
		if store != nil {
			a.info, a.err = store.Stat(ctx, k)
		}
		select {
		case q.answers <- a:
		case <-q.gone:
		}
	}()
}

// collect gathers answers until none is pending or HandoffAfter is up. enough,
// asked after HedgeAfter and then at every answer, may end it earlier.
func (q *inquiry) collect(ctx context.Context, c *census, enough func() bool) error {
	clk := q.s.cfg.Clock
	hedge, stopHedge := clk.After(q.s.cfg.HedgeAfter)
	defer stopHedge()
	timeout, stop := clk.After(q.s.cfg.HandoffAfter)
	defer stop()
	hedged := false
	for len(q.pending) > 0 {
		select {
		case a := <-q.answers:
			delete(q.pending, attempt{a.frag, a.place})
			c.add(a)
		case <-hedge:
			hedged = true
			q.noteSilence()
		case <-timeout:
			c.silent = q.silent()
			return nil
		case <-ctx.Done():
			return errs.Wrap("protect: survey", ctx.Err())
		}
		c.silent = q.silent()
		if hedged && enough() || q.onlySilent() && c.decided() {
			return nil
		}
	}
	c.silent = q.silent()
	return nil
}

// noteSilence lets the reads that follow ask others than those who have not
// answered for HedgeAfter.
func (q *inquiry) noteSilence() {
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	now := q.s.cfg.Clock.Now()
	for _, place := range q.silent() {
		q.s.pace.passed(q.g.places[place].Node, smallRead, q.s.cfg.HedgeAfter, now)
	}
}

// onlySilent reports whether all that has not answered was silent before.
func (q *inquiry) onlySilent() bool {
	if q.g.silent == nil {
		return false
	}
	for a := range q.pending {
		if !q.g.silent[a.place] {
			return false
		}
	}
	return true
}

func (q *inquiry) silent() []int {
	var out []int
	for a := range q.pending {
		out = union(out, []int{a.place})
	}
	return out
}

// report tells what a survey found wrong with the value that it found.
func (s *Store) report(g *group, c *census, f *found) {
	for _, x := range c.seen {
		if x.place != x.frag || x.err == nil && x.info.Version >= f.version {
			continue
		}
		if x.err == nil || errs.Is(x.err, errs.NotFound) {
			s.emit(Event{Kind: FragmentMissing, Key: g.key.Sibling(x.frag), Node: g.places[x.place].Node, Version: f.version, Err: x.err})
		}
	}
}

// source is a place to read a fragment from.
type source struct {
	frag, place int
}

// failed notes why a source gave nothing.
func (s *Store) failed(g *group, src source, err error) {
	kind := FragmentCorrupt
	switch {
	case errs.Is(err, errs.NotFound):
		kind = FragmentMissing
	case !errs.Is(err, errs.Corrupt):
		return
	}
	s.emit(Event{Kind: kind, Key: g.key.Sibling(src.frag), Node: g.places[src.place].Node, Err: err})
}

// fetched is the outcome of one fragment read.
type fetched struct {
	source
	window chunk.Range
	c      *chunk.Chunk
	err    error
}

// reads is a set of Gets under way. Whoever leaves closes gone and cancels the
// context; reads that end later give their buffers back themselves.
type reads struct {
	s       *Store
	g       *group
	results chan fetched
	gone    chan struct{}
}

func (s *Store) newReads(g *group) *reads {
	return &reads{s: s, g: g, results: make(chan fetched), gone: make(chan struct{})}
}

func (r *reads) start(ctx context.Context, src source, window chunk.Range) {
	store := r.g.places[src.place].Store
	k := r.g.key.Sibling(src.frag)
	r.s.work.Add(1)
	r.s.mu.Lock()
	r.s.pace.asked()
	r.s.mu.Unlock()
	go func() {
		defer r.s.work.Done()
		f := fetched{source: src, window: window, err: errs.Unavailable}
		if store != nil {
			start := r.s.cfg.Clock.Now()
			if f.c, f.err = store.Get(ctx, k, window); f.err == nil {
				r.s.answered(r.g.places[src.place].Node, window, r.s.cfg.Clock.Now().Sub(start))
			}
		}
		select {
		case r.results <- f:
		case <-r.gone:
			f.c.Release()
		}
	}()
}
