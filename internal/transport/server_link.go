package transport

import (
	"context"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"torc/internal/errs"
)

// serverLink is the serving end of a link.
type serverLink struct {
	*link
	s      *Server
	window preface // what the client was promised

	mu     sync.Mutex
	active map[uint64]*job // calls by id
	bytes  int64           // of requests in flight
	sends  chan *job       // one-way requests in order; nil until the first
	owing  int64           // bytes of one-way requests not yet given back
}

// job is one request being served.
type job struct {
	scope // its context
	l     *serverLink
	f     frame
}

func newServerLink(s *Server, conn net.Conn, who Peer, window preface) *serverLink {
	return &serverLink{link: newLink(conn, window.class, who, &s.stats), s: s, window: window, active: map[uint64]*job{}}
}

// readLoop dispatches requests until the link breaks, then ends their contexts.
func (l *serverLink) readLoop() {
	r := newFrameReader(l.conn, l.class, l.touch, &l.stats.bytesIn)
	for {
		f, err := r.next(l.admit)
		if err == nil {
			err = l.handle(f)
		}
		if err != nil {
			l.end(err)
			break
		}
	}
	if errs.Is(l.err, errs.Corrupt) {
		l.s.cfg.Log.Warn("transport: link broken", "peer", l.peer.Addr, "server", l.peer.Server, "err", l.err)
	}
	l.mu.Lock()
	for _, j := range l.active {
		j.end(context.Canceled)
	}
	if l.sends != nil {
		close(l.sends)
	}
	l.mu.Unlock()
}

// admit refuses, before memory is taken, what the window does not allow.
func (l *serverLink) admit(h *header) error {
	const op = "transport: read frame"
	l.mu.Lock()
	defer l.mu.Unlock()
	switch h.typ {
	case frameCall:
		if len(l.active) >= int(l.window.calls) {
			return errs.E(op, errs.Corrupt, "more than %d calls in flight", l.window.calls)
		}
	case frameSend:
	case frameCancel, framePing, framePong:
		if h.cost() > headerLen {
			return errs.E(op, errs.Corrupt, "frame type %d with a payload", h.typ)
		}
		return nil
	default:
		return errs.E(op, errs.Corrupt, "frame type %d from a client", h.typ)
	}
	if l.bytes += h.cost(); l.bytes > int64(l.window.bytes) {
		return errs.E(op, errs.Corrupt, "more than %d bytes of requests in flight", l.window.bytes)
	}
	return nil
}

func (l *serverLink) handle(f frame) error {
	switch f.typ {
	case frameCall:
		return l.begin(f)
	case frameSend:
		l.enqueue(f)
	case frameCancel:
		l.mu.Lock()
		j := l.active[f.id]
		l.mu.Unlock()
		if j != nil {
			j.end(context.Canceled)
		}
	case framePing:
		l.control(framePong, f.id)
	}
	return nil
}

// begin dispatches a call.
func (l *serverLink) begin(f frame) error {
	j := &job{l: l, f: f}
	if f.micros > 0 {
		j.deadline = time.Now().Add(time.Duration(f.micros) * time.Microsecond)
	}
	l.mu.Lock()
	if l.active[f.id] != nil {
		l.mu.Unlock()
		f.release()
		return errs.E("transport: read frame", errs.Corrupt, "call %d is in flight already", f.id)
	}
	l.active[f.id] = j
	l.mu.Unlock()
	l.s.requests.Add(1)
	l.stats.inFlight.Add(1)
	if !l.s.workers.dispatch(j) {
		l.stats.overloads.Add(1)
		j.finish(nil, errs.E("transport: server", errs.Overload, "%d requests are waiting", l.s.cfg.Limits.Queue))
	}
	return nil
}

// run serves the job on a worker.
func (j *job) run() {
	if j.f.typ == frameSend {
		j.runSend()
		return
	}
	l := j.l
	l.stats.calls.Add(1)
	var reply *Reply
	err := j.Err() // cancelled or overdue while it waited
	if err == nil {
		reply, err = j.serve()
	}
	j.finish(reply, err)
}

// serve calls the handler; a panic becomes an error of kind Other.
func (j *job) serve() (reply *Reply, err error) {
	h := j.l.s.cfg.Mux[j.f.method]
	if h == nil {
		return nil, errs.E("transport: server", errs.Unsupported, "method %#04x is not served here", uint16(j.f.method))
	}
	defer func() {
		if p := recover(); p != nil {
			j.l.s.cfg.Log.Error("transport: handler panicked", "method", fmt.Sprintf("%#04x", uint16(j.f.method)),
				"panic", p, "stack", string(debug.Stack()))
			reply, err = nil, errs.E("transport: server", errs.Other, "the handler of method %#04x panicked", uint16(j.f.method))
		}
	}()
	return h(j, j.l.peer, Request{Method: j.f.method, Head: j.f.head, Body: j.f.body})
}

// finish gives the request's memory back and queues the answer.
func (j *job) finish(reply *Reply, err error) {
	l, id, cost := j.l, j.f.id, j.f.cost()
	j.f.release()
	if err == nil && reply == nil {
		reply = &Reply{}
	}
	if err == nil && len(reply.Body) > CopyLenMax {
		err = j.Err() // nobody waits any more: do not carry the bytes
	}
	j.end(context.Canceled)
	if err == nil && (len(reply.Head) > HeadLenMax || len(reply.Body) > BodyLenMax) {
		err = errs.E("transport: server", errs.Other, "reply of %d+%d bytes is above the limit", len(reply.Head), len(reply.Body))
	}
	l.mu.Lock()
	delete(l.active, id)
	l.bytes -= cost
	l.mu.Unlock()
	if err != nil {
		reply.Release()
		l.stats.failed.Add(1)
		text := []byte(err.Error())
		text = text[:min(len(text), TextLenMax)]
		h := header{typ: frameError, kind: errs.KindOf(err), id: id, headLen: uint32(len(text)), sum: payloadSum(text, nil)}
		_, _ = l.out.push(&h, text, nil)
	} else {
		l.answer(id, reply)
	}
	l.stats.inFlight.Add(-1)
	l.s.requests.Add(-1)
}

func (l *serverLink) answer(id uint64, reply *Reply) {
	h := header{typ: frameReply, id: id, headLen: uint32(len(reply.Head)), bodyLen: uint32(len(reply.Body)),
		sum: payloadSum(reply.Head, reply.Body)}
	if len(reply.Body) <= CopyLenMax {
		_, _ = l.out.push(&h, reply.Head, reply.Body)
		reply.Release()
		return
	}
	if !l.out.lend(&h, reply.Head, &loan{body: reply.Body, done: reply.Release}) {
		reply.Release()
	}
}

// enqueue puts a one-way request in line; when the line is full it is dropped.
func (l *serverLink) enqueue(f frame) {
	j := &job{l: l, f: f}
	if l.sends == nil {
		q := make(chan *job, l.s.cfg.Limits.LinkSends)
		l.mu.Lock()
		l.sends = q
		l.mu.Unlock()
		l.s.wg.Go(func() {
			for j := range q {
				j.run()
			}
		})
	}
	select {
	case l.sends <- j:
	default:
		l.stats.dropped.Add(1)
		j.finishSend()
	}
}

func (j *job) runSend() {
	j.l.stats.sends.Add(1)
	if !j.l.isEnded() {
		if reply, err := j.serve(); err != nil {
			j.l.stats.failed.Add(1)
			j.l.s.cfg.Log.Debug("transport: one-way request failed", "method", uint16(j.f.method), "err", err)
		} else {
			reply.Release()
		}
	}
	j.finishSend()
}

// creditShare is the part of the window that gathers before it is given back.
const creditShare = 8

// finishSend gives the request's memory back, and its share of the window in steps.
func (j *job) finishSend() {
	l, cost := j.l, j.f.cost()
	j.f.release()
	j.end(context.Canceled)
	l.mu.Lock()
	l.owing += cost
	give := int64(0)
	if l.owing >= int64(l.window.bytes)/creditShare {
		give, l.owing = l.owing, 0
		l.bytes -= give
	}
	l.mu.Unlock()
	if give > 0 {
		l.control(frameCredit, uint64(give))
	}
}

// owed reports whether the client is waiting for us, hence pinging.
func (l *serverLink) owed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.active) > 0 || !l.out.empty()
}
