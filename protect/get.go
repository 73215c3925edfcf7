package protect

import (
	"bytes"
	"context"

	"torc/chunk"
	"torc/internal/errs"
)

// Get implements chunk.Getter for the group of main key k. Info.Sum is that of
// the value for copies and 0 for coded values: it is nowhere stored, and every
// fragment's own checksum has been verified.
func (s *Store) Get(ctx context.Context, k chunk.Key, r chunk.Range) (*chunk.Chunk, error) {
	const op = "protect.Get"
	if err := ctx.Err(); err != nil {
		return nil, errs.Wrap(op, err)
	}
	g, err := s.enter(op, k)
	if err != nil {
		return nil, err
	}
	defer s.work.Done()
	s.count.gets.Add(1)
	c, err := s.get(ctx, g, r)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	c.Key = k
	return c, nil
}

// get reads directly from the homes where one answer is as good as another, and
// otherwise, or when that does not work out, surveys first.
func (s *Store) get(ctx context.Context, g *group, r chunk.Range) (*chunk.Chunk, error) {
	if !g.overwritten {
		c, err := s.getDirect(ctx, g, r)
		if err == nil || errs.Is(err, errs.OutOfRange) || ctx.Err() != nil {
			return c, err
		}
	}
	return s.getSurveyed(ctx, g, r)
}

// getSurveyed asks what there is and reads that. If that fails it looks again,
// now on the hand-off places as well, and once more for each generation that is
// overwritten between the two, SurveysMax times in all.
func (s *Store) getSurveyed(ctx context.Context, g *group, r chunk.Range) (*chunk.Chunk, error) {
	var last *generation
	var failure error
	for i := range SurveysMax {
		census, err := s.survey(ctx, g, i > 0)
		if err != nil {
			return nil, err
		}
		v := census.judge()
		switch {
		case v.err != nil:
			return nil, keyed(g.key, v.err)
		case v.deleted != nil:
			return nil, errs.E("protect: read", errs.NotFound, "%s: deleted at version %v", g.key, v.deleted.Version)
		case i > 1 && last.equal(v.live.generation):
			return nil, failure
		}
		s.report(g, census, v.live)
		c, err := s.getLive(ctx, g, v.live, r)
		if err == nil || errs.Is(err, errs.OutOfRange) || ctx.Err() != nil {
			return c, err
		}
		if errs.Is(err, errs.Corrupt) && len(census.unanswered()) > 0 {
			err = errs.E("protect: read", errs.Unavailable, "too much is corrupt, and %d places do not answer: %w", len(census.unanswered()), err)
		}
		last, failure = &v.live.generation, err
	}
	return nil, failure
}

// getLive reads r of the generation that a survey found.
func (s *Store) getLive(ctx context.Context, g *group, f *found, r chunk.Range) (*chunk.Chunk, error) {
	size := f.info.Size
	if g.prot.Coded() {
		size = f.size
	}
	off, n, ok := r.Resolve(size)
	if !ok {
		return nil, outOfRange(g.key, r, size)
	}
	if !g.prot.Coded() {
		return s.race(ctx, g, s.order(g, f.at), chunk.Range{Off: off, Len: n}, &f.generation)
	}
	return s.getCoded(ctx, g, f.at, &f.generation, chunk.Range{Off: off, Len: n})
}

// getDirect reads a value that is written once, without asking around.
func (s *Store) getDirect(ctx context.Context, g *group, r chunk.Range) (*chunk.Chunk, error) {
	at, places := make([][]int, g.n), make([]int, g.homes())
	for i := range places {
		if g.good[i] {
			places[i] = i
			at[i] = places[i : i+1 : i+1]
		}
	}
	if !g.prot.Coded() {
		return s.race(ctx, g, s.order(g, at), r, nil)
	}
	if r.Off == 0 && r.Len < 0 {
		return s.getCoded(ctx, g, at, nil, chunk.All)
	}
	head, err := s.race(ctx, g, s.order(g, at), chunk.Range{}, nil) // learns the size
	if err != nil {
		return nil, err
	}
	gen := generationOf(head.Info)
	gen.owner = bytes.Clone(gen.owner)
	head.Release()
	off, n, ok := r.Resolve(gen.size)
	if !ok {
		return nil, outOfRange(g.key, r, gen.size)
	}
	return s.getCoded(ctx, g, at, &gen, chunk.Range{Off: off, Len: n})
}

// Stat implements chunk.Getter for the group of main key k. Info.Size is the
// size of the value; Info.Sum as for Get.
func (s *Store) Stat(ctx context.Context, k chunk.Key) (chunk.Info, error) {
	const op = "protect.Stat"
	if err := ctx.Err(); err != nil {
		return chunk.Info{}, errs.Wrap(op, err)
	}
	g, err := s.enter(op, k)
	if err != nil {
		return chunk.Info{}, err
	}
	defer s.work.Done()
	s.count.stats.Add(1)
	census, err := s.survey(ctx, g, false)
	if err != nil {
		return chunk.Info{}, errs.Wrap(op, err)
	}
	v := census.judge()
	if v.err != nil {
		return chunk.Info{}, errs.Wrap(op, keyed(k, v.err))
	}
	info := v.deleted
	if v.live != nil {
		info = &v.live.info
		s.report(g, census, v.live)
		if g.prot.Coded() {
			info.Size, info.Sum = info.GroupSize, 0
		}
	}
	info.Key = k
	return *info, nil
}

func keyed(k chunk.Key, err error) error {
	return errs.E("protect: read", errs.KindOf(err), "%s: %w", k, err)
}

func outOfRange(k chunk.Key, r chunk.Range, size int64) error {
	return errs.E("protect: read", errs.OutOfRange, "%s: bytes %d+%d of %d", k, r.Off, r.Len, size)
}
