package protect

import (
	"sync"
	"sync/atomic"
	"time"

	"torc/chunk"
	"torc/internal/errs"
)

// Store is a chunk.Store over groups: it spreads what is put under a main key
// over the places that a Topology names. Safe for concurrent use.
type Store struct {
	topo  chunk.Topology
	cfg   Config
	codes encoders
	count counters
	turn  atomic.Uint32 // spreads reads over equal copies

	mu       sync.Mutex
	closed   bool
	suspects map[chunk.NodeID]time.Time // writes were late: until then
	pace     pacing                     // of reads
	patience *patience                  // with writes
	work     sync.WaitGroup             // calls, and reads they abandoned
}

var _ chunk.Store = (*Store)(nil)

// New returns a Store over topo.
func New(topo chunk.Topology, cfg Config) *Store {
	cfg = cfg.withDefaults()
	return &Store{topo: topo, cfg: cfg, suspects: map[chunk.NodeID]time.Time{}, pace: newPacing(cfg.HedgeAfter, cfg.SuspectFor), patience: newPatience(cfg.HandoffAfter)}
}

// Close lets calls under way end and waits for them and for the reads that
// they abandoned. Later calls fail with errs.Closed.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.work.Wait()
	return nil
}

// group is one call's view of a group: its policy and its places.
type group struct {
	key         chunk.Key // the main key
	prot        chunk.Protection
	n, need     int
	overwritten bool
	layout
	good   []bool // by place: up, and no write was late there of late
	silent []bool // by place: good, but reads waited in vain; nil: none is
}

// enter begins a call on main key k. The caller must call s.work.Done after.
func (s *Store) enter(op string, k chunk.Key) (*group, error) {
	if err := k.Validate(); err != nil {
		return nil, errs.Wrap(op, err)
	}
	if k.Index() != 0 {
		return nil, errs.E(op, errs.Invalid, "%s: index %d, want a main key", k, k.Index())
	}
	g := &group{key: k, prot: k.Protection(), overwritten: s.cfg.Overwritten(k)}
	g.n, g.need = g.prot.Width(), g.prot.Need()
	places := s.topo.Places(k)
	if len(places) == 0 {
		return nil, errs.E(op, errs.Unavailable, "%s: the map names no place", k)
	}
	g.layout = newLayout(g.prot, places[:min(len(places), g.n+HandoffPlacesMax)])

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errs.E(op, errs.Closed, "the store is closed")
	}
	g.good = make([]bool, len(g.places))
	for i, p := range g.places {
		g.good[i] = p.Up && p.Store != nil && !s.suspected(p.Node)
	}
	if len(s.pace.silent) > 0 {
		now := s.cfg.Clock.Now()
		g.silent = make([]bool, len(g.places))
		for i, p := range g.places {
			g.silent[i] = s.pace.isSilent(p.Node, now)
		}
	}
	s.work.Add(1)
	return g, nil
}

// isSilent reports whether reads ask a place only when others do not suffice.
func (g *group) isSilent(place int) bool { return g.silent != nil && g.silent[place] }

// suspected says whether node was late a short while ago. Called with mu held.
func (s *Store) suspected(node chunk.NodeID) bool {
	if len(s.suspects) == 0 {
		return false
	}
	until, ok := s.suspects[node]
	if ok && !s.cfg.Clock.Now().Before(until) {
		delete(s.suspects, node)
		return false
	}
	return ok
}

// late notes that a place did not answer in time: for a while others are asked
// before it, so that one hung node does not slow every call down.
func (s *Store) late(p chunk.Place, k chunk.Key) {
	s.mu.Lock()
	s.suspects[p.Node] = s.cfg.Clock.Now().Add(s.cfg.SuspectFor)
	s.mu.Unlock()
	s.emit(Event{Kind: FragmentLate, Key: k, Node: p.Node})
}
