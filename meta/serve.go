package meta

import (
	"context"
	"sync/atomic"

	"torc/internal/clock"
	"torc/internal/errs"
	"torc/internal/transport"
)

// serveRaft takes a frame of raft messages.
func (s *Store) serveRaft(_ context.Context, peer transport.Peer, req transport.Request) (*transport.Reply, error) {
	h, err := decodeFrameHead(req.Head)
	if err != nil {
		return nil, err
	}
	if err := s.checkPeer(h, peer); err != nil {
		return nil, err
	}
	ms, err := decodeMessages(req.Body)
	if err != nil {
		return nil, err
	}
	return nil, s.in.messages(ms)
}

// checkPeer refuses raft traffic of strangers.
func (s *Store) checkPeer(h frameHead, peer transport.Peer) error {
	if h.cluster != s.cfg.ClusterID || (peer.Server != "" && peer.Server != h.server) {
		return errs.E("meta: receive", errs.Permission, "sent by server %s of cluster %s", h.server, h.cluster)
	}
	if s.outboxes[h.server] == nil {
		return errs.E("meta: receive", errs.Permission, "server %s is not a peer", h.server)
	}
	return nil
}

// serveDo takes a command from another server.
func (s *Store) serveDo(ctx context.Context, _ transport.Peer, req transport.Request) (*transport.Reply, error) {
	h, err := s.decodeRequest(req)
	if err != nil {
		return nil, err
	}
	return replyWith(s.do(ctx, h, req.Body))
}

// serveQuery takes a query from another server.
func (s *Store) serveQuery(ctx context.Context, _ transport.Peer, req transport.Request) (*transport.Reply, error) {
	h, err := s.decodeRequest(req)
	if err != nil {
		return nil, err
	}
	return replyWith(s.query(ctx, h, req.Body))
}

func (s *Store) decodeRequest(req transport.Request) (commandHead, error) {
	h, err := decodeCommandHead(req.Head)
	if err == nil && len(req.Body) > BodyLenMax {
		err = errs.E("meta: receive", errs.TooLarge, "body of %d bytes; at most %d", len(req.Body), BodyLenMax)
	}
	return h, err
}

func replyWith(a answer) (*transport.Reply, error) {
	head, body := encodeAnswer(a)
	return transport.NewReply(head, body, nil), nil
}

// do evaluates a command if this replica leads its range. When ctx ends first
// the command may still be applied: routeLost.
func (s *Store) do(ctx context.Context, h commandHead, body []byte) answer {
	c := &command{ctx: ctx, id: h.id, kind: h.kind, body: append([]byte(nil), body...), retry: h.retry, done: make(chan answer, 1)}
	if err := s.in.command(h.group, c); err != nil {
		return refused(err)
	}
	select {
	case a := <-c.done:
		return a
	case <-ctx.Done():
		return answer{route: routeLost}
	}
}

// refused is the answer to a request that the inbox did not take.
func refused(err error) answer {
	if errs.Is(err, errs.Closed) {
		return answer{route: routeNotLeader}
	}
	return answer{err: err}
}

// query evaluates a read-only command on a state confirmed by a quorum.
func (s *Store) query(ctx context.Context, h commandHead, body []byte) answer {
	if !s.querying.TryRLock() {
		return answer{route: routeNotLeader} // closing
	}
	defer s.querying.RUnlock()
	handler, ok := s.handlers[h.kind]
	if !ok || !handler.ReadOnly {
		return answer{err: errs.E("meta.Query", errs.Unsupported, "no handler for %s", h.kind)}
	}
	for {
		v, a := s.view(ctx, h.group)
		if v == nil {
			return a
		}
		a, late := s.evalQuery(ctx, handler, v, body)
		if !late {
			return a
		}
		// The handler asked for the time, and the range's clock has not been
		// persisted that far: move it on with a command, then read again.
		tick := commandHead{group: h.group, kind: kindClock, id: newRequestID()}
		if a := s.do(ctx, tick, nil); a.route != routeDone || a.err != nil {
			return answer{route: routeNotLeader, hint: a.hint}
		}
	}
}

// view waits for a readView; without one, the answer says why.
func (s *Store) view(ctx context.Context, g groupID) (*readView, answer) {
	type grant struct {
		v    *readView
		hint string
	}
	got := make(chan grant, 1)
	var taken atomic.Bool // by the driver, or by a caller that gave up
	err := s.in.read(g, func(v *readView, hint string) {
		if taken.CompareAndSwap(false, true) {
			got <- grant{v, hint}
		} else if v != nil {
			v.release()
		}
	})
	if err != nil {
		return nil, refused(err)
	}
	select {
	case r := <-got:
		return r.v, answer{route: routeNotLeader, hint: r.hint}
	case <-ctx.Done():
		if !taken.CompareAndSwap(false, true) {
			if r := <-got; r.v != nil {
				r.v.release()
			}
		}
		return nil, answer{route: routeLost}
	}
}

// evalQuery runs the handler in a worker's slot. late means that the handler
// read a clock that is not persisted: its reply must not be used.
func (s *Store) evalQuery(ctx context.Context, h Handler, v *readView, body []byte) (a answer, late bool) {
	defer v.release()
	select {
	case s.workers <- struct{}{}:
		defer func() { <-s.workers }()
	case <-ctx.Done():
		return answer{route: routeLost}, false
	}
	t := &txn{over: newOverlay(v.snap), span: v.span, readOnly: true}
	t.tick = func() clock.Timestamp {
		now, ok := v.now()
		late = !ok
		return now
	}
	reply, err := safeEval(h, t, body)
	return answer{reply: reply, err: err}, late
}
