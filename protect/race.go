package protect

import (
	"context"
	"slices"
	"time"

	"torc/chunk"
	"torc/internal/errs"
)

// order returns the sources in the order to ask them: good places of this
// server, other good places in turn, silent ones, then the rest.
func (s *Store) order(g *group, at [][]int) []source {
	out := make([]source, 0, len(at))
	turn := int(s.turn.Add(1)) % len(at)
	for i := range at {
		frag := (i + turn) % len(at)
		for _, p := range at[frag] {
			out = append(out, source{frag, p})
		}
	}
	rank := func(x source) int {
		switch {
		case !g.good[x.place]:
			return 3
		case g.isSilent(x.place):
			return 2
		case s.cfg.Local != "" && g.places[x.place].Server != s.cfg.Local:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(out, func(a, b source) int { return rank(a) - rank(b) })
	return out
}

// race reads r from the first source that gives it: the next is asked when one
// fails, and also when one is late. want, if set, is the only generation that
// counts. Without it a NotFound makes the race fail even if others answer: the
// place may hold a tombstone, and only a survey can tell.
func (s *Store) race(ctx context.Context, g *group, srcs []source, r chunk.Range, want *generation) (*chunk.Chunk, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rd := s.newReads(g)
	defer close(rd.gone)
	running, next := 0, 0
	var late <-chan time.Time       // fires when the last one started is late
	var delay, waited time.Duration // until then; since it was started
	stop := func() {}
	defer func() { stop() }()
	arm := func() {
		stop()
		late, stop = nil, func() {}
		if next < len(srcs) {
			delay = s.hedgeAfter(r)
			late, stop = s.cfg.Clock.After(delay)
		}
	}
	start := func() {
		rd.start(ctx, srcs[next], r)
		running, next, waited = running+1, next+1, 0
		arm()
	}
	var failure error
	for {
		if running == 0 {
			if next == len(srcs) {
				return nil, orNoSource(failure)
			}
			start()
		}
		select {
		case f := <-rd.results:
			running--
			err := f.err
			if err == nil {
				if want == nil || want.equal(generationOf(f.c.Info)) {
					return f.c, nil
				}
				err = errs.E("protect: read", errs.NotFound, "version %v, want %v", f.c.Version, want.version)
				f.c.Release()
			}
			s.failed(g, f.source, err)
			failure = worse(failure, err)
			if want == nil && (errs.Is(err, errs.NotFound) || errs.Is(err, errs.OutOfRange)) {
				return nil, err
			}
			if running > 0 && next < len(srcs) && f.source == srcs[next-1] {
				start() // it did not have to be late to be replaced
			}
		case <-late:
			waited += delay
			if s.passedBy(g, srcs[next-1:next], r, delay, waited >= s.cfg.HandoffAfter) {
				start()
			} else {
				arm()
			}
		case <-ctx.Done():
			return nil, errs.Wrap("protect: read", ctx.Err())
		}
	}
}

// worse picks the error to report for a value none of whose sources gave it:
// Corrupt only if all are, otherwise Unavailable, since a generation that a
// survey found is not absent.
func worse(a, b error) error {
	if a == nil && errs.Is(b, errs.Corrupt) || errs.Is(a, errs.Corrupt) && errs.Is(b, errs.Corrupt) {
		return b
	}
	return errs.E("protect: read", errs.Unavailable, "no source gave it, the last: %w", b)
}

func orNoSource(err error) error {
	if err == nil {
		return errs.E("protect: read", errs.Unavailable, "no place to ask is up")
	}
	return err
}
