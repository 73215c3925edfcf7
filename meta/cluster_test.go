package meta

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"torc/internal/clock"
	"torc/internal/errs"
	"torc/internal/transport"
)

// cluster is three stores on a fake network and crashable file systems.
type cluster struct {
	t        testing.TB
	net      *fakeNet
	peers    []Peer
	fs       []*vfs.MemFS
	stores   []*Store // nil when down
	handlers []Handler
	tune     func(*Config)
	rng      *rand.Rand
}

const testTick = 10 * time.Millisecond

func newCluster(t testing.TB, n int, tune func(*Config)) *cluster {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	c := &cluster{t: t, net: newFakeNet(seed), handlers: testHandlers(), tune: tune, rng: rand.New(rand.NewPCG(seed, 2))}
	for i := range n {
		c.peers = append(c.peers, Peer{ID: fmt.Sprintf("s%d", i+1), Addr: fmt.Sprintf("a%d", i+1)})
		c.fs = append(c.fs, vfs.NewCrashableMem())
		c.stores = append(c.stores, nil)
	}
	t.Cleanup(c.close)
	for i := range n {
		c.start(i)
	}
	return c
}

func (c *cluster) config(i int) Config {
	level := slog.LevelError + 1
	if os.Getenv("TORC_TEST_LOG") != "" {
		level = slog.LevelDebug
	}
	cfg := Config{
		ClusterID: "test", ServerID: c.peers[i].ID, Peers: c.peers, Dir: "meta", FS: c.fs[i],
		Caller: caller{c.net, c.peers[i].Addr}, Clock: clock.System{},
		Log:      slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})).With("server", c.peers[i].ID),
		Handlers: c.handlers, TickInterval: testTick,
	}
	if c.tune != nil {
		c.tune(&cfg)
	}
	return cfg
}

func (c *cluster) start(i int) *Store {
	c.t.Helper()
	s, err := Open(context.Background(), c.config(i))
	if err != nil {
		c.t.Fatalf("open %s: %v", c.peers[i].ID, err)
	}
	mux := transport.Mux{}
	s.Register(mux)
	c.stores[i] = s
	c.net.serve(c.peers[i].Addr, mux)
	return s
}

// crash kills store i as SIGKILL or a power cut would: what was not synced
// survives with the given probability in percent.
func (c *cluster) crash(i, unsyncedPercent int) {
	s := c.stores[i]
	if s == nil {
		return
	}
	c.net.serve(c.peers[i].Addr, nil)
	clone := c.fs[i].CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsyncedPercent, RNG: c.rng})
	s.cancel() // no leadership transfer: a dead process hands nothing over
	if err := s.Close(context.Background()); err != nil {
		c.t.Errorf("close %s: %v", c.peers[i].ID, err)
	}
	c.fs[i], c.stores[i] = clone, nil
}

func (c *cluster) close() {
	for i, s := range c.stores {
		if s != nil {
			c.net.serve(c.peers[i].Addr, nil)
			s.cancel()
			if err := s.Close(context.Background()); err != nil {
				c.t.Errorf("close %s: %v", c.peers[i].ID, err)
			}
			c.stores[i] = nil
		}
	}
	c.net.close()
}

// client returns a client that reaches the stores over the network only.
func (c *cluster) client() *Client {
	return NewClient(ClientConfig{Caller: caller{c.net, "client"}, Ranges: OneRange(c.peers), Clock: clock.System{}, AttemptMax: 500 * time.Millisecond})
}

// leader waits for a serving leader and returns its place.
func (c *cluster) leader() int {
	c.t.Helper()
	var at int
	c.eventually("a leader", func() bool {
		for i, s := range c.stores {
			if s != nil && s.IsLeader([]byte("k")) {
				at = i
				return true
			}
		}
		return false
	})
	return at
}

// eventually polls cond; it is bounded, so that a test fails and does not hang.
func (c *cluster) eventually(what string, cond func() bool) {
	c.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			c.t.Fatalf("no %s after 20 s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func (c *cluster) addrs() []string {
	out := []string{"client"}
	for _, p := range c.peers {
		out = append(out, p.Addr)
	}
	return out
}

// The commands of the tests.
const (
	kindPut    Kind = "test.put"    // body: key, value; replies with the old value
	kindSet    Kind = "test.set"    // the same, without a reply
	kindGet    Kind = "test.get"    // query; body: key
	kindAdd    Kind = "test.add"    // body: key; adds one to a counter and replies with the sum
	kindRefuse Kind = "test.refuse" // body: key; writes, then fails with Precondition
	kindPanic  Kind = "test.panic"
	kindScan   Kind = "test.scan" // query; body: from, to; replies with "key=value " of each
	kindNow    Kind = "test.now"  // command; replies with the clock
	kindNowQ   Kind = "test.nowq" // query; the same
	kindDel    Kind = "test.del"  // body: key
	kindNoop   Kind = "test.noop" // command that writes nothing and replies with the value
)

func pack(parts ...string) []byte {
	enc := encoder{}
	for _, p := range parts {
		enc.bytes([]byte(p))
	}
	return enc.b
}

func unpack(b []byte, n int) [][]byte {
	d := decoder{b: b, what: "test"}
	var out [][]byte
	for range n {
		out = append(out, d.bytes(BodyLenMax))
	}
	return out
}

func testHandlers() []Handler {
	read := func(txn Txn, body []byte) ([]byte, error) { return txn.Get(unpack(body, 1)[0]) }
	now := func(txn Txn, _ []byte) ([]byte, error) {
		return binary.BigEndian.AppendUint64(nil, uint64(txn.Now())), nil
	}
	return []Handler{
		{Kind: kindPut, Eval: func(txn Txn, body []byte) ([]byte, error) {
			p := unpack(body, 2)
			old, err := txn.Get(p[0])
			txn.Set(p[0], p[1])
			return old, err
		}},
		{Kind: kindSet, Eval: func(txn Txn, body []byte) ([]byte, error) {
			p := unpack(body, 2)
			txn.Set(p[0], p[1])
			return nil, nil
		}},
		{Kind: kindGet, ReadOnly: true, Eval: read},
		{Kind: kindNoop, Eval: read},
		{Kind: kindAdd, Eval: func(txn Txn, body []byte) ([]byte, error) {
			k := unpack(body, 1)[0]
			v, err := txn.Get(k)
			n := uint64(0)
			if v != nil {
				n = binary.BigEndian.Uint64(v)
			}
			v = binary.BigEndian.AppendUint64(nil, n+1)
			txn.Set(k, v)
			return v, err
		}},
		{Kind: kindRefuse, Eval: func(txn Txn, body []byte) ([]byte, error) {
			txn.Set(unpack(body, 1)[0], []byte("never"))
			txn.Delete([]byte("other"))
			return nil, errs.E("test.refuse", errs.Precondition, "refused on purpose")
		}},
		{Kind: kindPanic, Eval: func(txn Txn, _ []byte) ([]byte, error) {
			txn.Set([]byte("panicked"), nil)
			panic("on purpose")
		}},
		{Kind: kindScan, ReadOnly: true, Eval: func(txn Txn, body []byte) ([]byte, error) {
			p := unpack(body, 2)
			s := Span{From: p[0], To: p[1]}
			if len(s.To) == 0 {
				s.To = nil
			}
			var out []byte
			err := txn.Scan(s, func(k, v []byte) bool {
				out = fmt.Appendf(out, "%s=%s ", k, v)
				return true
			})
			return out, err
		}},
		{Kind: kindDel, Eval: func(txn Txn, body []byte) ([]byte, error) {
			txn.Delete(unpack(body, 1)[0])
			return nil, nil
		}},
		{Kind: kindNow, Eval: now},
		{Kind: kindNowQ, ReadOnly: true, Eval: now},
	}
}

// call is a command of the tests: queries go to Query.
func call(db DB, kind Kind, parts ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	return callCtx(ctx, db, kind, parts...)
}

func callCtx(ctx context.Context, db DB, kind Kind, parts ...string) (string, error) {
	c := Command{Kind: kind, Key: []byte("k"), Body: pack(parts...)}
	f := db.Do
	if kind == kindGet || kind == kindScan || kind == kindNowQ {
		f = db.Query
	}
	reply, err := f(ctx, c)
	return string(reply), err
}
