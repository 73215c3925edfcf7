package ring

import (
	"context"

	"torc/chunk"
	"torc/internal/errs"
)

// Keyed is a chunk.Store over a whole ring without any protection: copy or
// fragment i of a key is put to, and read from, its home place i alone. The
// native API and proxies use it; objects go through package protect.
type Keyed struct{ t chunk.Topology }

// NewKeyed returns the store over t.
func NewKeyed(t chunk.Topology) Keyed { return Keyed{t} }

// home returns the store of k's home place.
func (s Keyed) home(k chunk.Key) chunk.Store {
	places := s.t.Places(k)
	if i := k.Index(); i < len(places) {
		return places[i].Store
	}
	return absent{errs.E("ring.Keyed", errs.Unavailable, "%s: no home place: its arc has %d nodes", k, len(places))}
}

// Put implements chunk.Putter.
func (s Keyed) Put(ctx context.Context, w chunk.Write) (chunk.Receipt, error) {
	if err := w.Validate(); err != nil {
		return chunk.Receipt{}, err
	}
	return s.home(w.Key).Put(ctx, w)
}

// Get implements chunk.Getter.
func (s Keyed) Get(ctx context.Context, k chunk.Key, r chunk.Range) (*chunk.Chunk, error) {
	return s.home(k).Get(ctx, k, r)
}

// Stat implements chunk.Getter.
func (s Keyed) Stat(ctx context.Context, k chunk.Key) (chunk.Info, error) {
	return s.home(k).Stat(ctx, k)
}

// Delete implements chunk.Deleter.
func (s Keyed) Delete(ctx context.Context, k chunk.Key, v chunk.Version) (chunk.Receipt, error) {
	return s.home(k).Delete(ctx, k, v)
}

// absent is a store that is not there: every call fails with its error.
type absent struct{ err error }

func (a absent) Put(context.Context, chunk.Write) (chunk.Receipt, error) {
	return chunk.Receipt{}, a.err
}

func (a absent) Get(context.Context, chunk.Key, chunk.Range) (*chunk.Chunk, error) {
	return nil, a.err
}

func (a absent) Stat(context.Context, chunk.Key) (chunk.Info, error) { return chunk.Info{}, a.err }

func (a absent) Delete(context.Context, chunk.Key, chunk.Version) (chunk.Receipt, error) {
	return chunk.Receipt{}, a.err
}
