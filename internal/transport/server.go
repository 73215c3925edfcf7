package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"torc/internal/clock"
	"torc/internal/errs"
	"torc/internal/loop"
	"torc/internal/pki"
)

// ServerConfig says what a Server serves and how much it takes on.
type ServerConfig struct {
	Mux    Mux
	TLS    *tls.Config // nil: no TLS; else from package pki
	Limits Limits
	Clock  clock.Clock  // nil: clock.System{}
	Log    *slog.Logger // nil: silent
}

// Server answers calls. Safe for concurrent use.
type Server struct {
	cfg       ServerConfig
	stats     counters
	root      scope
	keepalive *loop.Loop
	workers   workers
	wg        sync.WaitGroup
	requests  atomic.Int64 // calls begun and not yet answered

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[net.Conn]struct{} // in handshake
	links     map[*serverLink]struct{}
	draining  bool
}

// NewServer returns a server; call Serve for each listener, and Close.
func NewServer(cfg ServerConfig) *Server {
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, listeners: map[net.Listener]struct{}{},
		conns: map[net.Conn]struct{}{}, links: map[*serverLink]struct{}{}}
	s.workers = workers{max: cfg.Limits.Handlers, queueMax: cfg.Limits.Queue}
	s.keepalive = loop.New("transport-server-keepalive", cfg.Clock, KeepaliveInterval, s.lookAtLinks)
	s.wg.Go(func() { _ = s.keepalive.Run(&s.root) })
	return s
}

// Serve accepts connections until Close, then returns nil. It closes ln. Any
// other error is the listener's.
func (s *Server) Serve(ln net.Listener) error {
	defer ln.Close()
	s.mu.Lock()
	if s.draining {
		s.mu.Unlock()
		return nil
	}
	s.listeners[ln] = struct{}{}
	s.mu.Unlock()
	for {
		conn, err := ln.Accept()
		if err == nil {
			s.accept(conn)
			continue
		}
		s.mu.Lock()
		closing := s.draining
		s.mu.Unlock()
		if closing || s.root.Err() != nil {
			return nil
		}
		var temporary interface{ Temporary() bool }
		if !errors.As(err, &temporary) || !temporary.Temporary() {
			return errs.E("transport.Serve", errs.Unavailable, "accept: %w", err)
		}
		s.cfg.Log.Warn("transport: accept failed", "err", err)
		s.pauseAccept()
	}
}

// acceptPause is how long Serve waits when the system is out of descriptors.
const acceptPause = 50 * time.Millisecond

func (s *Server) pauseAccept() {
	c, stop := s.cfg.Clock.After(acceptPause)
	defer stop()
	select {
	case <-c:
	case <-s.root.Done():
	}
}

// accept begins to serve a connection, unless there are too many.
func (s *Server) accept(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining || len(s.conns)+len(s.links) >= s.cfg.Limits.Links {
		_ = conn.Close()
		return
	}
	s.conns[conn] = struct{}{}
	s.wg.Go(func() { s.serveConn(conn) })
}

func (s *Server) serveConn(conn net.Conn) {
	l, err := s.handshake(conn)
	s.mu.Lock()
	delete(s.conns, conn)
	if err == nil && s.draining {
		err = errs.E("transport: accept", errs.Closed, "server is closing")
	}
	if err == nil {
		s.links[l] = struct{}{}
	}
	s.mu.Unlock()
	if err != nil {
		s.cfg.Log.Warn("transport: connection refused", "from", conn.RemoteAddr().String(), "err", err)
		_ = conn.Close()
		return
	}
	s.stats.links.Add(1)
	s.wg.Go(l.writeLoop)
	l.readLoop()
	s.stats.links.Add(-1)
	s.mu.Lock()
	delete(s.links, l)
	s.mu.Unlock()
}

// handshake authenticates the peer and agrees on the protocol within DialTimeout.
func (s *Server) handshake(conn net.Conn) (*serverLink, error) {
	ctx, cancel := context.WithTimeout(&s.root, DialTimeout)
	defer cancel()
	raw := conn
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	who := Peer{Addr: conn.RemoteAddr().String()}
	if s.cfg.TLS != nil {
		under := &corkConn{Conn: raw}
		tc := &tlsConn{tls.Server(under, s.cfg.TLS), under}
		if err := tc.HandshakeContext(ctx); err != nil {
			return nil, errs.E("transport: TLS", errs.Permission, "%w", err)
		}
		id, err := pki.PeerIdentity(tc.ConnectionState())
		if err != nil {
			return nil, err
		}
		who.Server, who.Cluster = id.Server, id.Cluster
		conn = tc
	}
	p, err := s.answer(conn)
	if err != nil {
		return nil, err
	}
	return newServerLink(s, conn, who, p), nil
}

// answer reads the client's preface and sends ours.
func (s *Server) answer(conn net.Conn) (preface, error) {
	var b [prefaceLen]byte
	if _, err := io.ReadFull(conn, b[:]); err != nil {
		return preface{}, err
	}
	theirs, err := decodePreface(b[:])
	if err != nil {
		return preface{}, err
	}
	v := chooseVersion(theirs)
	lim := &s.cfg.Limits
	mine := preface{versionMin: v, versionMax: v, class: theirs.class, calls: uint32(lim.LinkCalls), bytes: uint64(lim.LinkBytes)}
	if theirs.class == classBulk {
		mine.calls = uint32(lim.LinkBulkCalls)
	}
	if _, err := conn.Write(mine.encode()); err != nil {
		return preface{}, err
	}
	if v == 0 {
		return preface{}, errs.E("transport: accept", errs.Unsupported, "client speaks versions %d-%d, we %d-%d",
			theirs.versionMin, theirs.versionMax, VersionMin, VersionMax)
	}
	return mine, nil
}

// Stats returns a snapshot.
func (s *Server) Stats() Stats { return s.stats.snapshot() }

// drainPoll is how often Close looks whether the last answer has gone out.
const drainPoll = 5 * time.Millisecond

// Close stops accepting, tells the clients, lets the calls in flight finish
// until ctx ends, then breaks what is left (ending the handlers' contexts) and
// waits for all goroutines. The error is ctx's if calls had to be broken.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	for ln := range s.listeners {
		_ = ln.Close()
	}
	for c := range s.conns {
		_ = c.Close()
	}
	for l := range s.links {
		l.control(frameGoAway, 0)
	}
	s.mu.Unlock()
	err := s.drain(ctx)
	s.root.end(context.Canceled)
	s.mu.Lock()
	for l := range s.links {
		l.end(errs.E("transport: server", errs.Closed, "closed"))
	}
	s.mu.Unlock()
	s.wg.Wait()
	s.workers.close()
	return err
}

// drain waits until no call is in flight and every answer is written.
func (s *Server) drain(ctx context.Context) error {
	for !s.quiet() {
		c, stop := s.cfg.Clock.After(drainPoll)
		select {
		case <-c:
		case <-ctx.Done():
			stop()
			return errs.Wrap("transport.Close", ctx.Err())
		}
	}
	return nil
}

func (s *Server) quiet() bool {
	if s.requests.Load() > 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.links {
		if !l.out.empty() {
			return false
		}
	}
	return true
}

// lookAtLinks is the keepalive pass: a client that waits for an answer pings,
// so silence while calls are in flight means that it is gone.
func (s *Server) lookAtLinks(context.Context) error {
	now := s.cfg.Clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.links {
		if l.overdue(now, l.owed()) {
			l.end(errs.E("transport: keepalive", errs.Unavailable, "%s has been silent for %v", l.peer.Addr, KeepaliveTimeout))
		}
	}
	return nil
}
