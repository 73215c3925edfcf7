package meta

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"torc/internal/clock"
	"torc/internal/errs"
	"torc/internal/transport"
)

func mustCall(t *testing.T, db DB, kind Kind, parts ...string) string {
	t.Helper()
	got, err := call(db, kind, parts...)
	if err != nil {
		t.Fatalf("%s %.40q: %v", kind, parts, err)
	}
	return got
}

func TestLeaderCrashKeepsWhatWasAcknowledged(t *testing.T) {
	c := newCluster(t, 3, nil)
	db := c.client()
	for i := range 6 {
		mustCall(t, db, kindPut, fmt.Sprintf("k%d", i), "v")
		dead := c.leader()
		c.crash(dead, 0)
		mustCall(t, db, kindPut, fmt.Sprintf("l%d", i), "v")
		c.start(dead)
	}
	if got := mustCall(t, db, kindScan, "k", ""); strings.Count(got, "=v ") != 12 {
		t.Fatalf("records are missing: %s", got)
	}
	c.replicasAgree()
}

// replicasAgree waits until all replicas have applied the same and compares their data.
func (c *cluster) replicasAgree() {
	c.t.Helper()
	type seen struct {
		index  uint64
		digest uint32
	}
	look := func(s *Store) (got seen) {
		done := make(chan seen, 1)
		err := s.in.call(func() {
			g := s.drv.order[0]
			d, err := g.digest()
			if err != nil || g.broken != nil {
				c.t.Errorf("digest of %s: %v, %v", s.cfg.ServerID, err, g.broken)
			}
			done <- seen{g.state.index, d}
		})
		if err != nil {
			c.t.Errorf("digest: %v", err)
			return seen{}
		}
		return <-done
	}
	c.eventually("agreement", func() bool {
		first := look(c.stores[0])
		for _, s := range c.stores[1:] {
			if got := look(s); got.index != first.index {
				return false
			} else if got != first {
				c.t.Fatalf("replicas differ at %d: %08x and %08x", got.index, got.digest, first.digest)
			}
		}
		return true
	})
}

// Every crash of all servers at once keeps what was acknowledged and applies
// nothing twice.
func TestAllCrashAtOnce(t *testing.T) {
	c := newCluster(t, 3, func(cfg *Config) { cfg.LogBytesMax = 64 << 10 })
	var acked, tried atomic.Uint64
	for round := range 5 {
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				db := c.client()
				for {
					select {
					case <-stop:
						return
					default:
					}
					ctx, cancel := context.WithTimeout(context.Background(), time.Second)
					tried.Add(1)
					if _, err := callCtx(ctx, db, kindAdd, "sum"); err == nil {
						acked.Add(1)
					}
					cancel()
				}
			})
		}
		before := acked.Load()
		c.eventually("progress", func() bool { return acked.Load() >= before+200 })
		for i := range c.stores {
			c.net.serve(c.peers[i].Addr, nil)
		}
		for i := range c.stores {
			c.crash(i, (round%3)*50)
		}
		close(stop)
		wg.Wait()
		for i := range c.stores {
			c.start(i)
		}
		got := sumOf(t, c.client())
		if got < acked.Load() || got > tried.Load() {
			t.Fatalf("round %d: sum %d, acknowledged %d, tried %d", round, got, acked.Load(), tried.Load())
		}
	}
	c.replicasAgree()
}

func sumOf(t *testing.T, db DB) uint64 {
	t.Helper()
	v := mustCall(t, db, kindGet, "sum")
	if v == "" {
		return 0
	}
	return binary.BigEndian.Uint64([]byte(v))
}

func TestRetriesApplyOnce(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.leader()
	c.net.lose(0.1, 0.3)
	const clients, each = 6, 30
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			db := c.client()
			for range each {
				if _, err := call(db, kindAdd, "sum"); err != nil {
					t.Errorf("add: %v", err)
				}
			}
		})
	}
	wg.Wait()
	c.net.lose(0, 0)
	if got := sumOf(t, c.client()); got != clients*each {
		t.Fatalf("sum %d after %d commands", got, clients*each)
	}
}

// A leader that is cut off must not answer from its old state, in either direction.
func TestCutOffLeaderDoesNotAnswer(t *testing.T) {
	for _, direction := range []string{"both", "in", "out"} {
		t.Run(direction, func(t *testing.T) {
			c := newCluster(t, 3, nil)
			db := c.client()
			mustCall(t, db, kindPut, "x", "old")
			old := c.leader()
			for i, p := range c.peers {
				if i != old {
					if direction != "out" {
						c.net.cutOff(p.Addr, c.peers[old].Addr, true)
					}
					if direction != "in" {
						c.net.cutOff(c.peers[old].Addr, p.Addr, true)
					}
				}
			}
			mustCall(t, db, kindPut, "x", "new")
			// A client that only knows the old leader.
			alone := NewClient(ClientConfig{
				Caller: caller{c.net, "client"}, Ranges: OneRange{c.peers[old]}, Clock: clock.System{}, AttemptMax: 100 * time.Millisecond,
			})
			ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
			defer cancel()
			if got, err := callCtx(ctx, alone, kindGet, "x"); err == nil && got != "new" {
				t.Fatalf("the old leader answered %q", got)
			} else if err != nil && !errs.Is(err, errs.Unavailable) {
				t.Fatalf("query: %v; want unavailable", err)
			}
			c.net.isolate(c.peers[old].Addr, c.addrs(), false)
			if got := mustCall(t, db, kindGet, "x"); got != "new" {
				t.Fatalf("got %q after the partition healed", got)
			}
			c.replicasAgree()
		})
	}
}

func TestWithoutQuorumIsUnavailable(t *testing.T) {
	c := newCluster(t, 3, nil)
	db := c.client()
	mustCall(t, db, kindPut, "x", "1")
	lead := c.leader()
	for i := range c.stores {
		if i != lead {
			c.crash(i, 0)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if _, err := callCtx(ctx, db, kindGet, "x"); !errs.Is(err, errs.Unavailable) {
		t.Fatalf("query: %v; want unavailable", err)
	}
	ctx, cancel = context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if _, err := callCtx(ctx, db, kindPut, "x", "2"); !errs.Is(err, errs.Unavailable) && !errs.Is(err, errs.Unknown) {
		t.Fatalf("command: %v; want unavailable or unknown", err)
	}
}

func TestFollowerIsRefilledBySnapshot(t *testing.T) {
	c := newCluster(t, 3, func(cfg *Config) { cfg.LogBytesMax = 32 << 10 })
	db := c.client()
	mustCall(t, db, kindPut, "gone", "x")
	slow := (c.leader() + 1) % 3
	c.crash(slow, 0)
	mustCall(t, db, kindDel, "gone")
	fill(t, db, 40, 4<<10)
	c.start(slow)
	c.replicasAgree()
	// Only a snapshot moves the log's beginning that far at once.
	c.eventually("snapshot", func() bool { return c.stores[slow].Status().Ranges[0].LogFirst > 40 })
	// It is a full replica again: it can make the quorum.
	for i := range c.stores {
		if i != slow {
			c.crash(i, 0)
			mustCall(t, db, kindAdd, "sum")
			c.start(i)
		}
	}
	c.replicasAgree()
}

func fill(t *testing.T, db DB, n, size int) {
	t.Helper()
	for i := range n {
		mustCall(t, db, kindSet, fmt.Sprintf("fill%03d", i), strings.Repeat("x", size))
	}
}

// Crashes at any point of a refill leave the old replica or the new one.
func TestCrashDuringRefill(t *testing.T) {
	c := newCluster(t, 3, func(cfg *Config) {
		cfg.LogBytesMax = 32 << 10
		cfg.SnapshotBytesPerSec = 64 << 20
	})
	db := c.client()
	slow := (c.leader() + 1) % 3
	for round := range 6 {
		c.crash(slow, 0)
		fill(t, db, 50, 64<<10)
		calls := atomic.Int32{}
		c.start(slow)
		c.countSnapshotCalls(slow, &calls)
		n := int32(round/2 + 1)
		c.eventually("snapshot", func() bool { return calls.Load() >= n })
		c.crash(slow, (round%2)*50)
		c.start(slow)
		mustCall(t, db, kindAdd, "sum")
	}
	c.replicasAgree()
}

// countSnapshotCalls counts the chunks that reach store i.
func (c *cluster) countSnapshotCalls(i int, n *atomic.Int32) {
	mux := transport.Mux{}
	c.stores[i].Register(mux)
	inner := mux[methodSnapshot]
	mux[methodSnapshot] = func(ctx context.Context, p transport.Peer, r transport.Request) (*transport.Reply, error) {
		defer n.Add(1)
		return inner(ctx, p, r)
	}
	c.net.serve(c.peers[i].Addr, mux)
}

// The range's clock only goes forward, over queries, commands, leader changes
// and a server whose wall clock is an hour behind.
func TestClockOverLeaderChanges(t *testing.T) {
	behind := clock.NewManual(time.Now().Add(-time.Hour))
	c := newCluster(t, 3, func(cfg *Config) {
		if cfg.ServerID == "s2" {
			cfg.Clock = skewed{behind}
		}
	})
	db := c.client()
	last := ""
	for range 6 {
		for i := range 6 {
			kind := kindNow
			if i%2 == 0 {
				kind = kindNowQ
			}
			now := mustCall(t, db, kind)
			if now <= last {
				t.Fatalf("%s: %x after %x", kind, now, last)
			}
			last = now
		}
		dead := c.leader()
		c.crash(dead, 0)
		now := mustCall(t, db, kindNowQ)
		if now <= last {
			t.Fatalf("after a leader change: %x after %x", now, last)
		}
		last = now
		c.start(dead)
	}
}

// skewed is a clock whose wall time stands elsewhere and whose timers work.
type skewed struct{ wall clock.Clock }

func (s skewed) Now() time.Time                                 { return s.wall.Now() }
func (skewed) After(d time.Duration) (<-chan time.Time, func()) { return clock.System{}.After(d) }

func TestGracefulCloseHandsOver(t *testing.T) {
	c := newCluster(t, 3, func(cfg *Config) { cfg.TickInterval = 100 * time.Millisecond })
	db := c.client()
	mustCall(t, db, kindPut, "x", "1")
	old := c.leader()
	s := c.stores[old]
	c.stores[old] = nil
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.net.serve(c.peers[old].Addr, nil)
	for i, o := range c.stores {
		if o != nil && o.Status().Ranges[0].Role == "leader" {
			if got := mustCall(t, db, kindGet, "x"); got != "1" {
				t.Fatalf("got %q", got)
			}
			return
		} else if i == 2 {
			break
		}
	}
	c.leader() // it may be electing still
}
