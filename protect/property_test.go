package protect_test

import (
	"math/rand/v2"
	"testing"

	"torc/chunk"
	"torc/internal/errs"
	"torc/protect"
)

// TestAckedDataIsNeverLost makes random histories of writes, deletes, outages
// and losses below what the policy tolerates. Whatever was acknowledged reads
// back whole at every moment when enough is up, and is never called absent.
func TestAckedDataIsNeverLost(t *testing.T) {
	for range 12 {
		seed := rand.Uint64()
		newWorld(t, seed).run(120)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

type world struct {
	t     *testing.T
	seed  uint64
	rnd   *rand.Rand
	c     *cluster
	s     *protect.Store
	ver   chunk.Version
	n     uint64
	acked map[chunk.Key]chunk.Write
	gone  map[chunk.Key]bool
	sick  []int // nodes that are down or refuse writes now
}

func newWorld(t *testing.T, seed uint64) *world {
	c := newCluster(t, 4, 5)
	return &world{t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 3)), c: c, s: c.store(protect.Config{}),
		acked: map[chunk.Key]chunk.Write{}, gone: map[chunk.Key]bool{}}
}

func (w *world) run(steps int) {
	for range steps {
		switch w.rnd.IntN(8) {
		case 0:
			w.trouble()
		case 1:
			w.c.allUp()
			w.sick = nil
		case 2:
			w.delete()
		case 3, 4:
			w.check()
		default:
			w.put()
		}
	}
	w.c.allUp()
	w.check()
}

// trouble makes up to two nodes sick: as many as every policy here tolerates.
func (w *world) trouble() {
	if len(w.sick) >= 2 {
		return
	}
	i := w.rnd.IntN(len(w.c.nodes))
	n := w.c.nodes[i]
	switch w.rnd.IntN(4) {
	case 0:
		n.SetDown(true)
	case 1:
		n.SetDown(true)
		n.up = false
	case 2:
		n.rot()
	case 3:
		n.Inject(chunk.Fault{Op: chunk.OpPut, Err: errs.Unknown, Applied: w.rnd.IntN(2) == 0})
	}
	w.sick = append(w.sick, i)
}

func (w *world) put() {
	prot := []chunk.Protection{chunk.EC(4, 2), chunk.EC(2, 2), chunk.EC(7, 5)}[w.rnd.IntN(3)]
	w.n++
	k := onceKey(w.n, prot)
	if w.rnd.IntN(2) == 0 {
		k = userKey(w.n, prot)
	}
	w.ver++
	x := write(k, w.ver, w.rnd.IntN(5000))
	r, err := w.s.Put(w.t.Context(), x)
	if err != nil {
		w.t.Errorf("Put %s with %v sick: %v", k, w.sick, err)
		return
	}
	if r.Durable < prot.Need()+1 || r.Durable > r.Want {
		w.t.Errorf("Put %s: acknowledged with %+v", k, r)
	}
	w.acked[k] = x
}

func (w *world) delete() {
	for k := range w.acked {
		w.ver++
		_, err := w.s.Delete(w.t.Context(), k, w.ver)
		delete(w.acked, k) // if it failed nothing is known any more
		w.gone[k] = err == nil
		if err != nil && !errs.Is(err, errs.Unknown) {
			w.t.Errorf("Delete %s with %v sick: %v", k, w.sick, err)
		}
		return
	}
}

func (w *world) check() {
	for k, x := range w.acked {
		if err := readBack(w.t.Context(), w.s, x); err != nil {
			w.t.Errorf("%s (%v) with %v sick: %v", k, k.Protection(), w.sick, err)
		}
	}
	for k, surely := range w.gone {
		if !surely || k.Payload().Service <= chunk.ServiceUser {
			continue // what is written once may be read a little after its deletion
		}
		if err := getErr(w.t, w.s, k); !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Unavailable) {
			w.t.Errorf("%s came back from its deletion with %v sick: %v", k, w.sick, err)
		}
	}
}
