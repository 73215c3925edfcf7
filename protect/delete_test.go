package protect_test

import (
	"testing"

	"torc/chunk"
	"torc/internal/errs"
	"torc/protect"
)

func TestDeleteReachesHandoffs(t *testing.T) {
	for _, prot := range []chunk.Protection{chunk.Replicas(3), chunk.EC(4, 2)} {
		c := newCluster(t, 3, 6)
		s := c.store(protect.Config{})
		w := write(userKey(1, prot), 10, 1000)
		c.serverDown("s1", true)
		if r := mustPut(t, s, w); r.Handoff == 0 {
			t.Fatalf("%v: %+v", prot, r)
		}
		c.allUp()
		if r, err := s.Delete(t.Context(), w.Key, 11); err != nil || !r.Whole() {
			t.Fatalf("%v: %+v, %v", prot, r, err)
		}
		for _, n := range c.nodes {
			for i := range prot.Width() {
				if info, err := n.mem.Stat(t.Context(), w.Key.Sibling(i)); err == nil && !info.Deleted {
					t.Errorf("%v: %s still holds fragment %d", prot, n.id, i)
				}
			}
		}
		wantKind(t, getErr(t, s, w.Key), errs.NotFound, "deleted")
	}
}

func TestDeletePartial(t *testing.T) {
	for _, prot := range []chunk.Protection{chunk.Replicas(3), chunk.EC(4, 2)} {
		c := newCluster(t, 3, 6)
		s := c.store(protect.Config{})
		w := write(userKey(1, prot), 10, 1000)
		mustPut(t, s, w)
		c.nodes[0].SetDown(true)
		r, err := s.Delete(t.Context(), w.Key, 11)
		if err != nil || r.Whole() || r.Durable != prot.Width()-1 || r.Want != prot.Width() {
			t.Fatalf("%v, one home down: %+v, %v", prot, r, err)
		}
		wantKind(t, getErr(t, s, w.Key), errs.NotFound, "%v: deleted on all homes but one that is down", prot)
		c.allUp()
		wantKind(t, getErr(t, s, w.Key), errs.NotFound, "%v: one home came back with its fragment", prot)
		if r, err = s.Delete(t.Context(), w.Key, 11); err != nil || !r.Whole() {
			t.Errorf("%v, repeated: %+v, %v", prot, r, err)
		}
	}
}

func TestDeleteBelowQuorum(t *testing.T) {
	prot := chunk.Replicas(3)
	c := newCluster(t, 3, 1)
	s := c.store(protect.Config{})
	w := write(userKey(1, prot), 10, 1000)
	mustPut(t, s, w)
	for _, n := range c.nodes {
		n.SetDown(true)
	}
	_, err := s.Delete(t.Context(), w.Key, 11)
	wantKind(t, err, errs.Unavailable, "all down")
	c.nodes[0].SetDown(false)
	_, err = s.Delete(t.Context(), w.Key, 11)
	wantKind(t, err, errs.Unknown, "one tombstone of three")
	_, err = s.Delete(t.Context(), w.Key, 9)
	wantKind(t, err, errs.Stale, "a lower version")
}

// Writers at different versions left a mixture: one generation is read, whole.
func TestMixedGenerations(t *testing.T) {
	prot := chunk.EC(4, 2)
	k := userKey(1, prot)
	for _, v := range []struct {
		newer int // fragments of the newer generation that reached their homes
		want  chunk.Version
		kind  errs.Kind
	}{{0, 10, 0}, {1, 10, 0}, {2, 10, 0}, {3, 0, errs.Unavailable}, {4, 20, 0}, {6, 20, 0}} {
		c := newCluster(t, 3, 6)
		s := c.store(protect.Config{})
		older, newer := write(k, 10, 10_000), write(k, 20, 10_000) // of one size, to be mixed up
		mustPut(t, s, older)
		full := chunk.NewMemory()
		one := protect.New(fixed(everywhere(full)), protect.Config{})
		mustPut(t, one, newer)
		for i := range v.newer {
			copyFragment(t, full, c.nodes[i].mem, k.Sibling(i))
		}
		switch v.want {
		case 10:
			mustRead(t, s, older, "%d newer fragments", v.newer)
		case 20:
			mustRead(t, s, newer, "%d newer fragments", v.newer)
		default:
			wantKind(t, getErr(t, s, k), v.kind, "%d newer fragments", v.newer)
		}
		if err := one.Close(); err != nil {
			t.Error(err)
		}
	}
}

// everywhere is six places that all are one store: a way to get all fragments.
func everywhere(m *chunk.Memory) []chunk.Place {
	out := newCluster(nil, 1, 6).Places(chunk.Key{})
	for i := range out {
		out[i].Store = m
	}
	return out
}

func copyFragment(t *testing.T, from, to *chunk.Memory, k chunk.Key) {
	t.Helper()
	c, err := from.Get(t.Context(), k, chunk.All)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	if _, err := to.Put(t.Context(), chunk.Write{Key: k, Version: c.Version, Attrs: c.Attrs, Data: c.Data}); err != nil {
		t.Fatal(err)
	}
}

func TestLocate(t *testing.T) {
	prot := chunk.EC(4, 2)
	c := newCluster(t, 3, 6)
	s := c.store(protect.Config{})
	w := write(userKey(1, prot), 10, 10_000)
	c.nodes[5].SetDown(true) // fragment 5 goes to a hand-off place
	mustPut(t, s, w)
	c.nodes[0].rot()
	c.nodes[1].SetDown(true)
	c.nodes[5].SetDown(false)
	if _, err := c.nodes[2].mem.Delete(t.Context(), w.Key.Sibling(2), 9+2); err != nil {
		t.Fatal(err)
	}
	c.nodes[3].Inject(chunk.Fault{Op: chunk.OpGet, Flip: true}) // wrong bytes from below
	rs, err := s.Locate(t.Context(), w.Key)
	if err != nil {
		t.Fatal(err)
	}
	states := map[int]protect.FragmentState{}
	handoff := 0
	for _, r := range rs {
		if r.Home {
			states[r.Index] = r.State
			if r.Node != c.nodes[r.Index].id || r.Key != w.Key.Sibling(r.Index) {
				t.Errorf("report %+v names another home", r)
			}
		} else if r.State != protect.Unreachable {
			handoff++
			if r.Index != 5 || r.State != protect.Outdated || r.Version != 10 || r.Size == 0 {
				t.Errorf("hand-off report %+v", r) // outdated: fragment 2 has a tombstone above it
			}
		}
	}
	want := map[int]protect.FragmentState{0: protect.Corrupt, 1: protect.Unreachable, 2: protect.Deleted,
		3: protect.Corrupt, 4: protect.Outdated, 5: protect.Missing}
	for i, st := range want {
		if states[i] != st {
			t.Errorf("fragment %d: %v, want %v", i, states[i], st)
		}
	}
	if handoff != 1 {
		t.Errorf("%d fragments found on hand-off places, want 1", handoff)
	}
}

func TestMetricsCount(t *testing.T) {
	c := newCluster(t, 3, 6)
	s := c.store(protect.Config{})
	w := write(onceKey(1, chunk.EC(4, 2)), 10, 1000)
	c.nodes[1].SetDown(true)
	mustPut(t, s, w)
	if err := getErr(t, s, w.Key); err != nil {
		t.Fatal(err)
	}
	m := s.Metrics()
	if m.Puts != 1 || m.Gets != 1 || m.Handoffs != 1 || m.Events[protect.WriteDegraded] != 1 || m.Events[protect.ReadRebuilt] != 1 {
		t.Errorf("%+v", m)
	}
}
