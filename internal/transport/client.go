package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"sync"
	"time"

	"torc/internal/clock"
	"torc/internal/errs"
	"torc/internal/loop"
)

// ClientConfig says how a Client reaches its peers.
type ClientConfig struct {
	Network Network     // nil: TCP{}
	TLS     *tls.Config // nil: no TLS; else from package pki
	// Expect returns the server id that must answer at addr; "" accepts any
	// server of the cluster. nil accepts any. Used with TLS only.
	Expect func(addr string) string
	Clock  clock.Clock  // nil: clock.System{}
	Log    *slog.Logger // nil: silent
}

// Client is a Caller over links it dials when needed. Safe for concurrent use.
type Client struct {
	cfg       ClientConfig
	stats     counters
	root      scope
	keepalive *loop.Loop
	wg        sync.WaitGroup

	mu     sync.Mutex
	peers  map[string]*peer
	links  map[*clientLink]struct{}
	closed bool
}

var _ Caller = (*Client)(nil)

// NewClient returns a client; nothing is dialled yet. Close it.
func NewClient(cfg ClientConfig) *Client {
	if cfg.Network == nil {
		cfg.Network = TCP{}
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &Client{cfg: cfg, peers: map[string]*peer{}, links: map[*clientLink]struct{}{}}
	c.keepalive = loop.New("transport-client-keepalive", cfg.Clock, KeepaliveInterval, c.lookAtLinks)
	c.wg.Go(func() { _ = c.keepalive.Run(&c.root) })
	return c
}

// Call implements Caller.
func (c *Client) Call(ctx context.Context, addr string, req Request) (*Reply, error) {
	if err := checkLimits(&req); err != nil {
		return nil, err
	}
	c.stats.calls.Add(1)
	c.stats.inFlight.Add(1)
	defer c.stats.inFlight.Add(-1)
	var reply *Reply
	err := c.withLink(ctx, addr, classOf(&req), func(l *clientLink) (err error) {
		reply, err = l.call(ctx, &req)
		return err
	})
	if err != nil {
		c.stats.failed.Add(1)
		return nil, err
	}
	return reply, nil
}

// Send implements Caller.
func (c *Client) Send(ctx context.Context, addr string, req Request) error {
	if err := checkLimits(&req); err != nil {
		return err
	}
	c.stats.sends.Add(1)
	return c.withLink(ctx, addr, classSends, func(l *clientLink) error { return l.send(ctx, &req) })
}

// withLink runs f on a link to addr. A link may break between being chosen and
// being used; then, nothing having been sent, another is tried once.
func (c *Client) withLink(ctx context.Context, addr string, cl class, f func(*clientLink) error) error {
	if err := ctx.Err(); err != nil {
		return errs.Wrap("transport.Call "+addr, err)
	}
	p, err := c.peer(addr)
	if err != nil {
		return err
	}
	for range 2 {
		var l *clientLink
		if l, err = p.get(ctx, cl); err != nil {
			return err
		}
		var unsent *errNotSent
		if err = f(l); !errors.As(err, &unsent) {
			return err
		}
		err = unsent.cause
	}
	return err
}

func checkLimits(req *Request) error {
	const op = "transport.Call"
	switch {
	case len(req.Head) > HeadLenMax:
		return errs.E(op, errs.TooLarge, "head of %d bytes, at most %d", len(req.Head), HeadLenMax)
	case len(req.Body) > BodyLenMax:
		return errs.E(op, errs.TooLarge, "body of %d bytes, at most %d", len(req.Body), BodyLenMax)
	}
	return nil
}

func classOf(req *Request) class {
	if len(req.Body) >= BulkLenMin || req.ReplyLen >= BulkLenMin {
		return classBulk
	}
	return classCalls
}

// Stats returns a snapshot.
func (c *Client) Stats() Stats { return c.stats.snapshot() }

// Close breaks all links, failing the calls in flight, and waits for every
// goroutine of the client. Later calls fail with errs.Closed.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	links := make([]*clientLink, 0, len(c.links))
	for l := range c.links {
		links = append(links, l)
	}
	c.mu.Unlock()
	c.root.end(context.Canceled)
	for _, l := range links {
		l.end(errs.E("transport: client", errs.Closed, "closed"))
	}
	c.wg.Wait()
}

func (c *Client) peer(addr string) (*peer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errs.E("transport.Call", errs.Closed, "client is closed")
	}
	p := c.peers[addr]
	if p == nil {
		p = newPeer(c, addr)
		c.peers[addr] = p
	}
	return p, nil
}

// start runs a fresh link; false when the client has been closed meanwhile.
func (c *Client) start(l *clientLink) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.links[l] = struct{}{}
	c.stats.links.Add(1)
	c.wg.Go(l.writeLoop)
	c.wg.Go(func() {
		l.readLoop()
		c.mu.Lock()
		delete(c.links, l)
		c.mu.Unlock()
		c.stats.links.Add(-1)
	})
	return true
}

// lookAtLinks is the keepalive pass.
func (c *Client) lookAtLinks(context.Context) error {
	now := c.cfg.Clock.Now()
	c.mu.Lock()
	links := make([]*clientLink, 0, len(c.links))
	for l := range c.links {
		links = append(links, l)
	}
	c.mu.Unlock()
	for _, l := range links {
		l.look(now)
	}
	return nil
}

// backoff is how long an address is left alone after so many failed dials in a row.
func backoff(failures int) time.Duration {
	return min(BackoffMin<<min(failures-1, 16), BackoffMax)
}
