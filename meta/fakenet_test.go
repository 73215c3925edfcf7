package meta

import (
	"context"
	"math/rand/v2"
	"sync"

	"torc/internal/errs"
	"torc/internal/transport"
)

// fakeNet is a transport between stores of one test: every call runs the
// handler on a goroutine, and every direction of every pair can fail.
type fakeNet struct {
	mu       sync.Mutex
	muxes    map[string]transport.Mux
	cut      map[[2]string]bool // {from, to}: nothing gets through
	loseCall float64            // probability that a Send vanishes, or a Call fails before it arrives
	loseBack float64            // probability that a reply vanishes after the handler ran
	rng      *rand.Rand
	running  sync.WaitGroup
	queues   map[[2]string]chan func()
	stop     chan struct{}
}

func newFakeNet(seed uint64) *fakeNet {
	return &fakeNet{
		muxes: map[string]transport.Mux{}, cut: map[[2]string]bool{}, queues: map[[2]string]chan func(){},
		rng: rand.New(rand.NewPCG(seed, 1)), stop: make(chan struct{}),
	}
}

// close ends the delivery goroutines.
func (n *fakeNet) close() {
	close(n.stop)
	n.running.Wait()
}

// serve makes addr answer with mux; nil makes it dead.
func (n *fakeNet) serve(addr string, mux transport.Mux) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.muxes[addr] = mux
}

// cutOff sets whether messages from one address reach another.
func (n *fakeNet) cutOff(from, to string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]string{from, to}] = cut
}

func (n *fakeNet) isolate(addr string, others []string, cut bool) {
	for _, o := range others {
		if o != addr {
			n.cutOff(addr, o, cut)
			n.cutOff(o, addr, cut)
		}
	}
}

func (n *fakeNet) lose(call, back float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loseCall, n.loseBack = call, back
}

// route returns the handler, or nil when the request does not arrive.
func (n *fakeNet) route(from, to string, m transport.Method) transport.Handler {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut[[2]string{from, to}] || n.rng.Float64() < n.loseCall {
		return nil
	}
	return n.muxes[to][m]
}

func (n *fakeNet) replyArrives(from, to string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.cut[[2]string{to, from}] && n.rng.Float64() >= n.loseBack
}

// queue returns the ordered delivery of one direction.
func (n *fakeNet) queue(from, to string) chan func() {
	n.mu.Lock()
	defer n.mu.Unlock()
	q := n.queues[[2]string{from, to}]
	if q == nil {
		q = make(chan func(), 1024)
		n.queues[[2]string{from, to}] = q
		n.running.Go(func() {
			for {
				select {
				case f := <-q:
					f()
				case <-n.stop:
					return
				}
			}
		})
	}
	return q
}

// caller is a fakeNet seen from one address.
type caller struct {
	net  *fakeNet
	from string
}

func (c caller) Call(ctx context.Context, addr string, req transport.Request) (*transport.Reply, error) {
	h := c.net.route(c.from, addr, req.Method)
	if h == nil {
		return nil, errs.E("fake: call", errs.Unavailable, "%s is not reachable", addr)
	}
	type result struct {
		r   *transport.Reply
		err error
	}
	got := make(chan result, 1)
	req = cloneRequest(req)
	c.net.running.Go(func() {
		r, err := h(ctx, transport.Peer{Addr: c.from}, req)
		if !c.net.replyArrives(c.from, addr) {
			r, err = nil, errs.E("fake: call", errs.Unknown, "the reply was lost")
		}
		got <- result{r, err}
	})
	select {
	case r := <-got:
		return r.r, r.err
	case <-ctx.Done():
		return nil, errs.Wrap("fake: call", ctx.Err())
	}
}

func (c caller) Send(ctx context.Context, addr string, req transport.Request) error {
	req = cloneRequest(req)
	f := func() {
		if h := c.net.route(c.from, addr, req.Method); h != nil {
			_, _ = h(context.WithoutCancel(ctx), transport.Peer{Addr: c.from}, req)
		}
	}
	select {
	case c.net.queue(c.from, addr) <- f:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func cloneRequest(r transport.Request) transport.Request {
	r.Head = append([]byte(nil), r.Head...)
	r.Body = append([]byte(nil), r.Body...)
	return r
}
