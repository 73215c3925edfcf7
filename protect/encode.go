package protect

import (
	"sync"

	"github.com/klauspost/reedsolomon"

	"torc/chunk"
	"torc/internal/buf"
	"torc/internal/errs"
)

// encoders makes Reed-Solomon codes once: there are at most 20 x 8 of them. The
// code is klauspost/reedsolomon's default (a systematic Vandermonde matrix over
// GF(2^8)); what is on disk depends on it, so it may not change.
type encoders struct {
	mu sync.Mutex
	by map[chunk.Protection]reedsolomon.Encoder
}

func (e *encoders) get(p chunk.Protection) (reedsolomon.Encoder, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c, ok := e.by[p]; ok {
		return c, nil
	}
	// One goroutine a stripe: stripes run side by side already.
	c, err := reedsolomon.New(int(p.K), int(p.M), reedsolomon.WithMaxGoroutines(1))
	if err != nil {
		return nil, errs.E("protect.encoder", errs.Other, "%s: %w", p, err)
	}
	if e.by == nil {
		e.by = map[chunk.Protection]reedsolomon.Encoder{}
	}
	e.by[p] = c
	return c, nil
}

// split returns the fragments of data: for copies data itself n times, for
// erasure coding slices of data, then the zero-filled tail and the parity in a
// pooled buffer that the caller releases when no write reads them any more.
func (e *encoders) split(p chunk.Protection, data []byte) ([][]byte, *buf.Buffer, error) {
	frags := make([][]byte, p.Width())
	if !p.Coded() {
		for i := range frags {
			frags[i] = data
		}
		return frags, nil, nil
	}
	size := int(fragmentLen(int64(len(data)), int(p.K)))
	if size == 0 {
		return frags, nil, nil
	}
	whole := len(data) / size // fragments that need no filling up
	b := buf.Get((len(frags) - whole) * size)
	for i := range frags {
		if i < whole {
			frags[i] = data[i*size : (i+1)*size : (i+1)*size]
			continue
		}
		frags[i] = b.B[(i-whole)*size : (i-whole+1)*size]
		if i < int(p.K) {
			n := copy(frags[i], data[min(i*size, len(data)):])
			clear(frags[i][n:])
		}
	}
	code, err := e.get(p)
	if err == nil {
		err = code.Encode(frags)
	}
	if err != nil {
		b.Release()
		return nil, nil, errs.E("protect.split", errs.Other, "%d bytes as %s: %w", len(data), p, err)
	}
	return frags, b, nil
}
