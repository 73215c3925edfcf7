package chunk

import (
	"bytes"
	"context"
	"slices"
	"sort"
	"sync"

	"torc/internal/errs"
)

// Memory is the obvious ListStore: a map. It is the model that other stores are
// compared with, and the disk of tests. It loses everything with the process.
type Memory struct {
	mu     sync.Mutex
	chunks map[Key]memChunk
}

type memChunk struct {
	info Info
	data []byte
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{chunks: map[Key]memChunk{}} }

// Put implements Putter.
func (m *Memory) Put(ctx context.Context, w Write) (Receipt, error) {
	if err := w.Validate(); err != nil {
		return Receipt{}, err
	}
	if err := ctx.Err(); err != nil {
		return Receipt{}, errs.Wrap("chunk.Memory.Put", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.chunks[w.Key]; ok && old.info.Version >= w.Version {
		if old.info.Deleted && old.info.Version == w.Version {
			return Receipt{}, errs.E("chunk.Memory.Put", errs.Stale, "%s: version %v is deleted", w.Key, w.Version)
		}
		return storedAlready("chunk.Memory.Put", old.info, w.Version)
	}
	info := Info{Key: w.Key, Version: w.Version, Size: int64(len(w.Data)), Sum: Checksum(w.Data), Attrs: w.Attrs}
	info.Owner = bytes.Clone(w.Owner)
	m.chunks[w.Key] = memChunk{info, bytes.Clone(w.Data)}
	return Receipt{Want: 1, Durable: 1}, nil
}

// Get implements Getter.
func (m *Memory) Get(ctx context.Context, k Key, r Range) (*Chunk, error) {
	if err := ctx.Err(); err != nil {
		return nil, errs.Wrap("chunk.Memory.Get", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.chunks[k]
	if !ok || c.info.Deleted {
		return nil, errs.E("chunk.Memory.Get", errs.NotFound, "no chunk %s", k)
	}
	off, n, ok := r.Resolve(c.info.Size)
	if !ok {
		return nil, errs.E("chunk.Memory.Get", errs.OutOfRange, "%s: bytes %d+%d of %d", k, r.Off, r.Len, c.info.Size)
	}
	return NewChunk(c.info, bytes.Clone(c.data[off:off+n]), nil), nil
}

// Stat implements Getter.
func (m *Memory) Stat(ctx context.Context, k Key) (Info, error) {
	if err := ctx.Err(); err != nil {
		return Info{}, errs.Wrap("chunk.Memory.Stat", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.chunks[k]
	if !ok {
		return Info{}, errs.E("chunk.Memory.Stat", errs.NotFound, "no chunk %s", k)
	}
	return c.info, nil
}

// Delete implements Deleter.
func (m *Memory) Delete(ctx context.Context, k Key, v Version) (Receipt, error) {
	if v == 0 {
		return Receipt{}, errs.E("chunk.Memory.Delete", errs.Invalid, "%s: version 0", k)
	}
	if err := ctx.Err(); err != nil {
		return Receipt{}, errs.Wrap("chunk.Memory.Delete", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.chunks[k]
	if ok && (old.info.Version > v || old.info.Version == v && old.info.Deleted) {
		return storedAlready("chunk.Memory.Delete", old.info, v)
	}
	m.chunks[k] = memChunk{info: Info{Key: k, Version: v, Deleted: true}}
	return Receipt{Want: 1, Durable: 1}, nil
}

// List implements Lister.
func (m *Memory) List(_ context.Context, after *Key, limit int) ([]Info, error) {
	if limit < 1 || limit > ListMax {
		return nil, errs.E("chunk.Memory.List", errs.Invalid, "limit %d: want 1-%d", limit, ListMax)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Info
	for k, c := range m.chunks {
		if after == nil || bytes.Compare(k[:], after[:]) > 0 {
			out = append(out, c.info)
		}
	}
	sort.Slice(out, func(i, j int) bool { return bytes.Compare(out[i].Key[:], out[j].Key[:]) < 0 })
	return slices.Clip(out[:min(limit, len(out))]), nil
}

// storedAlready answers a write that finds an equal or higher version.
func storedAlready(op string, old Info, v Version) (Receipt, error) {
	if old.Version == v {
		return Receipt{Want: 1, Durable: 1}, nil
	}
	return Receipt{}, errs.E(op, errs.Stale, "%s: version %v is below the stored %v", old.Key, v, old.Version)
}

// Validate checks a Write against the limits that hold for every Store.
func (w Write) Validate() error {
	const op = "chunk.Put"
	switch {
	case w.Version == 0:
		return errs.E(op, errs.Invalid, "%s: version 0", w.Key)
	case len(w.Data) > SizeMax:
		return errs.E(op, errs.TooLarge, "%s: %d bytes, at most %d", w.Key, len(w.Data), SizeMax)
	case len(w.Owner) > OwnerLenMax:
		return errs.E(op, errs.TooLarge, "%s: owner of %d bytes, at most %d", w.Key, len(w.Owner), OwnerLenMax)
	case w.GroupSize < 0:
		return errs.E(op, errs.Invalid, "%s: group size %d", w.Key, w.GroupSize)
	}
	return w.Key.Validate()
}
