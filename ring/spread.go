package ring

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"slices"

	"github.com/zeebo/xxh3"

	"torc/chunk"
	"torc/internal/errs"
)

// DisksMax bounds the disks of one storage node.
const DisksMax = 256

// Disk is one disk of a storage node.
type Disk struct {
	ID     string // stable: a key's disk follows from the ids and weights alone
	Weight uint64 // bytes of capacity
	// Store holds the disk's chunks; nil when the disk is missing, which keeps
	// its keys from wandering to the others.
	Store chunk.ListStore
}

// Spread is a storage node over several disks: each key lies on one of them, by
// weighted rendezvous hashing of its position (Thaler and Ravishankar, 1998), so
// adding or removing a disk concerns only the keys that it gains or loses. A disk
// that fails makes its own keys fail with errs.Unavailable and no others.
type Spread struct {
	disks []Disk
	seeds []uint64
}

// NewSpread returns the store over disks, in any order.
func NewSpread(disks []Disk) (*Spread, error) {
	const op = "ring.NewSpread"
	if len(disks) == 0 || len(disks) > DisksMax {
		return nil, errs.E(op, errs.Invalid, "%d disks, want 1-%d", len(disks), DisksMax)
	}
	s := &Spread{disks: slices.Clone(disks)}
	ids := map[string]bool{}
	for i, d := range s.disks {
		if d.ID == "" || d.Weight == 0 || ids[d.ID] {
			return nil, errs.E(op, errs.Invalid, "disk %q: no id, no weight, or listed twice", d.ID)
		}
		ids[d.ID] = true
		if d.Store == nil {
			s.disks[i].Store = missingDisk{absent{errs.E("ring.Spread", errs.Unavailable, "disk %q is missing", d.ID)}}
		}
		s.seeds = append(s.seeds, xxh3.HashString(d.ID))
	}
	return s, nil
}

// Pick returns the index of the disk that k belongs to.
func (s *Spread) Pick(k chunk.Key) int {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], k.Position())
	best, bestScore := 0, math.Inf(-1)
	for i, seed := range s.seeds {
		// u is uniform in (0, 1); -w/ln(u) is greatest for disk i with odds w.
		u := (float64(xxh3.HashSeed(b[:], seed)>>11) + 0.5) / (1 << 53)
		if score := -float64(s.disks[i].Weight) / math.Log(u); score > bestScore || score == bestScore && s.disks[i].ID < s.disks[best].ID {
			best, bestScore = i, score
		}
	}
	return best
}

func (s *Spread) disk(k chunk.Key) chunk.ListStore { return s.disks[s.Pick(k)].Store }

// Put implements chunk.Putter.
func (s *Spread) Put(ctx context.Context, w chunk.Write) (chunk.Receipt, error) {
	return s.disk(w.Key).Put(ctx, w)
}

// Get implements chunk.Getter.
func (s *Spread) Get(ctx context.Context, k chunk.Key, r chunk.Range) (*chunk.Chunk, error) {
	return s.disk(k).Get(ctx, k, r)
}

// Stat implements chunk.Getter.
func (s *Spread) Stat(ctx context.Context, k chunk.Key) (chunk.Info, error) {
	return s.disk(k).Stat(ctx, k)
}

// Delete implements chunk.Deleter.
func (s *Spread) Delete(ctx context.Context, k chunk.Key, v chunk.Version) (chunk.Receipt, error) {
	return s.disk(k).Delete(ctx, k, v)
}

// List implements chunk.Lister. It fails when any disk does: a listing with holes
// would look like a loss. A key that lies on two disks is listed once, with the
// higher version.
func (s *Spread) List(ctx context.Context, after *chunk.Key, limit int) ([]chunk.Info, error) {
	var all []chunk.Info
	var horizon *chunk.Key // every disk's answer is complete up to here
	for _, d := range s.disks {
		infos, err := d.Store.List(ctx, after, limit)
		if err != nil {
			return nil, errs.Wrap("ring.Spread.List: disk "+d.ID, err)
		}
		if len(infos) == 0 {
			continue
		}
		if last := infos[len(infos)-1].Key; horizon == nil || bytes.Compare(last[:], horizon[:]) < 0 {
			horizon = &last
		}
		all = append(all, infos...)
	}
	slices.SortFunc(all, func(a, b chunk.Info) int {
		if c := bytes.Compare(a.Key[:], b.Key[:]); c != 0 {
			return c
		}
		if a.Version > b.Version {
			return -1
		}
		return 1
	})
	all = slices.CompactFunc(all, func(a, b chunk.Info) bool { return a.Key == b.Key })
	n := 0
	for n < len(all) && n < limit && bytes.Compare(all[n].Key[:], horizon[:]) <= 0 {
		n++
	}
	return slices.Clip(all[:n]), nil
}

type missingDisk struct{ absent }

func (m missingDisk) List(context.Context, *chunk.Key, int) ([]chunk.Info, error) {
	return nil, m.err
}
