package object

import (
	"encoding/binary"
	"slices"
	"time"

	"torc/internal/codec"
	"torc/internal/errs"
	"torc/meta"
)

// sessionOpen opens a session; Takeover closes the open ones of the same name.
type sessionOpen struct {
	Name     string
	Takeover bool
}

func (q *sessionOpen) code(c *coder) { codec.Text(c, &q.Name); c.Flag(&q.Takeover) }

// sessionID names a session.
type sessionID struct{ ID uint32 }

func (q *sessionID) code(c *coder) { codec.Number(c, &q.ID) }

func evalSessionOpen(txn meta.Txn, q *sessionOpen, r *sessionID) error {
	if q.Takeover {
		open := map[uint32]sessionRecord{}
		err := scanSessions(txn, 0, func(id uint32, s sessionRecord) bool {
			if s.Name == q.Name && s.Closed == 0 {
				open[id] = s
			}
			return true
		})
		if err != nil {
			return err
		}
		for id, s := range open {
			s.Closed = txn.Now()
			store(txn, sessionKey(id), &s)
		}
	}
	var last counter
	if _, err := load(txn, "session counter", []byte{tableCounter}, &last); err != nil {
		return err
	}
	if last.N++; last.N > uint64(^uint32(0)) {
		return errs.E("object.session", errs.Full, "all %d session ids are used up", ^uint32(0))
	}
	r.ID = uint32(last.N)
	store(txn, []byte{tableCounter}, &last)
	store(txn, sessionKey(r.ID), &sessionRecord{Name: q.Name, Opened: txn.Now()})
	return nil
}

// evalSessionClose succeeds for a session closed or forgotten before.
func evalSessionClose(txn meta.Txn, q *sessionID, _ *empty) error {
	var s sessionRecord
	found, err := load(txn, "session", sessionKey(q.ID), &s)
	if err != nil || !found || s.Closed != 0 {
		return err
	}
	s.Closed = txn.Now()
	store(txn, sessionKey(q.ID), &s)
	return nil
}

// Session is a connector's session, for people and for the sweep.
type Session struct {
	ID     uint32
	Name   string
	Opened time.Time
	Closed time.Time     // zero while open
	Age    time.Duration // since Closed, by the database's clock
	Swept  []string      // servers that have reported their sweep
}

// sessionsReply is a page of sessions with ids > the one asked for.
type sessionsReply struct {
	Sessions []Session
	More     bool
	Last     uint32 // the last id given out
}

func (r *sessionsReply) code(c *coder) {
	codec.List(c, &r.Sessions, func(c *coder, s *Session) {
		codec.Number(c, &s.ID)
		codec.Text(c, &s.Name)
		c.When(&s.Opened)
		c.When(&s.Closed)
		codec.Number(c, &s.Age)
		codec.List(c, &s.Swept, func(c *coder, e *string) { codec.Text(c, e) })
	})
	c.Flag(&r.More)
	codec.Number(c, &r.Last)
}

// sessionPageMax bounds one page of sessions.
const sessionPageMax = 1000

func evalSessionList(txn meta.Txn, q *sessionID, r *sessionsReply) error {
	var last counter
	if _, err := load(txn, "session counter", []byte{tableCounter}, &last); err != nil {
		return err
	}
	r.Last = uint32(last.N)
	now := txn.Now()
	return scanSessions(txn, q.ID, func(id uint32, s sessionRecord) bool {
		if len(r.Sessions) >= sessionPageMax {
			r.More = true
			return false
		}
		out := Session{ID: id, Name: s.Name, Opened: stampTime(s.Opened), Closed: stampTime(s.Closed), Swept: s.Swept}
		if s.Closed != 0 {
			out.Age = max(0, now.Time().Sub(s.Closed.Time()))
		}
		r.Sessions = append(r.Sessions, out)
		return true
	})
}

// scanSessions calls fn for the sessions with ids > after.
func scanSessions(txn meta.Txn, after uint32, fn func(id uint32, s sessionRecord) bool) error {
	var bad error
	span := meta.Span{From: append(sessionKey(after), 0), To: []byte{tableSession + 1}}
	err := txn.Scan(span, func(k, v []byte) bool {
		var s sessionRecord
		if bad = decode("session", v, &s); bad != nil {
			return false
		}
		return fn(binary.BigEndian.Uint32(k[1:]), s)
	})
	return firstError(err, bad)
}

// sessionSwept is one server's report; Servers are all that must report before
// the session is forgotten.
type sessionSwept struct {
	ID      uint32
	Server  string
	Servers []string
}

func (q *sessionSwept) code(c *coder) {
	codec.Number(c, &q.ID)
	codec.Text(c, &q.Server)
	codec.List(c, &q.Servers, func(c *coder, e *string) { codec.Text(c, e) })
}

func evalSessionSwept(txn meta.Txn, q *sessionSwept, _ *empty) error {
	var s sessionRecord
	found, err := load(txn, "session", sessionKey(q.ID), &s)
	if err != nil || !found {
		return err
	}
	if s.Closed == 0 {
		return errs.E("object.session", errs.Invalid, "session %d is open: it cannot have been swept", q.ID)
	}
	if !slices.Contains(s.Swept, q.Server) {
		s.Swept = append(s.Swept, q.Server)
	}
	for _, server := range q.Servers {
		if !slices.Contains(s.Swept, server) {
			store(txn, sessionKey(q.ID), &s)
			return nil
		}
	}
	txn.Delete(sessionKey(q.ID))
	return nil
}
