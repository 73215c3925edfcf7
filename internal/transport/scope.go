package transport

import (
	"context"
	"sync"
	"time"
)

// scope is the root context of a served request, a link or a client: it is
// ended by the transport, and costs nothing until somebody waits for it (the
// standard library's cancellable contexts cost a microsecond a call).
type scope struct {
	deadline time.Time // zero: none

	mu    sync.Mutex
	err   error
	done  chan struct{}
	timer *time.Timer
	after map[int]func()
	next  int
}

var _ context.Context = (*scope)(nil)

// Deadline implements context.Context.
func (s *scope) Deadline() (time.Time, bool) { return s.deadline, !s.deadline.IsZero() }

// Value implements context.Context: a scope carries none.
func (s *scope) Value(any) any { return nil }

// Done implements context.Context; the first call starts the deadline's timer.
func (s *scope) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arm()
	return s.done
}

// Err implements context.Context.
func (s *scope) Err() error {
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	if err == nil && !s.deadline.IsZero() && !time.Now().Before(s.deadline) {
		s.end(context.DeadlineExceeded)
		return s.Err()
	}
	return err
}

// AfterFunc lets derived standard contexts follow s without a goroutine.
func (s *scope) AfterFunc(f func()) (stop func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arm()
	if s.err != nil {
		go f()
		return func() bool { return false }
	}
	if s.after == nil {
		s.after = map[int]func(){}
	}
	id := s.next
	s.next++
	s.after[id] = f
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, there := s.after[id]
		delete(s.after, id)
		return there
	}
}

// arm makes the channel and the timer; s.mu is held.
func (s *scope) arm() {
	if s.done != nil {
		return
	}
	s.done = make(chan struct{})
	if s.err != nil {
		close(s.done)
		return
	}
	if !s.deadline.IsZero() {
		s.timer = time.AfterFunc(time.Until(s.deadline), func() { s.end(context.DeadlineExceeded) })
	}
}

// end ends the scope; only the first reason counts.
func (s *scope) end(err error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	s.err = err
	if s.done != nil {
		close(s.done)
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	after := s.after
	s.after = nil
	s.mu.Unlock()
	for _, f := range after {
		go f()
	}
}
