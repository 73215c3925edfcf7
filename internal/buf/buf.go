// Package buf is the pool of byte buffers for bodies and frames.
//
// Buffers come in power-of-two size classes from 4 KiB to 16 MiB; a request of
// body size never allocates in steady state. Every Get is paired with one
// Release; InUse counts what is out, and tests assert that it returns to where
// it was. Releasing twice panics: it would hand one buffer to two owners.
package buf

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Size classes, in bytes.
const (
	MinSize = 4 << 10
	MaxSize = 16 << 20
)

const classes = 13 // 4 KiB << 12 = 16 MiB

var (
	pools [classes]sync.Pool
	inUse atomic.Int64
)

// Buffer is a pooled byte slice. B may be resliced up to its capacity.
type Buffer struct {
	B        []byte
	full     []byte
	class    int8 // -1: larger than MaxSize, not pooled
	released atomic.Bool
}

// Get returns a buffer whose B has length n; the contents are undefined.
func Get(n int) *Buffer {
	inUse.Add(1)
	if n > MaxSize {
		b := make([]byte, n)
		return &Buffer{B: b, full: b, class: -1}
	}
	c := classFor(n)
	if v := pools[c].Get(); v != nil {
		b := v.(*Buffer)
		b.released.Store(false)
		b.B = b.full[:n]
		return b
	}
	full := make([]byte, MinSize<<c)
	return &Buffer{B: full[:n], full: full, class: int8(c)}
}

// Release gives the buffer back. The caller must not touch B afterwards. Release of nil does nothing.
func (b *Buffer) Release() {
	if b == nil {
		return
	}
	if b.released.Swap(true) {
		panic("buf: buffer released twice")
	}
	inUse.Add(-1)
	if b.class >= 0 {
		b.B = nil
		pools[b.class].Put(b)
	}
}

// InUse returns how many buffers are out: a leak counter for tests and metrics.
func InUse() int64 { return inUse.Load() }

func classFor(n int) int {
	if n <= MinSize {
		return 0
	}
	return bits.Len(uint((n - 1) / MinSize))
}
