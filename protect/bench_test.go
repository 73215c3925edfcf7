package protect_test

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"torc/chunk"
	"torc/internal/buf"
	"torc/internal/errs"
	"torc/protect"
)

// sink is a store that costs nothing, so that protect alone is measured: it
// acknowledges, keeps a copy of what it is first given, and reads without copying.
type sink struct {
	mu   sync.Mutex
	kept map[chunk.Key]chunk.Write
}

func (s *sink) Put(_ context.Context, w chunk.Write) (chunk.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.kept[w.Key]; !ok {
		w.Data, w.Owner = bytes.Clone(w.Data), bytes.Clone(w.Owner)
		s.kept[w.Key] = w
	}
	return chunk.Receipt{Want: 1, Durable: 1}, nil
}

func (s *sink) Get(_ context.Context, k chunk.Key, r chunk.Range) (*chunk.Chunk, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.kept[k]
	if !ok {
		return nil, errs.NotFound
	}
	off, n, _ := r.Resolve(int64(len(w.Data)))
	return chunk.NewChunk(chunk.Info{Key: k, Version: w.Version, Size: int64(len(w.Data)), Attrs: w.Attrs}, w.Data[off:off+n], nil), nil
}

func (s *sink) Stat(_ context.Context, k chunk.Key) (chunk.Info, error) {
	return chunk.Info{}, errs.NotFound
}

func (s *sink) Delete(context.Context, chunk.Key, chunk.Version) (chunk.Receipt, error) {
	return chunk.Receipt{}, errs.Unsupported
}

// sinks is three servers of six sinks.
func sinks() fixed {
	places := newCluster(nil, 3, 6).Places(chunk.Key{})
	for i := range places {
		places[i].Store = &sink{kept: map[chunk.Key]chunk.Write{}}
	}
	return places
}

func benchmarkPut(b *testing.B, prot chunk.Protection, size int) {
	s := protect.New(sinks(), protect.Config{})
	w := write(onceKey(1, prot), 1, size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Put(b.Context(), w); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	b.Run("8MiB/4+2", func(b *testing.B) { benchmarkPut(b, chunk.EC(4, 2), 8<<20) })
	b.Run("8MiB/9+3", func(b *testing.B) { benchmarkPut(b, chunk.EC(9, 3), 8<<20) })
	b.Run("64KiB/4+2", func(b *testing.B) { benchmarkPut(b, chunk.EC(4, 2), 64<<10) })
	b.Run("4KiB/3copies", func(b *testing.B) { benchmarkPut(b, chunk.Replicas(3), 4<<10) })
}

func benchmarkGet(b *testing.B, prot chunk.Protection, size int, r chunk.Range, lost int) {
	places := sinks()
	s := protect.New(places, protect.Config{})
	mustPut(b, s, write(onceKey(1, prot), 1, size))
	for i := range lost {
		places[i].Up = false
	}
	_, n, _ := r.Resolve(int64(size))
	b.SetBytes(n)
	b.ReportAllocs()
	before := buf.InUse()
	for b.Loop() {
		c, err := s.Get(b.Context(), onceKey(1, prot), r)
		if err != nil {
			b.Fatal(err)
		}
		c.Release()
	}
	if err := s.Close(); err != nil || buf.InUse() != before {
		b.Errorf("%v, %d buffers leaked", err, buf.InUse()-before)
	}
}

func BenchmarkGet(b *testing.B) {
	b.Run("8MiB/4+2", func(b *testing.B) { benchmarkGet(b, chunk.EC(4, 2), 8<<20, chunk.All, 0) })
	b.Run("8MiB/4+2/2lost", func(b *testing.B) { benchmarkGet(b, chunk.EC(4, 2), 8<<20, chunk.All, 2) })
	b.Run("64KiBof8MiB/4+2", func(b *testing.B) {
		benchmarkGet(b, chunk.EC(4, 2), 8<<20, chunk.Range{Off: 3 << 20, Len: 64 << 10}, 0)
	})
	b.Run("4KiB/3copies", func(b *testing.B) { benchmarkGet(b, chunk.Replicas(3), 4<<10, chunk.All, 0) })
}
