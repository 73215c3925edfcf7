package ring

import (
	"context"

	"torc/chunk"
)

// Observe returns a store that reports the outcome of every call on s. It is a
// chunk.Lister if s is one.
func Observe(s chunk.Store, report func(err error)) chunk.Store {
	o := observed{s, report}
	if l, ok := s.(chunk.Lister); ok {
		return observedList{o, l}
	}
	return o
}

type observed struct {
	s      chunk.Store
	report func(error)
}

// Put implements chunk.Putter.
func (o observed) Put(ctx context.Context, w chunk.Write) (chunk.Receipt, error) {
	r, err := o.s.Put(ctx, w)
	o.report(err)
	return r, err
}

// Get implements chunk.Getter.
func (o observed) Get(ctx context.Context, k chunk.Key, r chunk.Range) (*chunk.Chunk, error) {
	c, err := o.s.Get(ctx, k, r)
	o.report(err)
	return c, err
}

// Stat implements chunk.Getter.
func (o observed) Stat(ctx context.Context, k chunk.Key) (chunk.Info, error) {
	i, err := o.s.Stat(ctx, k)
	o.report(err)
	return i, err
}

// Delete implements chunk.Deleter.
func (o observed) Delete(ctx context.Context, k chunk.Key, v chunk.Version) (chunk.Receipt, error) {
	r, err := o.s.Delete(ctx, k, v)
	o.report(err)
	return r, err
}

type observedList struct {
	observed
	l chunk.Lister
}

// List implements chunk.Lister.
func (o observedList) List(ctx context.Context, after *chunk.Key, limit int) ([]chunk.Info, error) {
	infos, err := o.l.List(ctx, after, limit)
	o.report(err)
	return infos, err
}
