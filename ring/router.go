package ring

import (
	"sync"
	"sync/atomic"

	"torc/chunk"
	"torc/internal/errs"
)

// placesCacheMax bounds how many arcs a Router keeps resolved places for: about
// 2 KB each. Maps with more arcs share the slots.
const placesCacheMax = 1 << 15

// Remote makes the store that reaches a node of another server. epoch is what the
// store must send as the caller's epoch with each request. The composition root
// passes chunk/remote's client here.
type Remote func(addr string, node chunk.NodeID, epoch func() chunk.Epoch) chunk.Store

// RouterConfig is what a Router needs.
type RouterConfig struct {
	Self   chunk.ServerID
	Source Source
	// Local are the storage nodes of this process; not changed after NewRouter.
	Local    map[chunk.NodeID]chunk.Store
	Remote   Remote
	Liveness Liveness
	Reporter Reporter // told of every outcome of a remote call; may be nil
}

// Router resolves keys to places: a chunk.Topology. Resolving allocates only the
// first time that an arc is asked for after the map or liveness has changed.
type Router struct {
	cfg   RouterConfig
	table atomic.Pointer[table]
	mu    sync.Mutex // one rebuild at a time
}

// table is all that follows from one map and one generation of liveness.
type table struct {
	m      *Map
	gen    uint64
	places []chunk.Place // by node index
	cache  []atomic.Pointer[arcPlaces]
}

type arcPlaces struct {
	arc    int
	places []chunk.Place
}

// NewRouter returns a Router.
func NewRouter(cfg RouterConfig) *Router { return &Router{cfg: cfg} }

// Epoch returns the epoch of the current map, 0 when there is none.
func (r *Router) Epoch() chunk.Epoch {
	if m := r.cfg.Source.Map(); m != nil {
		return m.Epoch()
	}
	return 0
}

// Map returns the current map; nil when there is none.
func (r *Router) Map() *Map { return r.cfg.Source.Map() }

// Places implements chunk.Topology. There are none before the first map.
func (r *Router) Places(k chunk.Key) []chunk.Place {
	t := r.current()
	if t == nil {
		return nil
	}
	arc := t.m.Arc(k)
	slot := &t.cache[arc&(len(t.cache)-1)]
	if p := slot.Load(); p != nil && p.arc == arc {
		return p.places
	}
	list := t.m.List(arc)
	p := &arcPlaces{arc, make([]chunk.Place, len(list))}
	for i, n := range list {
		p.places[i] = t.places[n]
	}
	slot.Store(p)
	return p.places
}

// Node returns the place of a node wherever keys lie, for those who walk nodes
// (heal, the supervisor). NotFound if it is not in the map.
func (r *Router) Node(id chunk.NodeID) (chunk.Place, error) {
	t := r.current()
	if t == nil {
		return chunk.Place{}, errs.E("ring.Node", errs.Unavailable, "there is no ring map yet")
	}
	i, ok := t.m.nodes[id]
	if !ok {
		return chunk.Place{}, errs.E("ring.Node", errs.NotFound, "node %q is not in the ring map of epoch %d", id, t.m.epoch)
	}
	return t.places[i], nil
}

// current returns the table of the newest map and liveness; nil without a map.
func (r *Router) current() *table {
	m, gen := r.cfg.Source.Map(), r.cfg.Liveness.Generation()
	if t := r.table.Load(); t != nil && t.m == m && t.gen == gen {
		return t
	}
	if m == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	m, gen = r.cfg.Source.Map(), r.cfg.Liveness.Generation()
	old := r.table.Load()
	if old != nil && old.m == m && old.gen == gen {
		return old
	}
	t := &table{m: m, gen: gen, cache: make([]atomic.Pointer[arcPlaces], min(m.Arcs(), placesCacheMax))}
	for i, n := range m.members.Nodes {
		p := chunk.Place{Node: n.ID, Server: n.Server}
		if old != nil && old.m == m {
			p.Store = old.places[i].Store
		} else {
			p.Store = r.store(m, n)
		}
		p.Up = r.cfg.Liveness.Up(n.Server, n.ID)
		t.places = append(t.places, p)
	}
	r.table.Store(t)
	return t
}

// store makes the store of a node: in memory on this server, remote otherwise.
func (r *Router) store(m *Map, n Node) chunk.Store {
	if n.Server == r.cfg.Self {
		if s, ok := r.cfg.Local[n.ID]; ok {
			return s
		}
		return absent{errs.E("ring.Router", errs.Unavailable, "node %q does not run on this server", n.ID)}
	}
	server, _ := m.Server(n.Server)
	s := r.cfg.Remote(server.Addr, n.ID, r.Epoch)
	if rep := r.cfg.Reporter; rep != nil {
		s = Observe(s, func(err error) { rep.Report(n.Server, n.ID, err) })
	}
	return s
}
