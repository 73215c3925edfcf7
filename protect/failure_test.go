package protect_test

import (
	"context"
	"testing"

	"torc/chunk"
	"torc/internal/buf"
	"torc/internal/errs"
	"torc/protect"
)

func checkBuffers(t *testing.T) {
	before := buf.InUse()
	t.Cleanup(func() {
		if n := buf.InUse() - before; n != 0 {
			t.Errorf("%d pooled buffers were not released", n)
		}
	})
}

// Each server in turn fails, known to the map or not, before the write and
// after it: writes succeed elsewhere, reads succeed, nothing turns NotFound.
func TestOneServerDown(t *testing.T) {
	for _, prot := range []chunk.Protection{chunk.Replicas(2), chunk.Replicas(3), chunk.EC(4, 2), chunk.EC(2, 1)} {
		for _, server := range []chunk.ServerID{"s1", "s2", "s3"} {
			for _, known := range []bool{true, false} {
				for _, k := range []chunk.Key{onceKey(1, prot), userKey(1, prot)} {
					checkBuffers(t)
					c := newCluster(t, 3, 6)
					s := c.store(protect.Config{})
					before, during := write(k, 10, 30_000), write(k, 20, 20_000)
					during.Key = chunk.NewKey(chunk.Payload{Object: 2, Volume: 1, Service: k.Payload().Service}, prot)
					if r := mustPut(t, s, before); !r.Whole() {
						t.Fatalf("%v healthy: %+v", prot, r)
					}
					c.serverDown(server, known)
					r := mustPut(t, s, during)
					if r.Durable != prot.Width() || r.Handoff == 0 && prot.Width() > 2 {
						t.Errorf("%v, %s down: receipt %+v, want all durable and some handed off", prot, server, r)
					}
					mustRead(t, s, before, "%v, %s down (known %v), written before", prot, server, known)
					mustRead(t, s, during, "%v, %s down (known %v), written during", prot, server, known)
					if i, err := s.Stat(t.Context(), k); err != nil || i.Size != 30_000 || i.Version != 10 {
						t.Errorf("Stat: %+v, %v", i, err)
					}
					c.allUp()
					mustRead(t, s, during, "%v, %s up again: a fragment lies on a hand-off place", prot, server)
				}
			}
		}
	}
}

// Any m fragments may be lost or corrupt; one more gives a clean error.
func TestFragmentsLostOrCorrupt(t *testing.T) {
	for _, prot := range []chunk.Protection{chunk.EC(4, 2), chunk.EC(3, 3), chunk.EC(1, 2), chunk.Replicas(3)} {
		n, spare := prot.Width(), prot.Width()-prot.Need()
		for name, harm := range map[string]func(*node){
			"lost": (*node).lose, "corrupt": (*node).rot, "down": func(x *node) { x.SetDown(true) },
			"known down": func(x *node) { x.SetDown(true); x.up = false },
		} {
			for _, k := range []chunk.Key{onceKey(3, prot), userKey(3, prot)} {
				var rec recorder
				c := newCluster(t, 3, 6)
				s := c.store(protect.Config{Events: rec.add})
				w := write(k, 10, 50_001)
				mustPut(t, s, w)
				subsets(n, spare, func(set []int) {
					c.allUp()
					for _, i := range set {
						harm(c.nodes[i])
					}
					if mayHideNewer(k, name, spare) {
						wantKind(t, getErr(t, s, k), errs.Unavailable, "%v, %v %s: a newer version may hide there", prot, set, name)
						return
					}
					mustRead(t, s, w, "%v, fragments %v %s", prot, set, name)
				})
				if prot.Coded() && !mayHideNewer(k, name, spare) && rec.count(protect.ReadRebuilt) == 0 {
					t.Errorf("%v, %s: no read was rebuilt", prot, name)
				}
				if name == "corrupt" && rec.count(protect.FragmentCorrupt) == 0 || name == "lost" && rec.count(protect.FragmentMissing) == 0 {
					t.Errorf("%v, %s: nothing was reported", prot, name)
				}
				subsets(n, spare+1, func(set []int) {
					c.allUp()
					for _, i := range set {
						harm(c.nodes[i])
					}
					err := getErr(t, s, k)
					want := errs.Unavailable
					if name == "corrupt" {
						want = errs.Corrupt // all places answer, and what they have does not suffice
					}
					if name == "lost" && len(set) == n {
						want = errs.NotFound // no trace of it is left anywhere
					}
					wantKind(t, err, want, "%v, fragments %v %s", prot, set, name)
				})
			}
		}
	}
}

// mayHideNewer: of a key that may be overwritten a newer acknowledged version
// could lie on the places that are down, if those are enough for a quorum.
func mayHideNewer(k chunk.Key, harm string, down int) bool {
	p := k.Protection()
	quorum := int(p.Copies)/2 + 1
	if p.Coded() {
		quorum = int(p.K) + 1
	}
	return k.Payload().Service > chunk.ServiceUser && (harm == "down" || harm == "known down") && down >= quorum
}

// Bad fragments of different kinds at once, at the limit.
func TestMixedDamage(t *testing.T) {
	c := newCluster(t, 3, 6)
	s := c.store(protect.Config{})
	w := write(onceKey(4, chunk.EC(4, 3)), 10, 70_003)
	mustPut(t, s, w)
	c.nodes[0].lose()
	c.nodes[2].rot()
	c.nodes[3].SetDown(true)
	mustRead(t, s, w, "one lost, one corrupt, one down of 4+3")
	c.nodes[6].SetDown(true)
	wantKind(t, getErr(t, s, w.Key), errs.Unavailable, "and another down")
}

// A store below that returns wrong bytes under a good checksum cannot be told
// by protect; a fragment of the wrong length can.
func TestFragmentOfWrongLength(t *testing.T) {
	c := newCluster(t, 3, 6)
	var rec recorder
	s := c.store(protect.Config{Events: rec.add})
	w := write(onceKey(5, chunk.EC(4, 2)), 10, 10_000)
	mustPut(t, s, w)
	k := w.Key.Sibling(1)
	info, err := c.nodes[1].mem.Stat(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	short := chunk.NewMemory()
	if _, err := short.Put(t.Context(), chunk.Write{Key: k, Version: info.Version, Attrs: info.Attrs, Data: []byte("short")}); err != nil {
		t.Fatal(err)
	}
	c.nodes[1].Faulty = chunk.NewFaulty(short)
	mustRead(t, s, w, "fragment 1 has 5 bytes")
	if rec.count(protect.FragmentCorrupt) == 0 {
		t.Error("the short fragment was not reported")
	}
}

func TestWriteBelowQuorum(t *testing.T) {
	full := errs.E("test", errs.Full, "full")
	for _, tt := range []struct {
		name string
		prot chunk.Protection
		ok   int // nodes that work
		f    chunk.Fault
		want errs.Kind
	}{
		{"all full", chunk.EC(4, 2), 0, chunk.Fault{Op: chunk.OpPut, Err: full}, errs.Full},
		{"four of five, the rest full", chunk.EC(4, 2), 4, chunk.Fault{Op: chunk.OpPut, Err: full}, errs.Full},
		{"none", chunk.Replicas(3), 0, chunk.Fault{Op: chunk.OpPut, Err: errs.Unavailable}, errs.Unavailable},
		{"one of two", chunk.Replicas(3), 1, chunk.Fault{Op: chunk.OpPut, Err: errs.Unavailable}, errs.Unknown},
		{"outcome unknown", chunk.Replicas(3), 0, chunk.Fault{Op: chunk.OpPut, Err: errs.Unknown, Applied: true}, errs.Unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			checkBuffers(t)
			var rec recorder
			c := newCluster(t, 3, 3)
			s := c.store(protect.Config{Events: rec.add})
			for _, n := range c.nodes[tt.ok:] {
				n.Inject(tt.f)
			}
			for _, k := range []chunk.Key{onceKey(1, tt.prot), userKey(1, tt.prot)} {
				_, err := s.Put(t.Context(), write(k, 10, 9999))
				wantKind(t, err, tt.want, "%s", k)
			}
			if rec.count(protect.WriteFailed) != 2 {
				t.Errorf("%d failed writes reported, want 2", rec.count(protect.WriteFailed))
			}
			c.allUp()
			w := write(onceKey(1, tt.prot), 10, 9999)
			mustPut(t, s, w) // what is left is no obstacle
			mustRead(t, s, w, "the same write again")
			if r, err := s.Delete(t.Context(), w.Key, 11); err != nil || !r.Whole() {
				t.Errorf("delete: %+v, %v", r, err)
			}
		})
	}
}

// A repair writes again what is there. When it fails, what is there stays.
func TestFailedRewriteKeepsLiveData(t *testing.T) {
	for _, prot := range []chunk.Protection{chunk.Replicas(3), chunk.EC(4, 2)} {
		for _, keyOf := range []func(uint64, chunk.Protection) chunk.Key{onceKey, userKey} {
			c := newCluster(t, 3, 6)
			s := c.store(protect.Config{})
			w := write(keyOf(1, prot), 10, 100_000)
			mustPut(t, s, w)
			c.serverDown("s2", true)
			c.serverDown("s3", true)
			if _, err := s.Put(t.Context(), w); err == nil {
				t.Fatalf("%v: a rewrite with two of three servers away was acknowledged", prot)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := s.Put(ctx, w); err == nil {
				t.Fatalf("%v: a cancelled rewrite was acknowledged", prot)
			}
			c.allUp()
			mustRead(t, s, w, "%v: after failed rewrites", prot)
			for i, p := range c.Places(w.Key)[:prot.Width()] {
				if info, err := p.Store.Stat(t.Context(), w.Key.Sibling(i)); err != nil || info.Deleted {
					t.Errorf("%v: fragment %d is gone: %+v, %v", prot, i, info, err)
				}
			}
		}
	}
}

// A fragment that went home leaves a tombstone of its own version on the
// hand-off place: the value is not deleted by it, whichever home is away.
func TestTombstoneOnHandoffSaysNothing(t *testing.T) {
	for _, prot := range []chunk.Protection{chunk.Replicas(3), chunk.EC(4, 2)} {
		for _, keyOf := range []func(uint64, chunk.Protection) chunk.Key{onceKey, userKey} {
			c := newCluster(t, 3, 6)
			s := c.store(protect.Config{})
			w := write(keyOf(1, prot), 10, 100_000)
			mustPut(t, s, w)
			places := c.Places(w.Key)
			for i := range prot.Width() {
				for _, p := range places[prot.Width():] {
					if _, err := p.Store.Delete(t.Context(), w.Key.Sibling(i), w.Version); err != nil {
						t.Fatal(err)
					}
				}
			}
			mustRead(t, s, w, "%v: all homes there", prot)
			for _, srv := range []chunk.ServerID{"s1", "s2", "s3"} {
				c.serverDown(srv, true)
				mustRead(t, s, w, "%v: %s away", prot, srv)
				c.allUp()
			}
			c.serverDown("s1", true)
			c.serverDown("s2", true)
			if err := getErr(t, s, w.Key); errs.Is(err, errs.NotFound) {
				t.Errorf("%v: called absent while its homes are away: %v", prot, err)
			}
			c.allUp()
			if r, err := s.Delete(t.Context(), w.Key, 11); err != nil || !r.Whole() {
				t.Fatalf("%v: delete: %+v, %v", prot, r, err)
			}
			wantKind(t, getErr(t, s, w.Key), errs.NotFound, "%v: deleted at the homes", prot)
		}
	}
}

// Liveness is a hint: a server that calls all others down, wrongly, must not
// refuse writes for it, nor acknowledge on itself alone.
func TestWriteWhenAllOthersAreCalledDown(t *testing.T) {
	for _, prot := range []chunk.Protection{chunk.Replicas(3), chunk.EC(4, 2)} {
		c := newCluster(t, 3, 6)
		s := c.store(protect.Config{})
		for _, n := range c.nodes {
			n.up = n.server == "s1"
		}
		w := write(onceKey(1, prot), 10, 100_000)
		mustPut(t, s, w)
		for i := range c.nodes {
			c.nodes[i].up = true
		}
		for _, srv := range []chunk.ServerID{"s1", "s2", "s3"} {
			c.serverDown(srv, true)
			mustRead(t, s, w, "%v: without %s", prot, srv)
			c.allUp()
		}
	}
}

// A value is not acknowledged on one server alone where the map has more.
func TestAckSpansServers(t *testing.T) {
	for _, prot := range []chunk.Protection{chunk.Replicas(3), chunk.EC(4, 2)} {
		c := newCluster(t, 3, 6)
		s := c.store(protect.Config{})
		c.serverDown("s2", true)
		c.serverDown("s3", true)
		_, err := s.Put(t.Context(), write(onceKey(1, prot), 10, 100))
		wantKind(t, err, errs.Unknown, "%v on one server of three", prot)
		one := newCluster(t, 1, 6)
		if r := mustPut(t, one.store(protect.Config{}), write(onceKey(1, prot), 10, 100)); !r.Whole() {
			t.Errorf("%v on a cluster of one server: %+v", prot, r)
		}
	}
}

func TestTooFewPlaces(t *testing.T) {
	s := newCluster(t, 1, 1).store(protect.Config{})
	_, err := s.Put(t.Context(), write(onceKey(1, chunk.EC(4, 2)), 10, 100))
	wantKind(t, err, errs.Unknown, "4+2 on one node")
	none := newCluster(t, 0, 0).store(protect.Config{})
	_, err = none.Put(t.Context(), write(onceKey(1, chunk.Replicas(1)), 10, 100))
	wantKind(t, err, errs.Unavailable, "no node")
	c := newCluster(t, 2, 1)
	r := mustPut(t, c.store(protect.Config{}), write(onceKey(1, chunk.Replicas(3)), 10, 100))
	if r != (chunk.Receipt{Want: 3, Durable: 2}) || r.Whole() {
		t.Errorf("3 copies on 2 nodes: %+v", r)
	}
}

func TestOnlyMainKeys(t *testing.T) {
	s := newCluster(t, 3, 2).store(protect.Config{})
	w := write(onceKey(1, chunk.EC(4, 2)).Sibling(3), 10, 100)
	_, err := s.Put(t.Context(), w)
	wantKind(t, err, errs.Invalid, "Put")
	wantKind(t, getErr(t, s, w.Key), errs.Invalid, "Get")
	_, err = s.Stat(t.Context(), w.Key)
	wantKind(t, err, errs.Invalid, "Stat")
	_, err = s.Delete(t.Context(), w.Key, 9)
	wantKind(t, err, errs.Invalid, "Delete")
	w = write(onceKey(1, chunk.EC(4, 2)), 10, 100)
	w.GroupSize = 99
	_, err = s.Put(t.Context(), w)
	wantKind(t, err, errs.Invalid, "group size 99 of 100 bytes")
}

func TestClosed(t *testing.T) {
	s := newCluster(t, 3, 2).store(protect.Config{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := s.Put(t.Context(), write(onceKey(1, chunk.Replicas(3)), 10, 100))
	wantKind(t, err, errs.Closed, "Put after Close")
	wantKind(t, getErr(t, s, onceKey(1, chunk.Replicas(3))), errs.Closed, "Get after Close")
}

// Native clients choose their keys freely: only what the S3 connector makes is
// taken to be written once, so one silent home of an absent key means something
// else for the two.
func TestDefaultOfOverwritten(t *testing.T) {
	for service, want := range map[uint8]errs.Kind{
		chunk.ServiceS3: errs.Unavailable, 0: errs.NotFound, 0x51: errs.NotFound, chunk.ServiceUser: errs.NotFound,
	} {
		c := newCluster(t, 3, 2)
		c.nodes[0].SetDown(true)
		k := chunk.NewKey(chunk.Payload{Object: 1, Service: service}, chunk.Replicas(3))
		wantKind(t, getErr(t, c.store(protect.Config{}), k), want, "service %#x", service)
	}
}
