package object

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"torc/internal/errs"
)

// admission bounds the bytes of bodies in memory over all requests. A request
// waits for its first buffer, in order of arrival and for a bounded time, and
// then always makes progress: further buffers are taken only if they are free.
type admission struct {
	sem     *semaphore.Weighted
	size    int64
	wait    time.Duration
	waiting atomic.Int64
}

// enter admits a request holding n bytes.
func (a *admission) enter(ctx context.Context, n int64) (*grant, error) {
	const op = "object: admit"
	g := &grant{a: a}
	if a.sem.TryAcquire(n) {
		g.held = n
		return g, nil
	}
	if a.waiting.Add(1) > admitWaitersMax {
		a.waiting.Add(-1)
		return nil, errs.E(op, errs.Overload, "%d requests wait for memory already", admitWaitersMax)
	}
	defer a.waiting.Add(-1)
	wctx, cancel := context.WithTimeout(ctx, a.wait)
	defer cancel()
	if a.sem.Acquire(wctx, n) != nil {
		if err := ctx.Err(); err != nil {
			return nil, errs.Wrap(op, err)
		}
		return nil, errs.E(op, errs.Overload, "all %d bytes for bodies are in use", a.size)
	}
	g.held = n
	return g, nil
}

// grant is what one request holds. Not safe for concurrent use.
type grant struct {
	a    *admission
	held int64
}

// more takes n further bytes if they are free now.
func (g *grant) more(n int64) bool {
	if !g.a.sem.TryAcquire(n) {
		return false
	}
	g.held += n
	return true
}

// leave gives everything back.
func (g *grant) leave() {
	g.a.sem.Release(g.held)
	g.held = 0
}
