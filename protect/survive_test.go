package protect_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"torc/chunk"
	"torc/internal/errs"
	"torc/protect"
)

// One disk misbehaves during a write; then any one server is lost for good. The
// value must be there: the other disks of that server could take the fragment.
func TestAckedWriteSurvivesAServer(t *testing.T) {
	for name, harm := range map[string]func(*node){
		"full":    func(n *node) { n.Inject(chunk.Fault{Op: chunk.OpPut, Err: errs.E("test", errs.Full, "full")}) },
		"refuses": func(n *node) { n.SetDown(true) },
		"unknown": func(n *node) { n.Inject(chunk.Fault{Op: chunk.OpPut, Err: errs.Unknown}) },
		"hangs":   func(n *node) { n.hang(chunk.OpPut) },
		"is down": func(n *node) { n.up = false },
	} {
		for _, prot := range []chunk.Protection{chunk.EC(4, 2), chunk.EC(2, 1), chunk.Replicas(3), chunk.Replicas(2)} {
			for home := range prot.Width() {
				bubble(t, protect.Config{}, func(t *testing.T, c *cluster, s *protect.Store) {
					harm(c.nodes[home])
					w := write(onceKey(1, prot), 10, 9_000)
					start := time.Now()
					mustPut(t, s, w)
					if d := time.Since(start); d > protect.HandoffAfterDefault {
						t.Errorf("%v, home %d %s: Put took %v", prot, home, name, d)
					}
					c.allUp()
					for _, server := range []chunk.ServerID{"s1", "s2", "s3"} {
						c.allUp()
						c.serverDown(server, true)
						mustRead(t, s, w, "%v, home %d %s, %s lost", prot, home, name, server)
					}
				})
			}
		}
	}
}

// A server that is frozen, refuses or is known to be down costs a write no more
// than the lateness bound: what the others can provide is enough.
func TestWriteGoesOnWithoutAServer(t *testing.T) {
	for name, harm := range map[string]func(*node){
		"frozen":  func(n *node) { n.hang(chunk.OpAny) },
		"refuses": func(n *node) { n.SetDown(true) },
		"is down": func(n *node) { n.up = false },
	} {
		for _, prot := range []chunk.Protection{chunk.EC(4, 2), chunk.EC(9, 3), chunk.Replicas(3)} {
			bubble(t, protect.Config{}, func(t *testing.T, c *cluster, s *protect.Store) {
				for _, n := range c.nodes {
					if n.server == "s2" {
						harm(n)
					}
				}
				w := write(onceKey(1, prot), 10, 9_000)
				start := time.Now()
				r := mustPut(t, s, w)
				d := time.Since(start)
				if d > protect.HandoffAfterDefault || name != "frozen" && d != 0 {
					t.Errorf("%v, s2 %s: Put took %v", prot, name, d)
				}
				if r.Durable != min(prot.Width(), 12) {
					t.Errorf("%v, s2 %s: %+v", prot, name, r)
				}
				mustRead(t, s, w, "%v, s2 %s", prot, name)
			})
		}
	}
}

// Disks that fail slowly, one after the other, hold a write up for SpreadRounds
// lateness bounds and no longer; what is ackable must do then.
func TestSpreadIsGivenUpInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 6)
		places := c.Places(chunk.Key{})
		for i, p := range places {
			if p.Server == "s2" && i != 1 { // home 1 works, the other five do not
				places[i].Store = &reluctant{Store: p.Store, after: protect.HandoffAfterDefault * 9 / 10}
			}
		}
		s := protect.New(fixed(places), protect.Config{})
		defer s.Close()
		start := time.Now()
		r := mustPut(t, s, write(onceKey(1, chunk.EC(4, 2)), 10, 9_000))
		d, limit := time.Since(start), (protect.SpreadRounds+1)*protect.HandoffAfterDefault
		if d < 2*protect.HandoffAfterDefault || d > limit || r.Durable != 5 {
			t.Errorf("%+v after %v, want 5 durable after at most %v", r, d, limit)
		}
	})
}

// reluctant is a store whose writes fail after a while.
type reluctant struct {
	chunk.Store
	after time.Duration
}

func (r *reluctant) Put(ctx context.Context, _ chunk.Write) (chunk.Receipt, error) {
	select {
	case <-time.After(r.after):
	case <-ctx.Done():
	}
	return chunk.Receipt{}, errs.E("test", errs.Unavailable, "in the end it does not work")
}
