package protect_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"torc/chunk"
	"torc/internal/errs"
	"torc/protect"
)

// recorder collects events.
type recorder struct {
	mu     sync.Mutex
	events []protect.Event
}

func (r *recorder) add(e protect.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) count(kind protect.EventKind) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, e := range r.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// onceKey is a key that Torc makes, written once; userKey may be overwritten.
func onceKey(n uint64, p chunk.Protection) chunk.Key {
	return chunk.NewKey(chunk.Payload{Object: n, Volume: 1, Service: chunk.ServiceS3}, p)
}

func userKey(n uint64, p chunk.Protection) chunk.Key {
	return chunk.NewKey(chunk.Payload{Object: n, Volume: 1, Service: chunk.ServiceUser + 1}, p)
}

func value(seed uint64, n int) []byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

func write(k chunk.Key, v chunk.Version, n int) chunk.Write {
	return chunk.Write{Key: k, Version: v, Data: value(uint64(v), n),
		Attrs: chunk.Attrs{GroupSize: int64(n), Owner: fmt.Appendf(nil, "v%d", v)}}
}

func mustPut(t testing.TB, s chunk.Store, w chunk.Write) chunk.Receipt {
	t.Helper()
	r, err := s.Put(t.Context(), w)
	if err != nil {
		t.Fatalf("Put %s version %d: %v", w.Key, w.Version, err)
	}
	return r
}

// readBack compares all of w, and some ranges, with what s returns.
func readBack(ctx context.Context, s chunk.Store, w chunk.Write) error {
	size := int64(len(w.Data))
	for _, r := range []chunk.Range{chunk.All, {Off: size / 3, Len: size / 2}, {Off: size - 1, Len: 1}, {Off: 0, Len: 1}, {Off: size, Len: 0}} {
		if r.Off < 0 || r.Off+max(0, r.Len) > size {
			continue
		}
		c, err := s.Get(ctx, w.Key, r)
		if err != nil {
			return fmt.Errorf("Get %+v: %w", r, err)
		}
		off, n, _ := r.Resolve(size)
		same := bytes.Equal(c.Data, w.Data[off:off+n]) && c.Version == w.Version && c.Size == size && c.Key == w.Key
		info := c.Info
		c.Release()
		if !same {
			return fmt.Errorf("Get %+v: other bytes or info: %+v", r, info)
		}
	}
	return nil
}

func mustRead(t testing.TB, s chunk.Store, w chunk.Write, when string, args ...any) {
	t.Helper()
	if err := readBack(t.Context(), s, w); err != nil {
		t.Fatalf("%s: %v", fmt.Sprintf(when, args...), err)
	}
}

func wantKind(t testing.TB, err error, kind errs.Kind, when string, args ...any) {
	t.Helper()
	if err == nil || errs.KindOf(err) != kind {
		t.Fatalf("%s: %v, want kind %v", fmt.Sprintf(when, args...), err, kind)
	}
}

// getErr reads k and returns the error.
func getErr(t testing.TB, s chunk.Store, k chunk.Key) error {
	c, err := s.Get(t.Context(), k, chunk.All)
	c.Release()
	return err
}

// lose makes a node answer as if it had never held anything.
func (n *node) lose() { n.Inject(chunk.Fault{Err: errs.E("test", errs.NotFound, "lost")}) }

// rot makes every read of data fail its checksum.
func (n *node) rot() {
	n.Inject(chunk.Fault{Op: chunk.OpGet, Err: errs.E("test", errs.Corrupt, "rotten")})
}

// subsets calls f with every set of size k out of n.
func subsets(n, k int, f func(set []int)) {
	var rec func(from int, set []int)
	rec = func(from int, set []int) {
		if len(set) == k {
			f(set)
			return
		}
		for i := from; i < n; i++ {
			rec(i+1, append(set, i))
		}
	}
	rec(0, nil)
}
