package node

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"torc/internal/errs"
	"torc/internal/pki"
	"torc/internal/transport"
)

// metaReplicas is how many servers hold a replica of the database.
const metaReplicas = 3

// lockFile keeps two processes from running one server.
const lockFile = "server.lock"

func itoa(n int) string { return strconv.Itoa(n) }

// lockDir takes the server's directory for this process; the lock ends with it.
func (s *Server) lockDir(context.Context) error {
	name := filepath.Join(s.cfg.Dir, lockFile)
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return errs.E("server", errs.KindOf(err), "%w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return errs.E("server", errs.Unavailable, "directory %s is in use by another torc process", s.cfg.Dir)
	}
	s.onClose("lock", func(context.Context) error { return f.Close() })
	return nil
}

// openNetwork makes the client that reaches the peers: mutual TLS, and at each
// address only the server that the configuration says lives there.
func (s *Server) openNetwork(context.Context) error {
	tlsConf, err := pki.ClientTLS(s.cfg.TLS.Cert, s.cfg.TLS.Key, s.cfg.TLS.CA, s.cfg.Cluster)
	if err != nil {
		return errs.Wrap("server: certificates", err)
	}
	expect := map[string]string{}
	for _, m := range s.cfg.Members {
		expect[m.Addr] = m.ID
	}
	s.peers = transport.NewClient(transport.ClientConfig{Network: transport.TCP{}, TLS: tlsConf, Clock: s.opts.Clock, Log: s.log,
		Expect: func(addr string) string { return expect[addr] }})
	s.onClose("network", func(ctx context.Context) error {
		if s.transport != nil {
			if err := s.transport.Close(ctx); err != nil {
				s.log.Warn("calls were broken off", "error", err)
			}
		}
		s.peers.Close()
		return nil
	})
	return nil
}

// serveMux makes the server that peers reach; listenPeers opens its port.
func (s *Server) serveMux(_ context.Context, mux transport.Mux) error {
	tlsConf, err := pki.ServerTLS(s.cfg.TLS.Cert, s.cfg.TLS.Key, s.cfg.TLS.CA, s.cfg.Cluster)
	if err != nil {
		return errs.Wrap("server: certificates", err)
	}
	s.transport = transport.NewServer(transport.ServerConfig{Mux: mux, TLS: tlsConf, Clock: s.opts.Clock, Log: s.log})
	return nil
}

// listenPeers opens the server-to-server port and joins the gossip.
func (s *Server) listenPeers(ctx context.Context) error {
	self, _ := s.cfg.Member(s.cfg.Server)
	l, err := transport.TCP{}.Listen(self.Addr)
	if err != nil {
		return errs.E("server", errs.Unavailable, "cannot listen for other servers on %s: %w", self.Addr, err)
	}
	// Not among the work that Close waits for first: it ends with the transport, which goes last.
	go func() {
		if err := s.transport.Serve(l); err != nil {
			s.fail("server-to-server listener", err)
		}
	}()
	return s.joinGossip(ctx)
}

// serveHTTP serves on a listener until Close.
func (s *Server) serveHTTP(what string, l net.Listener, srv *http.Server, secure bool) {
	s.listeners = append(s.listeners, srv)
	s.run(what, func() {
		var err error
		if secure {
			if srv.TLSConfig == nil {
				srv.TLSConfig = publicTLS()
			}
			err = srv.ServeTLS(l, s.cfg.TLS.Cert, s.cfg.TLS.Key)
		} else {
			err = srv.Serve(l)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			s.fail(what, err)
		}
	})
}

// publicTLS is what people's clients meet: TLS 1.2 and up.
func publicTLS() *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS12} }
