package ring

import (
	"context"
	"testing"

	"torc/chunk"
	"torc/internal/errs"
)

// variable is a Source that tests set.
type variable struct{ m *Map }

func (v *variable) Map() *Map { return v.m }

// rotated returns m under another epoch with every list's first node replaced by
// a node outside of it.
func rotated(t *testing.T, m *Map, e chunk.Epoch) *Map {
	t.Helper()
	out := withEpoch(t, m, e)
	out.lists = append([]uint16(nil), m.lists...)
	for arc := range m.Arcs() {
		list := out.List(arc)
		in := map[uint16]bool{}
		for _, n := range list {
			in[n] = true
		}
		for n := range m.Nodes() {
			if !in[uint16(n)] {
				list[0] = uint16(n)
				break
			}
		}
	}
	return out
}

// guardCase sets up a key whose home moved between epoch 1 and epoch 2.
type guardCase struct {
	*cluster
	old, new   *Map
	key        chunk.Key
	from, to   Node // its home under old and new
	fromServer Server
	toServer   Server
}

func newGuardCase(t *testing.T) guardCase {
	t.Helper()
	// More nodes than a list holds, so that a node can be outside of it.
	old, _ := mustPlan(t, grid(1, 1, 10, 4))
	next := rotated(t, old, 2)
	c := guardCase{cluster: newCluster(t, old), old: old, new: next}
	for i := 0; ; i++ {
		c.key = testKey(i)
		c.from, c.to = old.Nodes()[old.Lookup(c.key)[0]], next.Nodes()[next.Lookup(c.key)[0]]
		c.fromServer, _ = old.Server(c.from.Server)
		c.toServer, _ = next.Server(c.to.Server)
		if c.from.Server != c.to.Server {
			return c
		}
	}
}

func none(context.Context, chunk.Epoch) error { return nil }

func (c guardCase) put(t *testing.T, epoch chunk.Epoch) error {
	t.Helper()
	s := c.remote(c.fromServer.Addr, c.from.ID, func() chunk.Epoch { return epoch })
	_, err := s.Put(t.Context(), chunk.Write{Key: c.key, Version: 7, Data: []byte("x")})
	return err
}

func (c guardCase) holds(t *testing.T, n chunk.NodeID) bool {
	_, err := c.nodes[n].Stat(t.Context(), c.key)
	return err == nil
}

func TestGuardServesItsOwn(t *testing.T) {
	c := newGuardCase(t)
	if err := c.put(t, 1); err != nil || !c.holds(t, c.from.ID) || c.hops != 1 {
		t.Fatalf("%v after %d hops", err, c.hops)
	}
}

func TestGuardProxiesForOldMaps(t *testing.T) {
	c := newGuardCase(t)
	for _, s := range c.new.Servers() {
		c.serve(s, Fixed{c.new}, none)
	}
	if err := c.put(t, 1); err != nil {
		t.Fatal(err)
	}
	if c.holds(t, c.from.ID) || !c.holds(t, c.to.ID) || c.hops != 2 {
		t.Fatalf("not at its new home after %d hops", c.hops)
	}
}

func TestGuardRefreshesForNewMaps(t *testing.T) {
	c := newGuardCase(t)
	src := &variable{c.old}
	c.serve(c.toServer, src, func(context.Context, chunk.Epoch) error { src.m = c.new; return nil })
	s := c.remote(c.toServer.Addr, c.to.ID, func() chunk.Epoch { return 2 })
	if _, err := s.Put(t.Context(), chunk.Write{Key: c.key, Version: 7, Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if src.m != c.new || !c.holds(t, c.to.ID) || c.hops != 1 {
		t.Fatal("served without the newer map")
	}
}

// TestGuardDoesNotLoop: two servers that each hold the other for the owner.
func TestGuardDoesNotLoop(t *testing.T) {
	c := newGuardCase(t)
	c.serve(c.fromServer, Fixed{c.new}, none)                // says: go to c.to
	c.serve(c.toServer, Fixed{withEpoch(t, c.old, 3)}, none) // says: go to c.from
	if err := c.put(t, 1); !errs.Is(err, errs.Moved) || c.hops != 2 {
		t.Fatalf("%v after %d hops, want moved after 2", err, c.hops)
	}
}

func TestGuardRefuses(t *testing.T) {
	c := newGuardCase(t)
	failing := func(context.Context, chunk.Epoch) error { return errs.Unavailable }
	small, _ := mustPlan(t, grid(1, 1, 2, 1))
	cases := []struct {
		name  string
		src   Source
		node  chunk.NodeID
		epoch chunk.Epoch
		key   chunk.Key
		want  errs.Kind
	}{
		{"no map", Fixed{}, c.from.ID, 1, c.key, errs.Unavailable},
		{"same epoch, not the owner", Fixed{c.new}, c.from.ID, 2, c.key, errs.Moved},
		{"newer epoch, refresh fails", Fixed{c.new}, c.from.ID, 3, c.key, errs.Moved},
		{"proxied already", Fixed{c.new}, c.from.ID, 1 | ProxiedEpoch, c.key, errs.Moved},
		{"owner by another server's node", Fixed{c.old}, c.to.ID, 1, c.key, errs.Moved},
		{"epoch 0, not here", Fixed{c.old}, c.to.ID, 0, c.key, errs.Moved},
		{"an arc too short for the index", Fixed{withEpoch(t, small, 2)}, c.from.ID, 1, c.key.Sibling(5), errs.Moved},
	}
	for _, x := range cases {
		g := NewGuard(GuardConfig{Self: c.fromServer.ID, Source: x.src, Refresh: failing, Local: c.local(c.fromServer.ID), Remote: c.remote})
		if s, err := g.Route(t.Context(), x.node, x.epoch, x.key); !errs.Is(err, x.want) {
			t.Errorf("%s: %v, %v, want %v", x.name, s, err, x.want)
		}
	}
	g := NewGuard(GuardConfig{Self: c.fromServer.ID, Source: Fixed{c.old}, Refresh: failing, Remote: c.remote})
	if _, err := g.Route(t.Context(), c.from.ID, 1, c.key); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a node that does not run: %v", err)
	}
}

// TestGuardEpochZero: heal reaches what lies in the wrong place.
func TestGuardEpochZero(t *testing.T) {
	c := newGuardCase(t)
	c.serve(c.fromServer, Fixed{c.new}, none)
	if err := c.put(t, 0); err != nil || !c.holds(t, c.from.ID) {
		t.Fatalf("the node itself was not reached: %v", err)
	}
}
