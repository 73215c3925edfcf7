package object

import (
	"context"
	"sync"

	"torc/chunk"
	"torc/internal/clock"
	"torc/internal/errs"
)

// deletesInWork is how many stripes of one extent are deleted at a time.
const deletesInWork = 8

// deleteExtent deletes every stripe of e and returns nil only if every home has
// acknowledged. Repeating it is harmless.
func deleteExtent(ctx context.Context, chunks chunk.Store, hlc *clock.HLC, e Extent) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		slots = make(chan struct{}, deletesInWork)
	)
	for n := range e.stripes() {
		slots <- struct{}{}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-slots }()
			if err := deleteStripe(ctx, chunks, hlc, StripeKey(e.Base, n, e.Protection)); err != nil {
				mu.Lock()
				first = firstError(first, err)
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	return first
}

// deleteStripe deletes above whatever version is stored: the writer's clock may
// have run ahead of this one.
func deleteStripe(ctx context.Context, chunks chunk.Store, hlc *clock.HLC, k chunk.Key) error {
	r, err := chunks.Delete(ctx, k, hlc.Now())
	if errs.Is(err, errs.Stale) {
		info, serr := chunks.Stat(ctx, k)
		if serr != nil {
			return errs.Wrap("object: delete stripe", serr)
		}
		if info.Deleted {
			return nil
		}
		hlc.Observe(info.Version)
		r, err = chunks.Delete(ctx, k, hlc.Now())
	}
	if err == nil && !r.Whole() {
		err = errs.E("object: delete stripe", errs.Unavailable, "%s: %d of %d homes answered", k, r.Durable-r.Handoff, r.Want)
	}
	return err
}
