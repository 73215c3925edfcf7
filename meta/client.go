package meta

import (
	"context"
	"crypto/rand"
	mrand "math/rand/v2"
	"sync"
	"time"

	"torc/internal/clock"
	"torc/internal/errs"
	"torc/internal/transport"
)

// Descriptor says where a range is: which plain keys it holds and which servers
// have its replicas.
type Descriptor struct {
	Group    uint64
	Span     Span
	Replicas []Peer
}

// Ranges finds the range of a key.
type Ranges interface {
	// Lookup returns the descriptor of the range that holds key, a plain or a
	// local key. Unavailable when it cannot be known now.
	Lookup(ctx context.Context, key []byte) (Descriptor, error)
}

// OneRange is the Ranges of a database of one range on the given servers.
type OneRange []Peer

// Lookup implements Ranges.
func (p OneRange) Lookup(context.Context, []byte) (Descriptor, error) {
	return Descriptor{Group: uint64(firstGroup), Span: Span{From: []byte{PrefixPlain}}, Replicas: p}, nil
}

// ClientConfig is what a Client stands on.
type ClientConfig struct {
	Caller transport.Caller
	Ranges Ranges
	Clock  clock.Clock
	// Local, if set, is this process's store: requests that it leads make no call.
	Local *Store
	// AttemptMax bounds one try at one server; 0 means AttemptMaxDefault.
	AttemptMax time.Duration
	// CallMax bounds a request whose ctx has no deadline; 0 means CallMaxDefault.
	CallMax time.Duration
}

// Defaults of ClientConfig.
const (
	AttemptMaxDefault = 3 * time.Second
	CallMaxDefault    = 15 * time.Second
)

// Waits between rounds of attempts.
const (
	backoffMin = 10 * time.Millisecond
	backoffMax = 250 * time.Millisecond
)

// Client routes requests to the leaders of their ranges: it is the DB that the
// layers above use, on every server. Safe for concurrent use.
type Client struct {
	cfg ClientConfig

	mu    sync.Mutex
	leads map[uint64]string // server id of a range's leader, as last seen
}

// NewClient returns a Client.
func NewClient(cfg ClientConfig) *Client {
	setDefault(&cfg.AttemptMax, AttemptMaxDefault)
	setDefault(&cfg.CallMax, CallMaxDefault)
	return &Client{cfg: cfg, leads: map[uint64]string{}}
}

// Do implements DB.
func (c *Client) Do(ctx context.Context, cmd Command) ([]byte, error) {
	return c.run(ctx, "meta.Do", methodDo, cmd)
}

// Query implements DB.
func (c *Client) Query(ctx context.Context, cmd Command) ([]byte, error) {
	return c.run(ctx, "meta.Query", methodQuery, cmd)
}

func newRequestID() (id requestID) {
	rand.Read(id[:]) // never fails: it aborts the process instead
	return id
}

// attempts is one request's way to an answer.
type attempts struct {
	method transport.Method
	head   commandHead
	body   []byte
	desc   Descriptor
	maybe  bool // an attempt may have taken, or may yet take, effect
	last   error
}

func (c *Client) run(ctx context.Context, op string, method transport.Method, cmd Command) ([]byte, error) {
	if err := checkCommand(cmd); err != nil {
		return nil, err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.cfg.CallMax)
		defer cancel()
	}
	desc, err := c.cfg.Ranges.Lookup(ctx, cmd.Key)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	a := &attempts{method: method, desc: desc, body: cmd.Body}
	a.head = commandHead{group: groupID(desc.Group), id: newRequestID(), kind: cmd.Kind, key: cmd.Key}
	backoff := backoffMin
	for n := 0; ; n++ {
		reply, done, err := c.round(ctx, a)
		if done {
			return reply, err
		}
		wait := backoff/2 + mrand.N(backoff/2)
		backoff = min(2*backoff, backoffMax)
		fired, stop := c.cfg.Clock.After(wait)
		select {
		case <-fired:
		case <-ctx.Done():
			stop()
			return nil, a.gaveUp(op, ctx.Err())
		}
	}
}

// checkCommand refuses what no range can evaluate.
func checkCommand(cmd Command) error {
	if err := checkKey(cmd.Key); err != nil {
		return errs.Wrap("meta: "+string(cmd.Kind), err)
	}
	switch {
	case len(cmd.Body) > BodyLenMax:
		return errs.E("meta: "+string(cmd.Kind), errs.TooLarge, "body of %d bytes; at most %d", len(cmd.Body), BodyLenMax)
	case cmd.Kind == "" || len(cmd.Kind) > kindLenMax || cmd.Kind == kindClock:
		return errs.E("meta: "+string(cmd.Kind), errs.Unsupported, "no handler for %q", cmd.Kind)
	}
	return nil
}

// gaveUp is the honest end of a request without an answer.
func (a *attempts) gaveUp(op string, ctxErr error) error {
	switch {
	case errs.Is(ctxErr, errs.Canceled):
		return errs.Wrap(op, ctxErr)
	case a.maybe && a.method == methodDo:
		return errs.E(op, errs.Unknown, "no answer in time; the command may have been applied (last: %v)", a.last)
	default:
		return errs.E(op, errs.Unavailable, "no leader answered in time (last: %v)", a.last)
	}
}

// round asks the supposed leader, follows hints, then asks every replica once.
func (c *Client) round(ctx context.Context, a *attempts) (reply []byte, done bool, err error) {
	asked := map[string]bool{}
	next := c.lead(a.desc.Group)
	for range a.desc.Replicas {
		p, ok := pick(a.desc.Replicas, next, asked)
		if !ok {
			break
		}
		asked[p.ID] = true
		ans, err := c.ask(ctx, p, a)
		switch {
		case err != nil:
			a.last = err
			if ctx.Err() != nil {
				return nil, true, a.gaveUp("meta: call", ctx.Err())
			}
			next = ""
		case a.maybe && a.method == methodDo && errs.Is(ans.err, errs.Overload):
			// Refused before it was looked at: that says nothing about the attempt
			// before, and whoever is told "no effect" may delete what it refers to.
			a.last, next = ans.err, ""
		case ans.route == routeDone:
			c.setLead(a.desc.Group, p.ID)
			return ans.reply, true, ans.err
		default:
			if ans.route == routeLost {
				a.maybe, a.head.retry = true, true
			}
			a.last = errs.E("meta: call "+p.ID, errs.Moved, "not the leader")
			next = ans.hint
		}
	}
	c.setLead(a.desc.Group, "")
	return nil, false, nil
}

// pick returns the wanted replica, or a random one, of those not asked yet.
func pick(all []Peer, want string, asked map[string]bool) (Peer, bool) {
	var left []Peer
	for _, p := range all {
		if asked[p.ID] {
			continue
		}
		if p.ID == want {
			return p, true
		}
		left = append(left, p)
	}
	if len(left) == 0 {
		return Peer{}, false
	}
	return left[mrand.N(len(left))], true
}

// ask makes one attempt. An error means that there is no answer.
func (c *Client) ask(ctx context.Context, p Peer, a *attempts) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.AttemptMax)
	defer cancel()
	if s := c.cfg.Local; s != nil && s.cfg.ServerID == p.ID {
		if a.method == methodDo {
			return s.do(ctx, a.head, a.body), nil
		}
		return s.query(ctx, a.head, a.body), nil
	}
	reply, err := c.cfg.Caller.Call(ctx, p.Addr, transport.Request{Method: a.method, Head: a.head.encode(), Body: a.body})
	if err != nil {
		if !errs.Is(err, errs.Unavailable) {
			a.maybe, a.head.retry = true, true
		}
		return answer{}, err
	}
	defer reply.Release()
	ans, err := decodeAnswer(reply.Head, reply.Body)
	if err != nil {
		a.maybe, a.head.retry = true, true
	}
	return ans, err
}

func (c *Client) lead(group uint64) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leads[group]
}

func (c *Client) setLead(group uint64, server string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leads[group] = server
}
