package transport

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"time"

	"torc/internal/errs"
	"torc/internal/pki"
)

// peer is an address with the links to it.
type peer struct {
	client *Client
	addr   string

	mu       sync.Mutex
	slots    [classes][]*slot
	failures int       // dials failed in a row
	retryAt  time.Time // no dial before
	lastErr  error
}

// slot is the place of one link: empty, being dialled, or linked.
type slot struct {
	link    *clientLink
	dialing *dialing
}

type dialing struct {
	done chan struct{}
	link *clientLink
	err  error
}

func newPeer(c *Client, addr string) *peer {
	p := &peer{client: c, addr: addr}
	for i := range p.slots {
		p.slots[i] = []*slot{{}}
	}
	return p
}

// get returns a link of the class, dialling it if there is none.
func (p *peer) get(ctx context.Context, cl class) (*clientLink, error) {
	p.mu.Lock()
	s := p.pick(cl)
	if l := s.link; l != nil {
		p.mu.Unlock()
		return l, nil
	}
	if s.dialing == nil {
		if err := p.startDial(cl, s); err != nil {
			p.mu.Unlock()
			return nil, err
		}
	}
	d := s.dialing
	p.mu.Unlock()
	select {
	case <-d.done:
		return d.link, d.err
	case <-ctx.Done():
		return nil, errs.Wrap("transport: dial "+p.addr, ctx.Err())
	}
}

// pick chooses the slot to use: the least loaded link. When all bulk links are
// busy one more is begun beside them, up to BulkLinksMax. p.mu is held.
func (p *peer) pick(cl class) *slot {
	var best, empty *slot
	for _, s := range p.slots[cl] {
		switch {
		case s.link == nil:
			empty = s
		case best == nil || s.link.load.Load() < best.link.load.Load():
			best = s
		}
	}
	if best == nil {
		return empty
	}
	if cl == classBulk && best.link.load.Load() > 0 {
		if empty == nil && len(p.slots[cl]) < BulkLinksMax {
			empty = &slot{}
			p.slots[cl] = append(p.slots[cl], empty)
		}
		if empty != nil && empty.dialing == nil {
			_ = p.startDial(cl, empty) // in the background; its failure is the next caller's
		}
	}
	return best
}

// startDial begins to fill s, unless the address is being left alone. p.mu is held.
func (p *peer) startDial(cl class, s *slot) error {
	c := p.client
	if wait := p.retryAt.Sub(c.cfg.Clock.Now()); p.failures > 0 && wait > 0 {
		return errs.E("transport: dial "+p.addr, errs.Unavailable, "next attempt in %v, the last failed: %w",
			wait.Round(time.Millisecond), p.lastErr)
	}
	d := &dialing{done: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errs.E("transport: dial "+p.addr, errs.Closed, "client is closed")
	}
	s.dialing = d
	c.wg.Go(func() { p.dial(cl, s, d) })
	return nil
}

func (p *peer) dial(cl class, s *slot, d *dialing) {
	c := p.client
	c.stats.dials.Add(1)
	ctx, cancel := context.WithTimeout(&c.root, DialTimeout)
	l, err := p.open(ctx, cl)
	cancel()
	if err == nil {
		l.onEnd = func(l *clientLink) { p.forget(s, l) }
		if !c.start(l) {
			err = errs.E("transport: dial", errs.Closed, "client is closed")
			l.end(err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.dialing = nil
	if err != nil {
		c.stats.dialErrors.Add(1)
		p.failures++
		p.retryAt, p.lastErr = c.cfg.Clock.Now().Add(backoff(p.failures)), err
		c.cfg.Log.Warn("transport: dial failed", "addr", p.addr, "failures", p.failures, "err", err)
		d.err = errs.E("transport: dial "+p.addr, errs.Unavailable, "%w", err)
	} else {
		p.failures = 0
		d.link = l
		if !l.isEnded() {
			s.link = l
		}
	}
	close(d.done)
}

// forget empties the slot of a link that must not be used any more.
func (p *peer) forget(s *slot, l *clientLink) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.link == l {
		s.link = nil
	}
}

// open dials, authenticates and agrees on the protocol.
func (p *peer) open(ctx context.Context, cl class) (*clientLink, error) {
	c := p.client
	conn, err := c.cfg.Network.Dial(ctx, p.addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	who := Peer{Addr: p.addr}
	if c.cfg.TLS != nil {
		conn, who, err = p.authenticate(ctx, conn)
	}
	var w preface
	if err == nil {
		w, err = offer(conn, cl)
	}
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	l := &clientLink{link: newLink(conn, cl, who, &c.stats), calls: map[uint64]*call{}}
	l.win.calls, l.win.bytes = int(w.calls), int64(w.bytes)
	return l, nil
}

// authenticate completes the handshake and checks who answered.
func (p *peer) authenticate(ctx context.Context, raw net.Conn) (net.Conn, Peer, error) {
	under := &corkConn{Conn: raw}
	conn := &tlsConn{tls.Client(under, p.client.cfg.TLS), under}
	if err := conn.HandshakeContext(ctx); err != nil {
		return conn, Peer{}, errs.E("transport: TLS", errs.Permission, "%w", err)
	}
	id, err := pki.PeerIdentity(conn.ConnectionState())
	if err != nil {
		return conn, Peer{}, err
	}
	if f := p.client.cfg.Expect; f != nil {
		if want := f(p.addr); want != "" && want != id.Server {
			return conn, Peer{}, errs.E("transport: TLS", errs.Permission,
				"%s answered as server %q, expected %q", p.addr, id.Server, want)
		}
	}
	return conn, Peer{Server: id.Server, Cluster: id.Cluster, Addr: p.addr}, nil
}

// offer sends our preface and reads the server's.
func offer(conn net.Conn, cl class) (preface, error) {
	mine := preface{versionMin: VersionMin, versionMax: VersionMax, class: cl}
	if _, err := conn.Write(mine.encode()); err != nil {
		return preface{}, err
	}
	var b [prefaceLen]byte
	if _, err := io.ReadFull(conn, b[:]); err != nil {
		return preface{}, err
	}
	theirs, err := decodePreface(b[:])
	switch {
	case err != nil:
		return preface{}, err
	case theirs.versionMax == 0:
		return preface{}, errs.E("transport: connect", errs.Unsupported,
			"the server speaks none of protocol versions %d-%d", VersionMin, VersionMax)
	case theirs.versionMax > VersionMax || theirs.versionMin < VersionMin:
		return preface{}, errs.E("transport: connect", errs.Corrupt, "the server chose version %d", theirs.versionMax)
	case theirs.bytes < WindowMin || theirs.calls == 0 || theirs.bytes > 1<<40:
		return preface{}, errs.E("transport: connect", errs.Corrupt, "window of %d calls, %d bytes", theirs.calls, theirs.bytes)
	}
	return theirs, nil
}
