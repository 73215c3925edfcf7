package protect

import (
	"context"
	"sync"

	"torc/chunk"
	"torc/internal/errs"
)

// FragmentState says what a place holds of a fragment.
type FragmentState uint8

const (
	Sound       FragmentState = iota // whole, verified, of the newest generation
	Missing                          // the place answers and does not hold it
	Corrupt                          // fails verification, or is of the wrong length
	Unreachable                      // the place does not answer
	Outdated                         // sound, of an older generation
	Deleted                          // a tombstone
)

// String names the state.
func (f FragmentState) String() string {
	return [...]string{"sound", "missing", "corrupt", "unreachable", "outdated", "deleted"}[f]
}

// FragmentReport says where a fragment lies and how it is.
type FragmentReport struct {
	Index   int       // of the copy or fragment
	Key     chunk.Key // of the fragment
	Node    chunk.NodeID
	Server  chunk.ServerID
	Home    bool // false: a hand-off place
	State   FragmentState
	Version chunk.Version // 0 unless something was found
	Size    int64         // bytes of the fragment
	Err     error         // why it is corrupt or unreachable
}

// Locate reads every fragment of main key k wholly where it lies and reports
// on each: its home always, and each hand-off place that holds something or
// cannot be asked about a fragment whose home lacks it. Reports are in order of
// fragment, home first. An absent value is n homes Missing and no error.
func (s *Store) Locate(ctx context.Context, k chunk.Key) ([]FragmentReport, error) {
	const op = "protect.Locate"
	g, err := s.enter(op, k)
	if err != nil {
		return nil, err
	}
	defer s.work.Done()
	perFrag := make([][]FragmentReport, g.n)
	slots := make(chan struct{}, LocateReadsMax)
	var wg sync.WaitGroup
	for i := range perFrag {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			perFrag[i] = g.locate(ctx, i)
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, errs.Wrap(op, err)
	}
	var out []FragmentReport
	for _, r := range perFrag {
		out = append(out, r...)
	}
	markOutdated(out)
	return out, nil
}

// locate reports on fragment i.
func (g *group) locate(ctx context.Context, i int) []FragmentReport {
	var out []FragmentReport
	lacking := true
	if i < g.homes() {
		home := g.inspect(ctx, i, i)
		lacking = home.State != Sound
		out = append(out, home)
	}
	for p := g.homes(); p < len(g.places); p++ {
		r := g.inspect(ctx, i, p)
		if r.State == Missing || r.State == Unreachable && !lacking {
			continue
		}
		out = append(out, r)
	}
	return out
}

// inspect reads fragment i at place p.
func (g *group) inspect(ctx context.Context, i, p int) FragmentReport {
	place := g.places[p]
	r := FragmentReport{Index: i, Key: g.key.Sibling(i), Node: place.Node, Server: place.Server, Home: p == i}
	if place.Store == nil {
		r.State, r.Err = Unreachable, errs.E("protect.Locate", errs.Unavailable, "the place has no store")
		return r
	}
	info, err := place.Store.Stat(ctx, r.Key)
	if err == nil {
		r.Version, r.Size = info.Version, info.Size
		if info.Deleted {
			r.State = Deleted
			return r
		}
		err = g.verify(ctx, place, r.Key)
	}
	switch {
	case err == nil:
		r.State = Sound
	case errs.Is(err, errs.NotFound):
		r.State = Missing
	case errs.Is(err, errs.Corrupt):
		r.State, r.Err = Corrupt, err
	default:
		r.State, r.Err = Unreachable, err
	}
	return r
}

// verify reads k wholly.
func (g *group) verify(ctx context.Context, place chunk.Place, k chunk.Key) error {
	c, err := place.Store.Get(ctx, k, chunk.All)
	if err != nil {
		return err
	}
	defer c.Release()
	want := c.Size
	if g.prot.Coded() {
		want = fragmentLen(c.GroupSize, g.need)
	}
	if int64(len(c.Data)) != want || c.Sum != chunk.Checksum(c.Data) {
		return errs.E("protect.Locate", errs.Corrupt, "%s: %d bytes with sum %08x, want %d bytes", k, len(c.Data), c.Sum, want)
	}
	return nil
}

// markOutdated marks what is older than the newest version found.
func markOutdated(rs []FragmentReport) {
	var newest chunk.Version
	for _, r := range rs {
		newest = max(newest, r.Version)
	}
	for i := range rs {
		if rs[i].State == Sound && rs[i].Version < newest {
			rs[i].State = Outdated
		}
	}
}
