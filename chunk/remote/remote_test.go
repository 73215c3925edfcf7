package remote

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"time"

	"torc/chunk"
	"torc/chunk/chunktest"
	"torc/internal/buf"
	"torc/internal/errs"
	"torc/internal/pki"
	"torc/internal/transport"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// netCase opens both ends of some network.
type netCase struct {
	name string
	open func(t testing.TB) (server, client transport.Network, listen string, sc transport.ServerConfig, cc transport.ClientConfig)
}

func netCases() []netCase {
	return []netCase{
		{"tcp", func(testing.TB) (transport.Network, transport.Network, string, transport.ServerConfig, transport.ClientConfig) {
			return transport.TCP{}, transport.TCP{}, "127.0.0.1:0", transport.ServerConfig{}, transport.ClientConfig{}
		}},
		{"mtls", func(t testing.TB) (transport.Network, transport.Network, string, transport.ServerConfig, transport.ClientConfig) {
			sc, cc := tlsConfigs(t)
			return transport.TCP{}, transport.TCP{}, "127.0.0.1:0", sc, cc
		}},
		{"memory", func(testing.TB) (transport.Network, transport.Network, string, transport.ServerConfig, transport.ClientConfig) {
			m := transport.NewMemory(nil)
			return m.Host("s1"), m.Host("s2"), "s1:7000", transport.ServerConfig{}, transport.ClientConfig{}
		}},
	}
}

func must[T any](t testing.TB, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func tlsConfigs(t testing.TB) (sc transport.ServerConfig, cc transport.ClientConfig) {
	t.Helper()
	ca, err := pki.NewCA("c1", time.Now())
	must(t, ca, err)
	for _, id := range []string{"s1", "s2"} {
		p, err := ca.Issue(id, nil, time.Now())
		must(t, p, err)
		if id == "s1" {
			sc.TLS, err = p.ServerTLS(ca.Cert, "c1")
		} else {
			cc.TLS, err = p.ClientTLS(ca.Cert, "c1")
		}
		must(t, p, err)
	}
	return sc, cc
}

// serve puts a server over a network and returns a caller with its address.
func serve(t testing.TB, nc netCase, s *Server) (transport.Caller, string) {
	t.Helper()
	inUse := buf.InUse()
	sn, cn, listen, sc, cc := nc.open(t)
	sc.Mux = transport.Mux{}
	s.Register(sc.Mux)
	cc.Network = cn
	ln, err := sn.Listen(listen)
	must(t, ln, err)
	server, client := transport.NewServer(sc), transport.NewClient(cc)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	t.Cleanup(func() {
		client.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Close(ctx); err != nil {
			t.Errorf("server.Close: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if n := buf.InUse() - inUse; n != 0 {
			t.Errorf("%d buffers leaked", n)
		}
	})
	return client, ln.Addr().String()
}

func oneNode(st chunk.ListStore) Lookup {
	return func(n chunk.NodeID) (chunk.ListStore, bool) { return st, n == "s1n1" }
}

func TestConformance(t *testing.T) {
	for _, nc := range netCases() {
		t.Run(nc.name, func(t *testing.T) {
			chunktest.Run(t, func(t *testing.T) chunk.ListStore {
				caller, addr := serve(t, nc, NewServer(oneNode(chunk.NewMemory()), Options{}))
				return NewClient(caller, addr, "s1n1", nil)
			})
		})
	}
}

func testKey(n uint64) chunk.Key {
	return chunk.NewKey(chunk.Payload{Object: n, Service: chunk.ServiceS3}, chunk.Replicas(3))
}

func TestUnknownNodeIsMoved(t *testing.T) {
	caller, addr := serve(t, netCases()[2], NewServer(oneNode(chunk.NewMemory()), Options{}))
	st := NewClient(caller, addr, "s9n9", nil)
	if _, err := st.Stat(t.Context(), testKey(1)); !errs.Is(err, errs.Moved) {
		t.Errorf("stat: %v, want Moved", err)
	}
	if _, err := st.List(t.Context(), nil, 10); !errs.Is(err, errs.Moved) {
		t.Errorf("list: %v, want Moved", err)
	}
}

func TestRouteSeesNodeEpochAndKey(t *testing.T) {
	here, there := chunk.NewMemory(), chunk.NewMemory()
	epoch := atomic.Uint64{}
	epoch.Store(7)
	s := NewServer(oneNode(here), Options{
		Route: func(_ context.Context, node chunk.NodeID, e chunk.Epoch, key chunk.Key) (chunk.Store, error) {
			switch {
			case node != "s1n1" || key != testKey(1):
				t.Errorf("route got %s %s", node, key)
			case e == 7:
				return there, nil // as a proxy would
			}
			return nil, errs.E("ring", errs.Moved, "epoch %d is old", e)
		}})
	caller, addr := serve(t, netCases()[2], s)
	st := NewClient(caller, addr, "s1n1", func() chunk.Epoch { return chunk.Epoch(epoch.Load()) })
	w := chunk.Write{Key: testKey(1), Version: 5, Data: []byte("hello")}
	if _, err := st.Put(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if _, err := there.Stat(t.Context(), testKey(1)); err != nil {
		t.Errorf("the routed store did not get the chunk: %v", err)
	}
	if _, err := here.Stat(t.Context(), testKey(1)); !errs.Is(err, errs.NotFound) {
		t.Errorf("the node's own store got it too: %v", err)
	}
	epoch.Store(6)
	w.Version = 6
	if _, err := st.Put(t.Context(), w); !errs.Is(err, errs.Moved) {
		t.Errorf("put under an old epoch: %v, want Moved", err)
	}
}

func TestLargestChunkAndOwner(t *testing.T) {
	for _, nc := range netCases() {
		t.Run(nc.name, func(t *testing.T) {
			caller, addr := serve(t, nc, NewServer(oneNode(chunk.NewMemory()), Options{}))
			st := NewClient(caller, addr, "s1n1", nil)
			data := bytes.Repeat([]byte("0123456789abcdef"), chunk.SizeMax/16)
			w := chunk.Write{Key: testKey(1), Version: 9, Data: data}
			w.Owner, w.GroupSize = bytes.Repeat([]byte{7}, chunk.OwnerLenMax), 99
			if _, err := st.Put(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			for _, r := range []chunk.Range{chunk.All, {Off: 5, Len: 100}, {Off: chunk.SizeMax, Len: 0}, {Off: 1 << 20, Len: 1 << 20}} {
				c, err := st.Get(t.Context(), testKey(1), r)
				if err != nil {
					t.Fatalf("%+v: %v", r, err)
				}
				off, n, _ := r.Resolve(chunk.SizeMax)
				if !bytes.Equal(c.Data, data[off:off+n]) || !bytes.Equal(c.Owner, w.Owner) || c.GroupSize != 99 || c.Sum != chunk.Checksum(data) {
					t.Errorf("%+v: chunk differs", r)
				}
				c.Release()
			}
			w.Data = append(data, 0)
			if _, err := st.Put(t.Context(), w); !errs.Is(err, errs.TooLarge) {
				t.Errorf("put of SizeMax+1: %v, want TooLarge", err)
			}
		})
	}
}

// lyingCaller answers every call with the same reply.
type lyingCaller struct {
	head, body []byte
	released   int
}

func (l *lyingCaller) Call(context.Context, string, transport.Request) (*transport.Reply, error) {
	return transport.NewReply(l.head, l.body, func() { l.released++ }), nil
}

func (l *lyingCaller) Send(context.Context, string, transport.Request) error { return nil }

func TestLyingServerIsCaught(t *testing.T) {
	info := chunk.Info{Key: testKey(1), Version: 3, Size: 10}
	other := chunk.Info{Key: testKey(2), Version: 3, Size: 10}
	for name, l := range map[string]*lyingCaller{
		"short body":    {head: appendInfoHead(nil, &info), body: make([]byte, 9)},
		"long body":     {head: appendInfoHead(nil, &info), body: make([]byte, 11)},
		"other key":     {head: appendInfoHead(nil, &other), body: make([]byte, 10)},
		"no head":       {body: make([]byte, 10)},
		"trailing head": {head: append(appendInfoHead(nil, &info), 0), body: make([]byte, 10)},
	} {
		st := NewClient(l, "x", "s1n1", nil)
		if _, err := st.Get(t.Context(), testKey(1), chunk.All); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%s: get %v, want Corrupt", name, err)
		}
		if _, err := st.Put(t.Context(), chunk.Write{Key: testKey(1), Version: 1}); !errs.Is(err, errs.Unknown) {
			t.Errorf("%s: put %v, want Unknown", name, err)
		}
		if l.released != 2 {
			t.Errorf("%s: %d of 2 replies released", name, l.released)
		}
	}
}
