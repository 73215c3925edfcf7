package meta

import (
	"context"
	"net"
	"strings"
	"testing"

	"torc/internal/clock"
	"torc/internal/transport"
)

// Three stores over the real transport on loopback: commands and queries from
// every server, routers that shortcut to their own store, and an orderly end.
func TestOverTCP(t *testing.T) {
	c := newCluster(t, 3, func(cfg *Config) { cfg.LogBytesMax = 32 << 10 })
	c.close() // only its configuration is used; the stores get sockets of their own
	c.net = newFakeNet(1)
	listeners := make([]net.Listener, len(c.peers))
	for i := range c.peers {
		ln, err := transport.TCP{}.Listen("127.0.0.1:0")
		must(t, err)
		listeners[i], c.peers[i].Addr = ln, ln.Addr().String()
	}
	type running struct {
		store  *Store
		server *transport.Server
		client *transport.Client
	}
	var all []running
	for i := range c.peers {
		calls := transport.NewClient(transport.ClientConfig{})
		cfg := c.config(i)
		cfg.Caller, cfg.Dir = calls, "tcp"
		s, err := Open(context.Background(), cfg)
		must(t, err)
		mux := transport.Mux{}
		s.Register(mux)
		srv := transport.NewServer(transport.ServerConfig{Mux: mux})
		go func() { _ = srv.Serve(listeners[i]) }() // ends with Close
		all = append(all, running{s, srv, calls})
	}
	defer func() {
		for _, r := range all {
			if err := r.store.Close(context.Background()); err != nil {
				t.Error(err)
			}
			if err := r.server.Close(context.Background()); err != nil {
				t.Error(err)
			}
			r.client.Close()
		}
	}()
	for i, r := range all {
		db := NewClient(ClientConfig{Caller: r.client, Ranges: OneRange(c.peers), Clock: clock.System{}, Local: r.store})
		for range 20 {
			mustCall(t, db, kindAdd, "sum")
		}
		fill(t, db, 20, 8<<10)
		if got := sumOf(t, db); got != uint64(20*(i+1)) {
			t.Fatalf("sum %d after %d commands", got, 20*(i+1))
		}
		if got := mustCall(t, db, kindScan, "fill", ""); strings.Count(got, "=x") != 20 {
			t.Fatalf("scan found %d records of 20", strings.Count(got, "=x"))
		}
	}
}
