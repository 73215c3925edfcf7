// Package loop runs background work that can be paused, stepped and listed.
//
// A Loop calls one function at an interval. Tests never sleep to wait for it:
// Step runs one pass now and returns when it has ended. Operators see every
// loop's name, state, passes and last error through Status.
package loop

import (
	"context"
	"sync"
	"time"

	"torc/internal/clock"
	"torc/internal/errs"
)

// Func does one pass. An error is kept for Status and does not stop the loop.
type Func func(ctx context.Context) error

// Status is a snapshot of a loop, for people.
type Status struct {
	Name    string
	Running bool // a pass is under way
	Paused  bool
	Passes  uint64
	LastErr error
}

// Loop repeats a Func. Create with New, start with Run.
type Loop struct {
	name     string
	clock    clock.Clock
	interval time.Duration
	fn       Func

	trigger chan chan error
	done    chan struct{}
	stop    sync.Once

	mu sync.Mutex
	st Status
}

// New returns a loop that will call fn every interval, measured from the end of a pass.
func New(name string, c clock.Clock, interval time.Duration, fn Func) *Loop {
	return &Loop{name: name, clock: c, interval: interval, fn: fn,
		trigger: make(chan chan error), done: make(chan struct{}), st: Status{Name: name}}
}

// Run repeats until ctx ends and returns its error. Call it once.
func (l *Loop) Run(ctx context.Context) error {
	defer l.stop.Do(func() { close(l.done) })
	for {
		tick, cancel := l.clock.After(l.interval)
		select {
		case <-ctx.Done():
			cancel()
			return ctx.Err()
		case reply := <-l.trigger:
			cancel()
			reply <- l.pass(ctx)
		case <-tick:
			if !l.Status().Paused {
				_ = l.pass(ctx)
			}
		}
	}
}

// Step makes the running loop do one pass now, paused or not, and returns the
// pass's error. It fails with errs.Closed when the loop has ended.
func (l *Loop) Step(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case l.trigger <- reply:
	case <-l.done:
		return errs.E("loop.Step", errs.Closed, "loop %s has ended", l.name)
	case <-ctx.Done():
		return ctx.Err()
	}
	return <-reply
}

// Pause keeps timed passes from starting; Step still works.
func (l *Loop) Pause() { l.set(func(s *Status) { s.Paused = true }) }

// Resume undoes Pause.
func (l *Loop) Resume() { l.set(func(s *Status) { s.Paused = false }) }

// Status returns a snapshot.
func (l *Loop) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.st
}

func (l *Loop) set(f func(*Status)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.st)
}

func (l *Loop) pass(ctx context.Context) error {
	l.set(func(s *Status) { s.Running = true })
	err := l.fn(ctx)
	l.set(func(s *Status) { s.Running = false; s.Passes++; s.LastErr = err })
	return err
}
