package protect

import (
	"sync/atomic"
	"time"
)

// Limits of how long a fragment write may take before it is late.
const (
	// PatienceMax bounds it, in multiples of Config.HandoffAfter: a frozen server
	// holds a write up no longer than that, however slow all others are.
	PatienceMax = 5
	// patienceFactor times what writes take of late is late.
	patienceFactor = 4
)

// patience decides when a fragment write is late: after HandoffAfter, or after
// several times what writes take of late when that is more. Without it an
// overloaded ring would send every fragment twice, once home and once to a
// hand-off place, which is what overload needs least.
//
// The estimate moves like that of reads (see pacing): it rests near the 95th
// percentile. Safe for concurrent use; a lost update does no harm.
type patience struct {
	least, most time.Duration
	typical     atomic.Int64 // nanoseconds
}

func newPatience(handoffAfter time.Duration) *patience {
	p := &patience{least: handoffAfter, most: PatienceMax * handoffAfter}
	p.typical.Store(int64(handoffAfter / patienceFactor))
	return p
}

// lateAfter is how long a write that starts now is waited for.
func (p *patience) lateAfter() time.Duration {
	return min(p.most, max(p.least, patienceFactor*time.Duration(p.typical.Load())))
}

// took notes how long a write took that has succeeded.
func (p *patience) took(d time.Duration) {
	typical := time.Duration(p.typical.Load())
	step := paceDown
	if d > typical {
		step = paceUp
	}
	next := time.Duration(float64(typical) * step)
	p.typical.Store(int64(min(p.most/patienceFactor, max(p.least/patienceFactor, next))))
}
