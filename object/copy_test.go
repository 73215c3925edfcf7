package object

import (
	"bytes"
	"io"
	"sync"
	"testing"
)

// meet lets n readers go on only when all of them have read something.
type meet struct {
	io.Reader
	all  *sync.WaitGroup
	once sync.Once
}

func (m *meet) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.once.Do(func() { m.all.Done(); m.all.Wait() })
	return n, err
}

// TestCopiesDoNotStarveEachOther: as many copies as bodies fit in memory. Each
// holds what it writes with; none may wait for memory to read with.
func TestCopiesDoNotStarveEachOther(t *testing.T) {
	const copies = 2
	r := newRig(t, func(c *Config) { c.BodyBytesMax = copies * 64; c.Policy.SmallSize = 10 })
	r.bucket("b")
	data := random(60)
	r.put("b", "from", data)
	_, o, err := r.svc.Stat(ctx, "b", "from")
	if err != nil {
		t.Fatal(err)
	}
	var all, done sync.WaitGroup
	all.Add(copies)
	for i := range copies {
		src := r.svc.Open(ctx, o, 0, o.Size)
		defer src.Close()
		done.Go(func() {
			m := &meet{Reader: src, all: &all}
			defer func() { m.once.Do(all.Done) }()
			key := string(rune('a' + i))
			if _, err := r.svc.Put(ctx, PutRequest{Bucket: "b", Key: key, Body: bodyOf(m, o.Size)}); err != nil {
				t.Errorf("copy %s: %v", key, err)
			}
		})
	}
	done.Wait()
	for i := range copies {
		if got, err := r.read("b", string(rune('a'+i))); err != nil || !bytes.Equal(got, data) {
			t.Errorf("copy %d: %d bytes, %v", i, len(got), err)
		}
	}
}
