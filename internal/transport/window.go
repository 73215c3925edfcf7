package transport

import (
	"context"
	"sync"

	"torc/internal/errs"
)

// window is what a link's peer lets us have in flight: calls and bytes. Those
// who wait for room are served in order, so a large request is not starved.
type window struct {
	mu      sync.Mutex
	calls   int
	bytes   int64
	waiters []*windowWaiter
	err     error // set once the link has ended
}

type windowWaiter struct {
	calls int
	bytes int64
	ready chan error // buffered
}

// acquire takes room, waiting for it until ctx ends or the link does.
func (w *window) acquire(ctx context.Context, calls int, bytes int64) error {
	w.mu.Lock()
	if w.err != nil {
		w.mu.Unlock()
		return w.err
	}
	if len(w.waiters) == 0 && w.fits(calls, bytes) {
		w.take(calls, bytes)
		w.mu.Unlock()
		return nil
	}
	me := &windowWaiter{calls, bytes, make(chan error, 1)}
	w.waiters = append(w.waiters, me)
	w.mu.Unlock()
	select {
	case err := <-me.ready:
		return err
	case <-ctx.Done():
	}
	if !w.remove(me) && <-me.ready == nil {
		w.release(calls, bytes) // it was granted at the same moment
	}
	return errs.Wrap("transport: wait for window", ctx.Err())
}

// release gives room back.
func (w *window) release(calls int, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls += calls
	w.bytes += bytes
	w.grant()
}

// fail ends the window: waiters and later comers get err.
func (w *window) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
	for _, x := range w.waiters {
		x.ready <- err
	}
	w.waiters = nil
}

func (w *window) fits(calls int, bytes int64) bool { return w.calls >= calls && w.bytes >= bytes }

func (w *window) take(calls int, bytes int64) {
	w.calls -= calls
	w.bytes -= bytes
}

func (w *window) grant() {
	for len(w.waiters) > 0 {
		x := w.waiters[0]
		if !w.fits(x.calls, x.bytes) {
			return
		}
		w.take(x.calls, x.bytes)
		w.waiters = w.waiters[1:]
		x.ready <- nil
	}
}

// remove takes a waiter out of the line; false when it has been answered already.
func (w *window) remove(me *windowWaiter) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, x := range w.waiters {
		if x == me {
			w.waiters = append(w.waiters[:i], w.waiters[i+1:]...)
			w.grant()
			return true
		}
	}
	return false
}
