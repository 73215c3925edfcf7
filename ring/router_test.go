package ring

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"torc/chunk"
	"torc/chunk/chunktest"
	"torc/internal/clock"
	"torc/internal/errs"
)

// cluster is a ring of memory nodes; remote calls are method calls.
type cluster struct {
	m     *Map
	mu    sync.Mutex
	nodes map[chunk.NodeID]*chunk.Memory
	guard map[string]*Guard // by address
	dead  map[string]bool   // by address
	hops  int
}

func newCluster(t testing.TB, m *Map) *cluster {
	c := &cluster{m: m, nodes: map[chunk.NodeID]*chunk.Memory{}, guard: map[string]*Guard{}, dead: map[string]bool{}}
	for _, n := range m.Nodes() {
		c.nodes[n.ID] = chunk.NewMemory()
	}
	for _, s := range m.Servers() {
		c.serve(s, Fixed{m}, func(context.Context, chunk.Epoch) error { return nil })
	}
	return c
}

func (c *cluster) serve(s Server, src Source, refresh func(context.Context, chunk.Epoch) error) {
	c.guard[s.Addr] = NewGuard(GuardConfig{Self: s.ID, Source: src, Refresh: refresh, Local: c.local(s.ID), Remote: c.remote})
}

func (c *cluster) local(id chunk.ServerID) map[chunk.NodeID]chunk.Store {
	out := map[chunk.NodeID]chunk.Store{}
	for _, n := range c.m.Nodes() {
		if n.Server == id {
			out[n.ID] = c.nodes[n.ID]
		}
	}
	return out
}

// remote is a Remote without a network.
func (c *cluster) remote(addr string, node chunk.NodeID, epoch func() chunk.Epoch) chunk.Store {
	return wire{c, addr, node, epoch}
}

type wire struct {
	c     *cluster
	addr  string
	node  chunk.NodeID
	epoch func() chunk.Epoch
}

func (w wire) reach(ctx context.Context, k chunk.Key) chunk.Store {
	w.c.mu.Lock()
	w.c.hops++
	dead := w.c.dead[w.addr]
	w.c.mu.Unlock()
	if dead {
		return absent{errs.E("test", errs.Unavailable, "%s is dead", w.addr)}
	}
	s, err := w.c.guard[w.addr].Route(ctx, w.node, w.epoch(), k)
	if err != nil {
		return absent{err}
	}
	return s
}

func (w wire) Put(ctx context.Context, x chunk.Write) (chunk.Receipt, error) {
	return w.reach(ctx, x.Key).Put(ctx, x)
}

func (w wire) Get(ctx context.Context, k chunk.Key, r chunk.Range) (*chunk.Chunk, error) {
	return w.reach(ctx, k).Get(ctx, k, r)
}

func (w wire) Stat(ctx context.Context, k chunk.Key) (chunk.Info, error) {
	return w.reach(ctx, k).Stat(ctx, k)
}

func (w wire) Delete(ctx context.Context, k chunk.Key, v chunk.Version) (chunk.Receipt, error) {
	return w.reach(ctx, k).Delete(ctx, k, v)
}

func (c *cluster) router(self chunk.ServerID, tr *Tracker) *Router {
	return NewRouter(RouterConfig{Self: self, Source: Fixed{c.m}, Local: c.local(self), Remote: c.remote, Liveness: tr, Reporter: tr})
}

func testKey(i int) chunk.Key {
	return chunk.NewKey(chunk.Payload{Object: uint64(i), Volume: 1, Service: chunk.ServiceS3}, chunk.EC(4, 2))
}

func newTracker() (*Tracker, *clock.Manual) {
	c := clock.NewManual(time.Unix(100, 0))
	return NewTracker(c), c
}

func TestKeyedConforms(t *testing.T) {
	m, _ := mustPlan(t, grid(1, 1, 3, 6))
	chunktest.RunStore(t, func(t *testing.T) chunk.Store {
		tr, _ := newTracker()
		return NewKeyed(newCluster(t, m).router("s1", tr))
	})
}

func TestPlaces(t *testing.T) {
	m, _ := mustPlan(t, grid(1, 1, 3, 2))
	c := newCluster(t, m)
	tr, _ := newTracker()
	r := c.router("s1", tr)
	for i := range 50 {
		k := testKey(i)
		places := r.Places(k)
		if len(places) != m.ListLen() {
			t.Fatalf("%d places, want %d", len(places), m.ListLen())
		}
		for j, n := range m.Lookup(k) {
			p, want := places[j], m.Nodes()[n]
			if p.Node != want.ID || p.Server != want.Server || !p.Up {
				t.Fatalf("place %d is %+v, want %+v", j, p, want)
			}
			if _, local := p.Store.(*chunk.Memory); local != (want.Server == "s1") {
				t.Fatalf("node %s of server %s: local %v", want.ID, want.Server, local)
			}
		}
		if &places[0] != &r.Places(k.Sibling(3))[0] {
			t.Fatal("a sibling has other places")
		}
	}
	tr.Gossip("s2", StateOffline)
	for i := range 50 {
		for _, p := range r.Places(testKey(i)) {
			if p.Up != (p.Server != "s2") {
				t.Fatalf("s2 is offline, %s of %s is up: %v", p.Node, p.Server, p.Up)
			}
		}
	}
	if n := testing.AllocsPerRun(100, func() { r.Places(testKey(7)) }); n > 0 {
		t.Errorf("Places allocates %v times", n)
	}
}

func TestRouterNode(t *testing.T) {
	m, _ := mustPlan(t, grid(1, 1, 3, 2))
	tr, _ := newTracker()
	c := newCluster(t, m)
	r := c.router("s1", tr)
	if p, err := r.Node("s3n2"); err != nil || p.Server != "s3" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := r.Node("x"); !errs.Is(err, errs.NotFound) {
		t.Errorf("unknown node: %v", err)
	}
	delete(r.cfg.Local, "s1n1")
	r = NewRouter(r.cfg)
	p, err := r.Node("s1n1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Store.Stat(t.Context(), testKey(1)); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a node that does not run here: %v", err)
	}
}

func TestRouterWithoutMap(t *testing.T) {
	tr, _ := newTracker()
	r := NewRouter(RouterConfig{Self: "s1", Source: Fixed{}, Liveness: tr})
	if p := r.Places(testKey(1)); p != nil || r.Epoch() != 0 {
		t.Errorf("places %v, epoch %d", p, r.Epoch())
	}
	if _, err := r.Node("s1n1"); !errs.Is(err, errs.Unavailable) {
		t.Errorf("node: %v", err)
	}
	if _, err := NewKeyed(r).Stat(t.Context(), testKey(1)); !errs.Is(err, errs.Unavailable) {
		t.Errorf("stat: %v", err)
	}
}

// TestDeadServerIsMarked: two failed calls are enough, and an answer brings the
// server back.
func TestDeadServerIsMarked(t *testing.T) {
	m, _ := mustPlan(t, grid(1, 1, 3, 2))
	c := newCluster(t, m)
	tr, clk := newTracker()
	r := c.router("s1", tr)
	addr := m.Servers()[1].Addr
	c.dead[addr] = true
	up := func() bool { p, _ := r.Node("s2n1"); return p.Up }
	for _, n := range []chunk.NodeID{"s2n1", "s2n2"} {
		if !up() {
			t.Fatal("one failure marks the server down")
		}
		p, _ := r.Node(n)
		if _, err := p.Store.Stat(t.Context(), testKey(1)); !errs.Is(err, errs.Unavailable) {
			t.Fatal(err)
		}
	}
	if up() {
		t.Fatal("two nodes of the server failed and it is up")
	}
	clk.Advance(EvidenceHold)
	if !up() {
		t.Fatal("nobody tries the server again")
	}
	c.dead[addr] = false
	p, _ := r.Node("s2n1")
	if _, err := p.Store.Stat(t.Context(), testKey(1)); errs.Is(err, errs.Unavailable) {
		t.Fatal(err)
	}
	if !up() {
		t.Fatal("it answered and is down")
	}
}

// TestPlacesRace resolves while liveness and evidence change.
func TestPlacesRace(t *testing.T) {
	m, _ := mustPlan(t, grid(1, 1, 3, 2))
	tr, _ := newTracker()
	r := newCluster(t, m).router("s1", tr)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 300 {
				if g == 0 {
					tr.Gossip(chunk.ServerID(fmt.Sprintf("s%d", 1+i%3)), []State{StateRun, StateOffline}[i%2])
				}
				k := testKey(i)
				if p := r.Places(k); len(p) != m.ListLen() || p[0].Node != m.Nodes()[m.Lookup(k)[0]].ID {
					t.Error("wrong places")
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkPlaces(b *testing.B) {
	m, _ := mustPlan(b, grid(1, 1, 3, 6))
	tr, _ := newTracker()
	r := newCluster(b, m).router("s1", tr)
	keys := make([]chunk.Key, 1024)
	for i := range keys {
		keys[i] = testKey(i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r.Places(keys[i&1023])
		i++
	}
}
