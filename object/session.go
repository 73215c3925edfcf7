package object

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"torc/internal/clock"
	"torc/internal/errs"
	"torc/meta"
)

// session is one session of this connector. Every base it hands out is new.
type session struct {
	id     uint32
	opened time.Time
	next   atomic.Uint64
	refs   int // operations under way; guarded by sessions.mu
	doubts int // bytes that may belong to nobody; guarded by sessions.mu
}

// sessions keeps the connector's current session and the former ones that wait
// to be closed.
//
// A session is replaced when bytes it wrote may have become nobody's: a commit
// whose outcome is unknown, a cleanup that failed. Once its last operation has
// ended it is closed, after which the sweep decides about every one of its
// bytes. So nothing leaks while a connector lives for years.
type sessions struct {
	db          meta.DB
	clock       clock.Clock
	log         *slog.Logger
	name        string
	rotateAfter time.Duration

	opening sync.Mutex // one open at a time
	opened  bool       // guarded by opening: the first open takes over

	mu  sync.Mutex
	cur *session
	old []*session
}

// acquire returns the current session, opening one if there is none. Release it.
func (s *sessions) acquire(ctx context.Context) (*session, error) {
	if c := s.current(); c != nil {
		return c, nil
	}
	s.opening.Lock()
	defer s.opening.Unlock()
	if c := s.current(); c != nil {
		return c, nil
	}
	var r sessionID
	q := sessionOpen{Name: s.name, Takeover: !s.opened}
	if err := do(ctx, s.db, kindSessionOpen, []byte{tableCounter}, &q, &r); err != nil {
		return nil, errs.Wrap("object: open session", err)
	}
	s.opened = true
	s.log.Info("session opened", "connector", s.name, "session", r.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cur = &session{id: r.ID, opened: s.clock.Now(), refs: 1}
	return s.cur, nil
}

func (s *sessions) current() *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur == nil || s.cur.next.Load() >= sequenceMax {
		s.retireLocked()
		return nil
	}
	s.cur.refs++
	return s.cur
}

// base hands out a fresh base.
func (c *session) base() Base { return Base{Volume: c.id, Sequence: c.next.Add(1)} }

func (s *sessions) release(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.refs--
}

// doubt notes that bytes of c may have become nobody's.
func (s *sessions) doubt(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.doubts++
}

// retire takes c out of use: the next write opens another session.
func (s *sessions) retire(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur == c {
		s.retireLocked()
	}
}

func (s *sessions) retireLocked() {
	if s.cur != nil {
		s.old = append(s.old, s.cur)
		s.cur = nil
	}
}

// maintain replaces a session in doubt and closes the old ones that are idle.
func (s *sessions) maintain(ctx context.Context) error {
	s.mu.Lock()
	if c := s.cur; c != nil && c.doubts > 0 && s.clock.Now().Sub(c.opened) >= s.rotateAfter {
		s.retireLocked()
	}
	var idle []*session
	for _, c := range s.old {
		if c.refs == 0 {
			idle = append(idle, c)
		}
	}
	s.mu.Unlock()
	for _, c := range idle {
		if err := CloseSession(ctx, s.db, c.id); err != nil {
			return err
		}
		s.log.Info("session closed", "connector", s.name, "session", c.id, "doubts", c.doubts)
		s.mu.Lock()
		for i := range s.old {
			if s.old[i] == c {
				s.old = append(s.old[:i], s.old[i+1:]...)
				break
			}
		}
		s.mu.Unlock()
	}
	return nil
}

// Start opens the session now rather than with the first write.
func (s *Service) Start(ctx context.Context) error {
	c, err := s.sessions.acquire(ctx)
	if err == nil {
		s.sessions.release(c)
	}
	return err
}

// Maintain does one pass of the connector's housekeeping: it replaces a session
// in doubt and closes former ones. Run it in a loop, every few seconds.
func (s *Service) Maintain(ctx context.Context) error { return s.sessions.maintain(ctx) }

// Close closes the session, after every operation has ended: call it when the
// protocols have stopped. Without it the next life under the same name does so.
func (s *Service) Close(ctx context.Context) error {
	s.sessions.mu.Lock()
	s.sessions.retireLocked()
	s.sessions.mu.Unlock()
	if err := s.sessions.maintain(ctx); err != nil {
		return err
	}
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	if n := len(s.sessions.old); n > 0 {
		return errs.E("object.Close", errs.Conflict, "operations are still under way in %d sessions", n)
	}
	return nil
}

// CloseSession closes a session for its connector, which is dead or gone: what
// it has not committed by now, it never will. Closing twice is fine.
func CloseSession(ctx context.Context, db meta.DB, id uint32) error {
	return errs.Wrap("object: close session",
		do(ctx, db, kindSessionClose, sessionKey(id), &sessionID{id}, &empty{}))
}

// Sessions lists all sessions that are open or not yet swept everywhere.
func Sessions(ctx context.Context, db meta.DB) ([]Session, error) {
	all, _, err := listSessions(ctx, db)
	return all, err
}

// listSessions also returns an id below or at which no session will open any
// more: the last one given out when the listing began.
func listSessions(ctx context.Context, db meta.DB) (all []Session, last uint32, err error) {
	for after := uint32(0); ; {
		var r sessionsReply
		if err := query(ctx, db, kindSessionList, sessionKey(after), &sessionID{after}, &r); err != nil {
			return nil, 0, errs.Wrap("object: list sessions", err)
		}
		if after == 0 {
			last = r.Last
		}
		all = append(all, r.Sessions...)
		if !r.More || len(r.Sessions) == 0 {
			return all, last, nil
		}
		after = all[len(all)-1].ID
	}
}
