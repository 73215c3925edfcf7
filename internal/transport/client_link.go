package transport

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"torc/internal/buf"
	"torc/internal/errs"
)

// clientLink is the calling end of a link.
type clientLink struct {
	*link
	win       window
	onEnd     func(*clientLink)
	pinging   atomic.Bool  // a ping is unanswered
	sentSince atomic.Bool  // a one-way request went out since the last look
	load      atomic.Int64 // bytes of calls in flight, sent or expected

	mu       sync.Mutex
	calls    map[uint64]*call
	nextID   uint64
	draining bool // the server asked for no new calls
	lastUsed time.Time
}

// call is one call in flight.
type call struct {
	answer    chan answer // buffered: the reader never waits for a caller
	cost      int64
	batch     uint64 // of the outbox, once queued
	abandoned bool   // nobody waits any more
}

type answer struct {
	frame frame
	err   error
}

var callPool = sync.Pool{New: func() any { return &call{answer: make(chan answer, 1)} }}

// errNotSent marks a failure before the request was queued, so that the client may use another link.
type errNotSent struct{ cause error }

func (e *errNotSent) Error() string { return e.cause.Error() }
func (e *errNotSent) Unwrap() error { return e.cause }

// call makes one call on the link.
func (l *clientLink) call(ctx context.Context, req *Request) (*Reply, error) {
	h := header{typ: frameCall, method: req.Method, headLen: uint32(len(req.Head)), bodyLen: uint32(len(req.Body))}
	if err := l.win.acquire(ctx, 1, h.cost()); err != nil {
		return nil, err
	}
	h.sum = payloadSum(req.Head, req.Body)
	if d, ok := ctx.Deadline(); ok {
		h.micros = microsLeft(time.Until(d))
	}
	c := callPool.Get().(*call)
	c.cost = h.cost()
	loan, err := l.queue(&h, c, req)
	if err != nil {
		return nil, err
	}
	load := int64(len(req.Body) + req.ReplyLen)
	l.load.Add(load)
	defer l.load.Add(-load)
	var a answer
	select {
	case a = <-c.answer:
	case <-ctx.Done():
		if !l.abandon(h.id, c, loan) {
			a = <-c.answer
			break
		}
		return nil, errs.Wrap("transport.Call "+l.peer.Addr, ctx.Err())
	}
	if loan != nil {
		<-loan.written
	}
	c.batch = 0
	callPool.Put(c)
	return a.reply()
}

// queue registers the call and hands its frame to the outbox.
func (l *clientLink) queue(h *header, c *call, req *Request) (*loan, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isEnded() || l.draining {
		l.win.release(1, c.cost)
		return nil, l.gone()
	}
	l.nextID++
	h.id = l.nextID
	var lent *loan
	ok := false
	if len(req.Body) <= CopyLenMax {
		c.batch, ok = l.out.push(h, req.Head, req.Body)
	} else {
		lent = &loan{body: req.Body, written: make(chan struct{})}
		ok = l.out.lend(h, req.Head, lent)
		c.batch = lent.batch
	}
	if !ok {
		l.win.release(1, c.cost)
		return nil, l.gone()
	}
	l.calls[h.id] = c
	return lent, nil
}

func (l *clientLink) gone() error {
	return &errNotSent{errs.E("transport.Call", errs.Unavailable, "link to %s has ended", l.peer.Addr)}
}

// abandon gives a call up when ctx has ended. False: the answer is there already.
func (l *clientLink) abandon(id uint64, c *call, lent *loan) bool {
	l.mu.Lock()
	if l.calls[id] != c {
		l.mu.Unlock()
		return false
	}
	if lent != nil && l.out.withdraw(lent) {
		delete(l.calls, id)
		l.mu.Unlock()
		l.win.release(1, c.cost)
		return true
	}
	c.abandoned = true
	l.mu.Unlock()
	l.control(frameCancel, id)
	if lent != nil {
		<-lent.written
	}
	return true
}

// send queues a one-way request; head and body are copied.
func (l *clientLink) send(ctx context.Context, req *Request) error {
	h := header{typ: frameSend, method: req.Method, headLen: uint32(len(req.Head)), bodyLen: uint32(len(req.Body))}
	if err := l.win.acquire(ctx, 0, h.cost()); err != nil {
		return err
	}
	h.sum = payloadSum(req.Head, req.Body)
	l.sentSince.Store(true)
	ok := false
	if len(req.Body) <= CopyLenMax {
		_, ok = l.out.push(&h, req.Head, req.Body)
	} else {
		b := buf.Get(len(req.Body))
		copy(b.B, req.Body)
		if ok = l.out.lend(&h, req.Head, &loan{body: b.B, done: b.Release}); !ok {
			b.Release()
		}
	}
	if !ok {
		return l.gone()
	}
	return nil
}

// readLoop hands answers to their callers until the link breaks.
func (l *clientLink) readLoop() {
	r := newFrameReader(l.conn, l.class, l.touch, &l.stats.bytesIn)
	admit := func(*header) error { return nil }
	for {
		f, err := r.next(admit)
		if err != nil {
			l.end(err)
			break
		}
		if err := l.handle(f); err != nil {
			f.release()
			l.end(err)
			break
		}
	}
	l.failAll()
}

func (l *clientLink) handle(f frame) error {
	switch f.typ {
	case frameReply, frameError:
		return l.deliver(f)
	case frameCredit:
		l.win.release(0, int64(f.id))
	case framePing:
		l.control(framePong, f.id)
	case framePong:
		l.pinging.Store(false)
	case frameGoAway:
		l.mu.Lock()
		l.draining = true
		idle := len(l.calls) == 0
		l.mu.Unlock()
		l.onEnd(l)
		if idle {
			return errs.E("transport: link", errs.Unavailable, "the server is closing")
		}
	default:
		return errs.E("transport: read frame", errs.Corrupt, "frame type %d from a server", f.typ)
	}
	f.release()
	return nil
}

func (l *clientLink) deliver(f frame) error {
	l.mu.Lock()
	c := l.calls[f.id]
	delete(l.calls, f.id)
	last := l.draining && len(l.calls) == 0
	abandoned := c != nil && c.abandoned
	l.mu.Unlock()
	if c == nil {
		return errs.E("transport: read frame", errs.Corrupt, "answer to call %d, which is not in flight", f.id)
	}
	cost := c.cost // c is the caller's again once answered
	if abandoned {
		f.release()
	} else {
		c.answer <- answer{frame: f}
	}
	l.win.release(1, cost)
	if last {
		l.end(errs.E("transport: link", errs.Unavailable, "the server is closing"))
	}
	return nil
}

// failAll answers every call in flight when the link has ended.
func (l *clientLink) failAll() {
	l.onEnd(l)
	l.win.fail(l.gone())
	l.mu.Lock()
	calls := l.calls
	l.calls = nil
	l.mu.Unlock()
	for _, c := range calls {
		if c.abandoned {
			continue
		}
		kind, word := errs.Unknown, "broke with the call in flight"
		if !l.out.started(c.batch) {
			kind, word = errs.Unavailable, "broke before the call was sent"
		}
		c.answer <- answer{err: errs.E("transport.Call", kind, "link to %s %s: %w", l.peer.Addr, word, l.err)}
	}
}

// reply turns what arrived into what Call returns.
func (a *answer) reply() (*Reply, error) {
	if a.err != nil {
		return nil, a.err
	}
	f := &a.frame
	if f.typ == frameReply {
		return &Reply{Head: f.head, Body: f.body, bufs: f.bufs}, nil
	}
	kind := f.kind
	if !kind.Valid() {
		kind = errs.Other // a newer peer's kind
	}
	err := &errs.Error{Kind: kind, Msg: string(f.head)}
	f.release()
	return nil, err
}

// look is the keepalive's visit: it pings when an answer is owed, and ends the
// link when the peer is silent or the link has not been used for long.
func (l *clientLink) look(now time.Time) {
	l.mu.Lock()
	inFlight := len(l.calls)
	if inFlight > 0 || l.sentSince.Load() || l.lastUsed.IsZero() {
		l.lastUsed = now
	}
	idle := now.Sub(l.lastUsed) >= IdleTimeout
	l.draining = l.draining || idle
	l.mu.Unlock()
	if l.overdue(now, inFlight > 0 || l.pinging.Load()) {
		l.end(errs.E("transport: keepalive", errs.Unavailable, "%s has been silent for %v", l.peer.Addr, KeepaliveTimeout))
		return
	}
	if idle {
		l.onEnd(l)
		l.end(errs.E("transport: keepalive", errs.Unavailable, "link to %s was idle", l.peer.Addr))
		return
	}
	if sent := l.sentSince.Swap(false); sent || inFlight > 0 {
		l.pinging.Store(true)
		l.control(framePing, 0)
	}
}
