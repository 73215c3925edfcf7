package protect

import (
	"bytes"
	"slices"

	"torc/chunk"
	"torc/internal/errs"
)

// sighting is one place's answer about one fragment.
type sighting struct {
	frag, place int
	info        chunk.Info
	err         error
}

// generation names what one Put wrote: only fragments of one generation are
// ever combined.
type generation struct {
	version chunk.Version
	size    int64
	owner   []byte
}

func generationOf(i chunk.Info) generation { return generation{i.Version, i.GroupSize, i.Owner} }

func (a generation) equal(b generation) bool {
	return a.version == b.version && a.size == b.size && bytes.Equal(a.owner, b.owner)
}

// census is what the places answered about a group: pure. judge turns it into
// what may be said about the value.
type census struct {
	layout
	overwritten bool
	seen        []sighting
	silent      []int // places that were asked and did not answer
}

// found is a generation with the places where its fragments lie.
type found struct {
	generation
	info  chunk.Info // of one of its fragments
	at    [][]int    // by fragment: places
	frags int        // fragments with at least one place
}

// verdict is what a census says: exactly one of live, deleted and err is set.
type verdict struct {
	live    *found
	deleted *chunk.Info // the newest tombstone
	err     error
}

func (c *census) add(s sighting) { c.seen = append(c.seen, s) }

// judge applies the rule of the package comment ("What a read may say").
func (c *census) judge() verdict {
	const op = "protect: census"
	tomb := c.tombstone()
	hidden := c.ackable(c.unanswered())
	for _, g := range c.generations() {
		if tomb != nil && g.version <= tomb.Version {
			break
		}
		if g.frags >= c.prot.Need() {
			if c.overwritten && hidden {
				return verdict{err: errs.E(op, errs.Unavailable, "a newer version may lie on places that do not answer")}
			}
			return verdict{live: g}
		}
		if !c.overwritten || c.ackable(union(g.places(), c.unanswered())) || tomb == nil && c.lastChance(g) {
			return verdict{err: c.tooFew(op, g)}
		}
	}
	switch {
	case tomb != nil && !(c.overwritten && hidden):
		return verdict{deleted: tomb}
	case c.corrupt() > 0 && len(c.unanswered()) == 0:
		return verdict{err: errs.E(op, errs.Corrupt, "all that is left of the value fails verification")}
	case tomb != nil || c.corrupt() > 0 || hidden || !c.overwritten && !c.homesAnswered():
		return verdict{err: errs.E(op, errs.Unavailable, "%d places do not answer: the value may lie there", len(c.unanswered()))}
	}
	return verdict{err: errs.E(op, errs.NotFound, "no place holds it")}
}

// decided reports whether the answers so far say what the value is.
func (c *census) decided() bool {
	v := c.judge()
	return v.live != nil || v.deleted != nil
}

// lastChance reports whether g is the oldest generation seen: then its remains
// are the only trace of a value, and it must not be called absent.
func (c *census) lastChance(g *found) bool {
	gs := c.generations()
	return gs[len(gs)-1].version == g.version
}

func (c *census) tooFew(op string, g *found) error {
	return errs.E(op, errs.Unavailable, "version %v: %d of %d fragments that a read needs can be had (%d corrupt, %d places silent)",
		g.version, g.frags, c.prot.Need(), c.corrupt(), len(c.unanswered()))
}

// tombstone returns the newest tombstone at a home. One on a hand-off place says
// nothing about the value: it is also what is left there when a fragment has gone
// home, and every deletion has its tombstones at homes.
func (c *census) tombstone() *chunk.Info {
	var t *chunk.Info
	for i, s := range c.seen {
		if s.err == nil && s.info.Deleted && s.place == s.frag && (t == nil || s.info.Version > t.Version) {
			t = &c.seen[i].info
		}
	}
	return t
}

// generations returns the live generations seen, newest first.
func (c *census) generations() []*found {
	var out []*found
	for _, s := range c.seen {
		if s.err != nil || s.info.Deleted {
			continue
		}
		gen := generationOf(s.info)
		i := slices.IndexFunc(out, func(f *found) bool { return f.equal(gen) })
		if i < 0 {
			i = len(out)
			out = append(out, &found{generation: gen, info: s.info, at: make([][]int, c.prot.Width())})
		}
		f := out[i]
		if len(f.at[s.frag]) == 0 {
			f.frags++
		}
		f.at[s.frag] = append(f.at[s.frag], s.place)
	}
	slices.SortStableFunc(out, func(a, b *found) int {
		if a.version != b.version {
			if a.version > b.version {
				return -1
			}
			return 1
		}
		return b.frags - a.frags
	})
	return out
}

func (f *found) places() []int {
	var out []int
	for _, at := range f.at {
		out = union(out, at)
	}
	return out
}

// unanswered returns the places whose contents are not known.
func (c *census) unanswered() []int {
	out := slices.Clone(c.silent)
	for _, s := range c.seen {
		if s.err != nil && !answered(s.err) {
			out = union(out, []int{s.place})
		}
	}
	return out
}

// answered reports whether an error says something about what a place holds.
func answered(err error) bool {
	return errs.Is(err, errs.NotFound) || errs.Is(err, errs.Corrupt)
}

func (c *census) corrupt() int {
	n := 0
	for _, s := range c.seen {
		if errs.Is(s.err, errs.Corrupt) {
			n++
		}
	}
	return n
}

// homesAnswered reports whether every fragment's home is there and answered.
func (c *census) homesAnswered() bool {
	un := c.unanswered()
	n := 0
	for _, s := range c.seen {
		if s.place == s.frag && !slices.Contains(un, s.place) {
			n++
		}
	}
	return n >= c.homes()
}

// unsettled returns the fragments that may lie on hand-off places: those whose
// home does not hold the newest version that any home holds.
func (c *census) unsettled() []int {
	newest := chunk.Version(0)
	atHome := make([]chunk.Version, c.prot.Width())
	for _, s := range c.seen {
		if s.err == nil && s.place == s.frag {
			newest = max(newest, s.info.Version)
			atHome[s.frag] = s.info.Version
		}
	}
	var out []int
	for i, v := range atHome {
		if v == 0 || v < newest {
			out = append(out, i)
		}
	}
	return out
}

func union(a, b []int) []int {
	for _, x := range b {
		if !slices.Contains(a, x) {
			a = append(a, x)
		}
	}
	return a
}
