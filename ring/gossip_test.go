package ring

import (
	"bytes"
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/goleak"

	"torc/chunk"
	"torc/internal/clock"
	"torc/internal/errs"
)

const gossipWait = 20 * time.Second // for a machine that is very busy

type heard struct {
	server chunk.ServerID
	state  State
}

// gossiper is a server of a test with what it has heard.
type gossiper struct {
	*Gossip
	states chan heard
	epochs chan chunk.Epoch
	epoch  atomic.Uint64
}

func startGossip(t *testing.T, cluster string, id chunk.ServerID, key byte) *gossiper {
	t.Helper()
	g := &gossiper{states: make(chan heard, 100), epochs: make(chan chunk.Epoch, 100)}
	g.epoch.Store(1)
	var err error
	g.Gossip, err = NewGossip(GossipConfig{Cluster: cluster, Self: id, Addr: "127.0.0.1:1", Bind: "127.0.0.1:0",
		Key: bytes.Repeat([]byte{key}, GossipKeyLen), Clock: clock.System{}, Log: quiet(),
		Epoch:   func() chunk.Epoch { return chunk.Epoch(g.epoch.Load()) },
		OnEpoch: func(e chunk.Epoch) { g.epochs <- e },
		OnState: func(s chunk.ServerID, st State) { g.states <- heard{s, st} },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// waitFor reads until want comes.
func waitFor[T comparable](t *testing.T, c <-chan T, want T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), gossipWait)
	defer cancel()
	for {
		select {
		case got := <-c:
			if got == want {
				return
			}
		case <-ctx.Done():
			t.Fatalf("never heard %v", want)
		}
	}
}

func TestGossip(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("three servers", func(t *testing.T) {
		a, b := startGossip(t, "c1", "s1", 1), startGossip(t, "c1", "s2", 1)
		c := startGossip(t, "c1", "s3", 1)
		for _, g := range []*gossiper{b, c} {
			if n, err := g.Join([]string{a.Addr()}); n != 1 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
		}
		waitFor(t, a.states, heard{"s2", StateRun})
		waitFor(t, b.states, heard{"s3", StateRun})
		b.epoch.Store(9)
		if err := b.Announce(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, a.epochs, 9)
		waitFor(t, c.epochs, 9)

		// c dies without a word.
		start := time.Now()
		c.close.Do(func() {
			if err := c.ml.Shutdown(); err != nil {
				t.Error(err)
			}
		})
		waitFor(t, a.states, heard{"s3", StateOffline})
		t.Logf("a dead server was noticed after %v", time.Since(start))
		peers := a.Peers()
		if len(peers) != 3 || peers[1] != (Peer{"s2", "127.0.0.1:1", 9, StateRun}) || peers[2].State != StateOffline {
			t.Errorf("%+v", peers)
		}

		// b says goodbye.
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, a.states, heard{"s2", StateOffline})
	})
}

func TestGossipRefusesStrangers(t *testing.T) {
	a := startGossip(t, "c1", "s1", 1)
	for name, g := range map[string]*gossiper{"another key": startGossip(t, "c1", "s2", 2), "another cluster": startGossip(t, "c2", "s3", 1)} {
		if n, err := g.Join([]string{a.Addr()}); n != 0 || !errs.Is(err, errs.Unavailable) {
			t.Errorf("%s: joined %d, %v", name, n, err)
		}
	}
	// A stranger that knows key and label still says who it is.
	for name, meta := range map[string][]byte{"other cluster": Peer{Server: "s9"}.encode("c2"), "other name": Peer{Server: "s8"}.encode("c1"), "nothing": nil} {
		if err := (gossipEvents{a.Gossip}).NotifyAlive(&memberlist.Node{Name: "s9", Meta: meta}); err == nil {
			t.Errorf("%s: was let in", name)
		}
	}
	if err := (gossipEvents{a.Gossip}).NotifyAlive(&memberlist.Node{Name: "s9", Meta: Peer{Server: "s9"}.encode("c1")}); err != nil {
		t.Errorf("a good peer: %v", err)
	}
	if p := a.Peers(); len(p) != 1 || p[0].Server != "s1" {
		t.Errorf("peers: %+v", p)
	}
}

func TestGossipRejoins(t *testing.T) {
	a, b := startGossip(t, "c1", "s1", 1), startGossip(t, "c1", "s2", 1)
	a.cfg.Seeds = func() []string { return []string{a.Addr(), b.Addr()} }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	if err := a.Loop().Step(ctx); err != nil {
		t.Fatal(err)
	}
	waitFor(t, b.states, heard{"s1", StateRun})
	cancel()
	<-done
}

func TestPeerEncoding(t *testing.T) {
	long := strings.Repeat("x", NameLenMax)
	p := Peer{Server: chunk.ServerID(long), Addr: strings.Repeat("y", AddrLenMax), Epoch: 1 << 60}
	b := p.encode(long)
	if len(b) > 512 {
		t.Fatalf("%d bytes do not fit memberlist's meta data", len(b))
	}
	if got, err := decodePeer(append(b, "more"...), long); err != nil || got != p {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := decodePeer(b, "other"); !errs.Is(err, errs.Permission) {
		t.Errorf("another cluster: %v", err)
	}
	for i := range b {
		if _, err := decodePeer(b[:i], long); !errs.Is(err, errs.Invalid) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

func TestNewGossipRefuses(t *testing.T) {
	good := GossipConfig{Cluster: "c", Self: "s1", Bind: "127.0.0.1:0", Key: make([]byte, GossipKeyLen), Clock: clock.System{}, Log: quiet()}
	for name, change := range map[string]func(*GossipConfig){
		"short key": func(c *GossipConfig) { c.Key = c.Key[:16] }, "no cluster": func(c *GossipConfig) { c.Cluster = "" },
		"no server": func(c *GossipConfig) { c.Self = "" }, "no port": func(c *GossipConfig) { c.Bind = "127.0.0.1" },
		"bad port": func(c *GossipConfig) { c.Bind = "127.0.0.1:99999" },
	} {
		c := good
		change(&c)
		if _, err := NewGossip(c); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
