package protect_test

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"torc/chunk"
	"torc/internal/errs"
	"torc/protect"
)

// These tests run in a bubble of synthetic time: lateness costs nothing and
// comes at exact moments.

// hang makes a node keep every call of op waiting until its context ends.
func (n *node) hang(op chunk.Op) { n.Inject(chunk.Fault{Op: op, Hold: make(chan struct{})}) }

// bubble runs f with a healthy cluster whose Store is closed before the end.
func bubble(t *testing.T, cfg protect.Config, f func(t *testing.T, c *cluster, s *protect.Store)) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 6)
		s := protect.New(c, cfg)
		f(t, c, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestHungHomeIsHandedOff(t *testing.T) {
	for _, prot := range []chunk.Protection{chunk.Replicas(1), chunk.Replicas(3), chunk.EC(4, 2)} {
		var rec recorder
		bubble(t, protect.Config{Events: rec.add}, func(t *testing.T, c *cluster, s *protect.Store) {
			c.nodes[0].hang(chunk.OpPut)
			start := time.Now()
			w := write(onceKey(1, prot), 10, 10_000)
			r := mustPut(t, s, w)
			if want := (chunk.Receipt{Want: prot.Width(), Durable: prot.Width(), Handoff: 1}); r != want {
				t.Errorf("%v: receipt %+v, want %+v", prot, r, want)
			}
			if d := time.Since(start); d != protect.HandoffAfterDefault {
				t.Errorf("%v: Put took %v, want the lateness bound", prot, d)
			}
			mustRead(t, s, w, "%v, a fragment handed off", prot)
			start = time.Now()
			w.Key = onceKey(2, prot)
			if r := mustPut(t, s, w); r.Handoff != 1 || time.Since(start) != 0 {
				t.Errorf("%v: second Put: %+v after %v; a place that was late must be skipped", prot, r, time.Since(start))
			}
			c.allUp()
			time.Sleep(protect.SuspectForDefault)
			w.Key = onceKey(3, prot)
			if r := mustPut(t, s, w); !r.Whole() {
				t.Errorf("%v: once the suspicion has passed: %+v", prot, r)
			}
		})
		if rec.count(protect.FragmentLate) != 1 || rec.count(protect.WriteDegraded) != 2 {
			t.Errorf("%v: %d late, %d degraded; want 1 and 2", prot, rec.count(protect.FragmentLate), rec.count(protect.WriteDegraded))
		}
	}
}

// Everything beyond the quorum hangs, and there is nowhere to hand off to.
func TestQuorumIsEnoughWhenTheRestIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1)
		s := protect.New(c, protect.Config{})
		c.nodes[2].hang(chunk.OpPut)
		w := write(onceKey(1, chunk.Replicas(3)), 10, 100)
		start := time.Now()
		if r := mustPut(t, s, w); r != (chunk.Receipt{Want: 3, Durable: 2}) {
			t.Errorf("receipt %+v", r)
		}
		if time.Since(start) != protect.HandoffAfterDefault {
			t.Errorf("Put took %v", time.Since(start))
		}
		c.nodes[1].hang(chunk.OpPut)
		start = time.Now()
		_, err := s.Put(t.Context(), write(userKey(2, chunk.Replicas(3)), 10, 100))
		wantKind(t, err, errs.Unknown, "two of three hang")
		if time.Since(start) != protect.WriteTimeoutDefault {
			t.Errorf("Put took %v, want the write timeout", time.Since(start))
		}
		s.Close()
	})
}

// A late ack that arrives before the hand-off is done counts, at home.
func TestLateHomeMayStillWin(t *testing.T) {
	bubble(t, protect.Config{}, func(t *testing.T, c *cluster, s *protect.Store) {
		release := make(chan struct{})
		c.nodes[0].Inject(chunk.Fault{Op: chunk.OpPut, HoldAck: release})
		for _, n := range c.nodes[3:] {
			n.Inject(chunk.Fault{Op: chunk.OpPut, Hold: make(chan struct{})})
		}
		done := make(chan chunk.Receipt)
		go func() {
			r, err := s.Put(t.Context(), write(onceKey(1, chunk.Replicas(3)), 10, 100))
			if err != nil {
				t.Error(err)
			}
			done <- r
		}()
		time.Sleep(protect.HandoffAfterDefault + time.Millisecond)
		close(release)
		if r := <-done; !r.Whole() {
			t.Errorf("receipt %+v", r)
		}
	})
}

// stubborn is a store that ignores cancellation and reads the caller's bytes
// when it is released: what a disk that hangs in a write does.
type stubborn struct {
	chunk.Store
	release chan struct{}
	read    []byte
}

func (s *stubborn) Put(_ context.Context, w chunk.Write) (chunk.Receipt, error) {
	<-s.release
	s.read = bytes.Clone(w.Data)
	return s.Store.Put(context.Background(), w)
}

type fixed []chunk.Place

func (f fixed) Places(chunk.Key) []chunk.Place { return f }

// Put must not return while a store may still read the caller's bytes.
func TestPutWaitsForThoseWhoReadItsData(t *testing.T) {
	for name, cancelIt := range map[string]bool{"late": false, "cancelled": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 3, 6)
				places := c.Places(chunk.Key{})
				st := &stubborn{Store: c.nodes[1], release: make(chan struct{})}
				places[1].Store = st
				s := protect.New(fixed(places), protect.Config{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				w := write(onceKey(1, chunk.Replicas(3)), 10, 5000)
				done := make(chan error, 1)
				go func() {
					_, err := s.Put(ctx, w)
					clear(w.Data) // the caller's right as soon as Put returned
					done <- err
				}()
				if cancelIt {
					synctest.Wait()
					cancel()
				}
				time.Sleep(time.Minute)
				select {
				case err := <-done:
					t.Fatalf("Put returned (%v) while a store held its bytes", err)
				default:
				}
				want := bytes.Clone(w.Data)
				close(st.release)
				if err := <-done; err != nil {
					t.Errorf("all copies are durable, yet: %v", err)
				}
				if !bytes.Equal(st.read, want) {
					t.Error("the store read other bytes than were put")
				}
				s.Close()
			})
		})
	}
}

func TestHungHomeIsHedgedOnReads(t *testing.T) {
	for _, prot := range []chunk.Protection{chunk.Replicas(3), chunk.EC(4, 2)} {
		for _, k := range []chunk.Key{onceKey(1, prot), userKey(1, prot)} {
			for i := range prot.Width() {
				bubble(t, protect.Config{}, func(t *testing.T, c *cluster, s *protect.Store) {
					w := write(k, 10, 40_000)
					mustPut(t, s, w)
					c.nodes[i].hang(chunk.OpAny)
					for range 3 { // whichever copy comes first
						start := time.Now()
						mustRead(t, s, w, "%v, home %d hangs", prot, i)
						if d := time.Since(start); d > 30*protect.HedgeAfterDefault {
							t.Errorf("%v, home %d hangs: five reads took %v", prot, i, d)
						}
					}
				})
			}
		}
	}
}

// The value is not there and a home hangs: the answer must not be NotFound, for
// a key written once, and must come in bounded time.
func TestAbsentWithHungHome(t *testing.T) {
	bubble(t, protect.Config{}, func(t *testing.T, c *cluster, s *protect.Store) {
		c.nodes[0].hang(chunk.OpAny)
		start := time.Now()
		wantKind(t, getErr(t, s, onceKey(1, chunk.EC(4, 2))), errs.Unavailable, "written once")
		wantKind(t, getErr(t, s, userKey(1, chunk.EC(4, 2))), errs.NotFound, "overwritten: one silent place cannot hide a quorum")
		if d := time.Since(start); d > 4*protect.HandoffAfterDefault {
			t.Errorf("took %v", d)
		}
	})
}

func TestCancelWhileHung(t *testing.T) {
	bubble(t, protect.Config{}, func(t *testing.T, c *cluster, s *protect.Store) {
		w := write(userKey(1, chunk.EC(4, 2)), 10, 1000)
		mustPut(t, s, w)
		for _, n := range c.nodes {
			n.hang(chunk.OpAny)
		}
		calls := map[string]func(ctx context.Context) error{
			"Put":    func(ctx context.Context) error { _, err := s.Put(ctx, write(w.Key, 11, 1000)); return err },
			"Get":    func(ctx context.Context) error { c, err := s.Get(ctx, w.Key, chunk.All); c.Release(); return err },
			"Stat":   func(ctx context.Context) error { _, err := s.Stat(ctx, w.Key); return err },
			"Delete": func(ctx context.Context) error { _, err := s.Delete(ctx, w.Key, 12); return err },
			"Locate": func(ctx context.Context) error { _, err := s.Locate(ctx, w.Key); return err },
		}
		for name, call := range calls {
			ctx, cancel := context.WithCancel(t.Context())
			start := time.Now()
			done := make(chan error)
			go func() { done <- call(ctx) }()
			synctest.Wait()
			cancel()
			wantKind(t, <-done, errs.Canceled, "%s cancelled", name)
			if time.Since(start) != 0 {
				t.Errorf("%s returned %v after it was cancelled", name, time.Since(start))
			}
		}
		c.allUp()
		mustRead(t, s, w, "after cancelled calls that never reached a store")
	})
}

func TestDeleteWithHungHome(t *testing.T) {
	bubble(t, protect.Config{}, func(t *testing.T, c *cluster, s *protect.Store) {
		w := write(userKey(1, chunk.Replicas(3)), 10, 1000)
		mustPut(t, s, w)
		c.nodes[2].hang(chunk.OpAny)
		start := time.Now()
		r, err := s.Delete(t.Context(), w.Key, 11)
		if err != nil || r.Whole() || r.Durable != 2 || time.Since(start) != protect.HandoffAfterDefault {
			t.Errorf("%+v, %v after %v; want 2 of 3 after the lateness bound", r, err, time.Since(start))
		}
		c.allUp()
		wantKind(t, getErr(t, s, w.Key), errs.NotFound, "one home still holds it: a tombstone on any means deleted")
		if i, err := s.Stat(t.Context(), w.Key); err != nil || !i.Deleted || i.Version != 11 {
			t.Errorf("Stat %+v, %v", i, err)
		}
		if r, err := s.Delete(t.Context(), w.Key, 11); err != nil || !r.Whole() {
			t.Errorf("repeated: %+v, %v", r, err)
		}
	})
}

// A hung node that the map believes to be up is waited for once, not by every
// read; and the writes do not shun it for what only reads have seen.
func TestHungNodeDelaysOneRead(t *testing.T) {
	for _, prot := range []chunk.Protection{chunk.Replicas(3), chunk.EC(4, 2)} {
		for _, k := range []chunk.Key{onceKey(1, prot), userKey(1, prot)} {
			bubble(t, protect.Config{}, func(t *testing.T, c *cluster, s *protect.Store) {
				w := write(k, 10, 40_000)
				mustPut(t, s, w)
				c.nodes[1].hang(chunk.OpGet)
				c.nodes[1].hang(chunk.OpStat)
				start := time.Now()
				for range 100 {
					mustRead(t, s, w, "%v, a node hangs", prot)
				}
				if d := time.Since(start); d == 0 || d > 3*protect.HedgeAfterDefault {
					t.Errorf("%s: 100 times five reads took %v, want the node to be asked last once it was late", k, d)
				}
				w.Version++
				w.Key = onceKey(2, prot)
				if r := mustPut(t, s, w); !r.Whole() {
					t.Errorf("%v: a write after slow reads: %+v", prot, r)
				}
			})
		}
	}
}

// When everything is slow, hedges are a share of the reads, and every read is
// answered in the end.
func TestHedgesUnderOverload(t *testing.T) {
	for _, prot := range []chunk.Protection{chunk.Replicas(3), chunk.EC(4, 2)} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 3, 6)
			places := c.Places(chunk.Key{})
			var calls atomic.Int64
			for i, p := range places {
				places[i].Store = &slowReads{Store: p.Store, calls: &calls}
			}
			s := protect.New(fixed(places), protect.Config{})
			w := write(onceKey(1, prot), 10, 40_000)
			mustPut(t, s, w)
			const reads = 1000
			for range reads {
				got, err := s.Get(t.Context(), w.Key, chunk.All)
				if err != nil {
					t.Fatal(err)
				}
				got.Release()
			}
			s.Close()
			need := reads * prot.Need()
			if limit := need + int(float64(need)*protect.HedgeShare*1.2) + 2*protect.HedgeBurst; int(calls.Load()) > limit {
				t.Errorf("%v: %d calls for %d reads under overload, want at most %d", prot, calls.Load(), reads, limit)
			}
			if m := s.Metrics(); m.Hedges == 0 || m.HedgesDenied == 0 {
				t.Errorf("%v: %+v", prot, m)
			}
		})
	}
}

// slowReads takes longer for every read than a hedge waits.
type slowReads struct {
	chunk.Store
	calls *atomic.Int64
}

func (s *slowReads) Get(ctx context.Context, k chunk.Key, r chunk.Range) (*chunk.Chunk, error) {
	s.calls.Add(1)
	time.Sleep(2 * protect.HedgeAfterDefault)
	return s.Store.Get(ctx, k, r)
}
