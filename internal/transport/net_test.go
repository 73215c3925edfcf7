package transport

import (
	"context"
	"net"
	"testing"
	"time"

	"torc/internal/buf"
	"torc/internal/pki"

	"go.uber.org/goleak"
)

// world is one server and one client on some network.
type world struct {
	server *Server
	client *Client
	addr   string
	serve  chan error
}

// netCase is a network under which the conformance tests run.
type netCase struct {
	name string
	open func(t testing.TB) (server, client Network, listen string, sc ServerConfig, cc ClientConfig)
}

func netCases() []netCase {
	return []netCase{
		{"tcp", func(testing.TB) (Network, Network, string, ServerConfig, ClientConfig) {
			return TCP{}, TCP{}, "127.0.0.1:0", ServerConfig{}, ClientConfig{}
		}},
		{"mtls", func(t testing.TB) (Network, Network, string, ServerConfig, ClientConfig) {
			sc, cc := tlsConfigs(t)
			return TCP{}, TCP{}, "127.0.0.1:0", sc, cc
		}},
		{"memory", func(testing.TB) (Network, Network, string, ServerConfig, ClientConfig) {
			m := NewMemory(nil)
			return m.Host("s1"), m.Host("s2"), "s1:7000", ServerConfig{}, ClientConfig{}
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

func newCA(t testing.TB, cluster string) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA(cluster, time.Now())
	return must(t, ca, err)
}

func issue(t testing.TB, ca *pki.CA, server string) *pki.Pair {
	t.Helper()
	p, err := ca.Issue(server, nil, time.Now())
	return must(t, p, err)
}

func tlsConfigs(t testing.TB) (ServerConfig, ClientConfig) {
	ca := newCA(t, "c1")
	st, err := issue(t, ca, "s1").ServerTLS(ca.Cert, "c1")
	must(t, st, err)
	ct, err := issue(t, ca, "s2").ClientTLS(ca.Cert, "c1")
	must(t, ct, err)
	return ServerConfig{TLS: st}, ClientConfig{TLS: ct}
}

// start opens a world; at the end of the test nothing of it may be left.
func start(t testing.TB, nc netCase, mux Mux, tune func(*ServerConfig, *ClientConfig)) *world {
	t.Helper()
	inUse := buf.InUse()
	sn, cn, listen, sc, cc := nc.open(t)
	sc.Mux, cc.Network = mux, cn
	if tune != nil {
		tune(&sc, &cc)
	}
	ln, err := sn.Listen(listen)
	must(t, ln, err)
	w := &world{server: NewServer(sc), client: NewClient(cc), addr: ln.Addr().String(), serve: make(chan error, 1)}
	go func(ln net.Listener) { w.serve <- w.server.Serve(ln) }(ln)
	t.Cleanup(func() {
		w.client.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.server.Close(ctx); err != nil {
			t.Errorf("server.Close: %v", err)
		}
		if err := <-w.serve; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if n := buf.InUse(); n != inUse {
			t.Errorf("%d buffers leaked", n-inUse)
		}
	})
	return w
}

func (w *world) call(t testing.TB, req Request) (*Reply, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return w.client.Call(ctx, w.addr, req)
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
