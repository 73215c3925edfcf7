package meta

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"torc/internal/errs"
)

// wipe crashes store i and loses its disk.
func (c *cluster) wipe(i int) {
	c.crash(i, 0)
	c.fs[i] = vfs.NewCrashableMem()
}

func (c *cluster) role(i int) string { return c.stores[i].Status().Ranges[0].Role }

func TestReplicaWithoutItsDiskIsRefilled(t *testing.T) {
	for _, who := range []string{"follower", "leader"} {
		t.Run(who, func(t *testing.T) {
			c := newCluster(t, 3, nil)
			db := c.client()
			for range 20 {
				mustCall(t, db, kindAdd, "sum")
			}
			lost := c.leader()
			if who == "follower" {
				lost = (lost + 1) % 3
			}
			c.wipe(lost)
			mustCall(t, db, kindAdd, "sum")
			c.start(lost)
			c.eventually("recovery", func() bool { r := c.role(lost); return r == "follower" || r == "leader" })
			mustCall(t, db, kindAdd, "sum")
			c.replicasAgree()
			// It counts again: the others may go, one at a time.
			for i := range c.stores {
				if i != lost {
					c.crash(i, 0)
					mustCall(t, db, kindAdd, "sum")
					c.start(i)
				}
			}
			c.replicasAgree()
			if got := sumOf(t, db); got != 24 {
				t.Fatalf("sum %d, want 24", got)
			}
		})
	}
}

// An entry that only the leader and the lost replica had must not vanish: the
// empty replica must not elect a leader that never saw it.
func TestEmptyReplicaDoesNotElect(t *testing.T) {
	c := newCluster(t, 3, nil)
	db := c.client()
	mustCall(t, db, kindAdd, "sum")
	lead := c.leader()
	behind, lost := (lead+1)%3, (lead+2)%3
	c.crash(behind, 0)
	mustCall(t, db, kindAdd, "sum") // on lead and lost only
	c.crash(lead, 0)
	c.wipe(lost)
	c.start(behind)
	c.start(lost)
	ctx, cancel := context.WithTimeout(context.Background(), 600*time.Millisecond)
	defer cancel()
	if got, err := callCtx(ctx, db, kindGet, "sum"); !errs.Is(err, errs.Unavailable) {
		t.Fatalf("got %x, %v from a replica that is behind and one that is empty; want unavailable", got, err)
	}
	c.start(lead)
	if got := sumOf(t, db); got != 2 {
		t.Fatalf("sum %d, want 2", got)
	}
	c.eventually("recovery", func() bool { return c.role(lost) != "joining" && c.role(lost) != "recovering" })
	c.replicasAgree()
}

func TestForeignDirectoryIsRefused(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.leader()
	c.crash(0, 0)
	for name, change := range map[string]func(*Config){
		"cluster": func(cfg *Config) { cfg.ClusterID = "other" },
		"server":  func(cfg *Config) { cfg.ServerID = "s2" },
	} {
		cfg := c.config(0)
		change(&cfg)
		if s, err := Open(context.Background(), cfg); !errs.Is(err, errs.Precondition) {
			t.Errorf("another %s: got %v, %v; want precondition failed", name, s, err)
		}
	}
	c.start(0)
	mustCall(t, c.client(), kindAdd, "sum")
}

func TestDifferentConfigurationsDoNotJoin(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.leader()
	c.wipe(0)
	c.tune = func(cfg *Config) { cfg.Peers = append([]Peer{{ID: "s0", Addr: "a0"}}, cfg.Peers[:2]...) }
	s := c.start(0)
	r, err := s.sayHello(context.Background(), c.peers[1], s.id, 0)
	if !errs.Is(err, errs.Precondition) {
		t.Fatalf("hello: %+v, %v; want precondition failed", r, err)
	}
	if c.role(0) != "joining" {
		t.Fatalf("role %s, want joining", c.role(0))
	}
}

// Disks are replaced one after the other. The last one's peers have new stores
// themselves, and must know nevertheless that it had another one before.
func TestEmptyReplicaIsKnownToPeersWithNewDisks(t *testing.T) {
	c := newCluster(t, 3, nil)
	db := c.client()
	for _, i := range []int{1, 2} {
		mustCall(t, db, kindAdd, "sum")
		c.wipe(i)
		c.start(i)
		c.eventually("recovery", func() bool { r := c.role(i); return r == "follower" || r == "leader" })
	}
	c.replicasAgree()
	// The two that are sound cannot elect: what becomes of the third depends on it alone.
	c.net.cutOff(c.peers[1].Addr, c.peers[2].Addr, true)
	c.net.cutOff(c.peers[2].Addr, c.peers[1].Addr, true)
	c.wipe(0)
	c.start(0)
	c.eventually("an answer of both peers", func() bool { return c.role(0) != "joining" })
	if r := c.role(0); r != "recovering" {
		t.Fatalf("an empty replica is %s; want recovering: it would vote", r)
	}
	c.net.cutOff(c.peers[1].Addr, c.peers[2].Addr, false)
	c.net.cutOff(c.peers[2].Addr, c.peers[1].Addr, false)
	c.eventually("recovery", func() bool { r := c.role(0); return r == "follower" || r == "leader" })
	c.replicasAgree()
	if got := sumOf(t, db); got != 2 {
		t.Fatalf("sum %d, want 2", got)
	}
}
