package clock

import (
	"fmt"
	"sync"
	"time"
)

// Timestamp is a hybrid logical clock reading: milliseconds since 1970 in the
// high 48 bits, a logical counter in the low 16. Zero means "none".
// (Kulkarni et al., "Logical Physical Clocks", 2014.)
type Timestamp uint64

// logicalBits is the width of the logical counter.
const logicalBits = 16

// MakeTimestamp builds a reading from wall time and counter.
func MakeTimestamp(t time.Time, logical uint16) Timestamp {
	ms := t.UnixMilli()
	if ms < 0 {
		ms = 0
	}
	return Timestamp(uint64(ms)<<logicalBits | uint64(logical))
}

// Time returns the wall part, in UTC, to the millisecond.
func (t Timestamp) Time() time.Time { return time.UnixMilli(int64(t >> logicalBits)).UTC() }

// String renders "milliseconds.counter".
func (t Timestamp) String() string {
	return fmt.Sprintf("%d.%d", uint64(t)>>logicalBits, uint64(t)&(1<<logicalBits-1))
}

// HLC hands out strictly increasing Timestamps. Safe for concurrent use.
type HLC struct {
	clock Clock
	mu    sync.Mutex
	last  Timestamp
}

// NewHLC returns a clock that never goes below floor (a reading persisted before a restart; zero if none).
func NewHLC(c Clock, floor Timestamp) *HLC { return &HLC{clock: c, last: floor} }

// Now returns a reading greater than every earlier reading and every observed one.
func (h *HLC) Now() Timestamp {
	wall := MakeTimestamp(h.clock.Now(), 0)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = max(h.last+1, wall)
	return h.last
}

// Observe makes later readings greater than t: call it on every Timestamp received from a peer.
func (h *HLC) Observe(t Timestamp) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = max(h.last, t)
}
