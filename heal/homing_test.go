package heal

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"testing"

	"torc/chunk"
	"torc/internal/buf"
	"torc/internal/clock"
	"torc/internal/errs"
)

// world is a ring of three nodes, one of them ours, with all keys homed by index.
type world struct {
	nodes  []*chunk.Faulty
	places []chunk.Place
	down   map[int]bool
}

func newWorld() *world {
	w := &world{down: map[int]bool{}}
	for _, id := range []chunk.NodeID{"n0", "n1", "n2", "n3"} {
		f := chunk.NewFaulty(chunk.NewMemory())
		w.nodes = append(w.nodes, f)
		w.places = append(w.places, chunk.Place{Node: id, Up: true, Store: f})
	}
	return w
}

// Places implements chunk.Topology.
func (w *world) Places(chunk.Key) []chunk.Place {
	out := append([]chunk.Place(nil), w.places...)
	for i := range out {
		out[i].Up = !w.down[i]
	}
	return out
}

// homing is the worker of node n3, which is nobody's home among three copies.
func (w *world) homing() *Homing {
	return NewHoming(HomingConfig{Topology: w, Clock: clock.System{}, Log: slog.New(slog.DiscardHandler),
		Stores: func() map[chunk.NodeID][]chunk.ListStore {
			return map[chunk.NodeID][]chunk.ListStore{"n3": {w.nodes[3]}}
		}})
}

func key(n uint64, index int) chunk.Key {
	return chunk.NewKey(chunk.Payload{Object: n, Service: chunk.ServiceS3}, chunk.Replicas(3)).Sibling(index)
}

func put(t *testing.T, s chunk.Store, k chunk.Key, v chunk.Version, data string) {
	t.Helper()
	if _, err := s.Put(t.Context(), chunk.Write{Key: k, Version: v, Attrs: chunk.Attrs{GroupSize: int64(len(data)), Owner: []byte("o")}, Data: []byte(data)}); err != nil {
		t.Fatal(err)
	}
}

// state returns what a store holds: "data", "deleted" or "absent".
func state(t *testing.T, s chunk.Store, k chunk.Key) string {
	t.Helper()
	info, err := s.Stat(t.Context(), k)
	if errs.Is(err, errs.NotFound) {
		return "absent"
	}
	if err != nil {
		t.Fatal(err)
	}
	if info.Deleted {
		return "deleted"
	}
	c, err := s.Get(t.Context(), k, chunk.All)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	return string(c.Data)
}

func TestHomingTable(t *testing.T) {
	k := key(1, 1) // home: n1
	for name, tc := range map[string]struct {
		before     func(t *testing.T, w *world)
		home, here string
		stays      int64
	}{
		"home lacks it":      {func(*testing.T, *world) {}, "v5", "deleted", 0},
		"home has it":        {func(t *testing.T, w *world) { put(t, w.nodes[1], k, 5, "v5") }, "v5", "deleted", 0},
		"home has older":     {func(t *testing.T, w *world) { put(t, w.nodes[1], k, 4, "v4") }, "v5", "deleted", 0},
		"home has newer":     {func(t *testing.T, w *world) { put(t, w.nodes[1], k, 6, "v6") }, "v6", "deleted", 0},
		"deleted at home":    {func(t *testing.T, w *world) { del(t, w.nodes[1], k, 6) }, "deleted", "deleted", 0},
		"deleted, same":      {func(t *testing.T, w *world) { del(t, w.nodes[1], k, 5) }, "deleted", "deleted", 0},
		"home marked away":   {func(_ *testing.T, w *world) { w.down[1] = true }, "absent", "v5", 1},
		"home fails":         {func(_ *testing.T, w *world) { w.nodes[1].SetDown(true) }, "absent", "v5", 1},
		"other data at home": {func(t *testing.T, w *world) { put(t, w.nodes[1], k, 5, "xx") }, "xx", "v5", 1},
	} {
		t.Run(name, func(t *testing.T) {
			before := buf.InUse()
			w := newWorld()
			put(t, w.nodes[3], k, 5, "v5")
			tc.before(t, w)
			h := w.homing()
			if err := h.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.nodes[1].SetDown(false)
			if home, here := state(t, w.nodes[1], k), state(t, w.nodes[3], k); home != tc.home || here != tc.here {
				t.Errorf("home %q, here %q; want %q, %q", home, here, tc.home, tc.here)
			}
			if st := h.Status(); st.Misplaced != tc.stays || st.Rounds != 1 {
				t.Errorf("status %+v, want %d misplaced", st, tc.stays)
			}
			if buf.InUse() != before {
				t.Errorf("%d buffers leak", buf.InUse()-before)
			}
		})
	}
}

// What comes home corrupt is not believed: the copy here stays.
func TestHomingVerifiesBeforeItDrops(t *testing.T) {
	w, k := newWorld(), key(1, 1)
	put(t, w.nodes[3], k, 5, "v5")
	w.nodes[1].Inject(chunk.Fault{Op: chunk.OpGet, Err: errs.E("test", errs.Corrupt, "rot")})
	if err := w.homing().Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := state(t, w.nodes[3], k); got != "v5" {
		t.Errorf("the only good copy is %q", got)
	}
}

// Passes are bounded, resume, and in the end everything is at home and nothing
// of ours is touched.
func TestHomingInBoundedPasses(t *testing.T) {
	w := newWorld()
	rnd := rand.New(rand.NewPCG(1, 2))
	want := map[chunk.Key][]byte{}
	for n := range uint64(300) {
		k := key(n, rnd.IntN(3))
		data := bytes.Repeat([]byte{byte(n)}, 1+rnd.IntN(100))
		want[k] = data
		put(t, w.nodes[3], k, 7, string(data))
	}
	h := NewHoming(HomingConfig{Topology: w, Clock: clock.System{}, Log: slog.New(slog.DiscardHandler), KeysStep: 40, MovesStep: 30,
		Stores: w.homing().cfg.Stores})
	steps := 0
	for ; h.Status().Rounds == 0; steps++ {
		before := h.Status()
		if err := h.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := h.Status().Looked - before.Looked; d > 40 {
			t.Fatalf("one pass looked at %d chunks", d)
		}
		if d := h.Status().Homed - before.Homed; d > 30 {
			t.Fatalf("one pass moved %d chunks", d)
		}
	}
	if steps < 10 {
		t.Errorf("only %d passes: the bounds do nothing", steps)
	}
	for k, data := range want {
		if got := state(t, w.nodes[k.Index()], k); got != string(data) {
			t.Errorf("%s at home: %d bytes, want %d", k, len(got), len(data))
		}
		if got := state(t, w.nodes[3], k); got != "deleted" {
			t.Errorf("%s is still here", k)
		}
	}
	if st := h.Status(); st.Homed != 300 || st.Misplaced != 0 {
		t.Errorf("status %+v", st)
	}
}

func del(t *testing.T, s chunk.Store, k chunk.Key, v chunk.Version) {
	t.Helper()
	if _, err := s.Delete(t.Context(), k, v); err != nil {
		t.Fatal(err)
	}
}
