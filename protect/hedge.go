package protect

import (
	"time"

	"torc/chunk"
)

// Limits of hedging.
const (
	HedgeAfterMin = 20 * time.Millisecond // a read is never hedged sooner
	HedgeShare    = 0.1                   // of the fragment reads: as many may be hedges
	HedgeBurst    = 64                    // hedges that may be saved up
)

// Sizes of reads that are timed apart: what is normal for one is late for another.
const (
	smallReadMax  = 64 << 10 // bytes
	mediumReadMax = 1 << 20  // bytes
)

// readSize is a class of reads with like latencies.
type readSize uint8

const (
	smallRead readSize = iota
	mediumRead
	largeRead // and those whose length is not known

	readSizes
)

func sizeOf(r chunk.Range) readSize {
	switch {
	case r.Len < 0 || r.Len > mediumReadMax:
		return largeRead
	case r.Len > smallReadMax:
		return mediumRead
	}
	return smallRead
}

// pacing decides when a read is late, whether it may be hedged, and which
// nodes are silent: pure, time is an argument. The Store guards it by its lock.
type pacing struct {
	ceiling time.Duration // Config.HedgeAfter
	keep    time.Duration // Config.SuspectFor
	typical [readSizes]time.Duration
	hedges  float64 // that may be made now
	silent  map[chunk.NodeID]silence
}

// silence is what reads of a node waited for in vain since it last answered.
type silence struct {
	waited time.Duration
	until  time.Time // asked after the others until then; zero: not so bad yet
}

func newPacing(ceiling, keep time.Duration) pacing {
	p := pacing{ceiling: ceiling, keep: keep, hedges: HedgeBurst, silent: map[chunk.NodeID]silence{}}
	for i := range p.typical {
		p.typical[i] = ceiling
	}
	return p
}

// Steps of the running estimate of the 95th percentile of read latencies: it
// rests where the steps down of 19 timely reads make good for the step up of one
// late one. From the ceiling down to a tenth takes about 450 reads.
const (
	paceUp   = 1 + 0.095
	paceDown = 1 - 0.005
)

// delay is how long a read is waited for before another place is asked: the
// 95th percentile of what reads of this size took of late, in this process.
func (p *pacing) delay(size readSize) time.Duration { return p.typical[size] }

// asked notes that a fragment read starts, which earns a part of a hedge.
func (p *pacing) asked() { p.hedges = min(HedgeBurst, p.hedges+HedgeShare) }

// answered notes that node answered a read. One that was passed by before is
// counted as late already.
func (p *pacing) answered(node chunk.NodeID, size readSize, took time.Duration) {
	if took < p.typical[size] {
		p.typical[size] = max(min(HedgeAfterMin, p.ceiling), time.Duration(float64(p.typical[size])*paceDown))
	}
	if len(p.silent) > 0 {
		delete(p.silent, node)
	}
}

// passed notes that a read of node has not been answered for waited. Reads that
// waited for the ceiling in all, with no answer between, make it a silent node.
func (p *pacing) passed(node chunk.NodeID, size readSize, waited time.Duration, now time.Time) {
	p.typical[size] = min(p.ceiling, time.Duration(float64(p.typical[size])*paceUp))
	s := p.silent[node]
	s.waited += waited
	if s.waited >= p.ceiling {
		s.until = now.Add(p.keep)
	}
	p.silent[node] = s
}

// isSilent reports whether node is to be asked after the others. When the time
// is over it is tried again like any other.
func (p *pacing) isSilent(node chunk.NodeID, now time.Time) bool {
	s, ok := p.silent[node]
	if !ok || s.until.IsZero() {
		return false
	}
	if !now.Before(s.until) {
		delete(p.silent, node)
		return false
	}
	return true
}

// hedge takes n hedges, or says that there are not as many: under plain
// overload every read is late, and asking twice would only make it worse.
func (p *pacing) hedge(n int) bool {
	if p.hedges < float64(n) {
		return false
	}
	p.hedges -= float64(n)
	return true
}

// hedgeAfter returns how long reads of r are waited for.
func (s *Store) hedgeAfter(r chunk.Range) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pace.delay(sizeOf(r))
}

// passedBy notes that reads of r from srcs have not been answered for waited, and
// reports whether as many others may be asked as well. forced says that they
// must be, since it has taken too long.
func (s *Store) passedBy(g *group, srcs []source, r chunk.Range, waited time.Duration, forced bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Clock.Now()
	for _, x := range srcs {
		s.pace.passed(g.places[x.place].Node, sizeOf(r), waited, now)
	}
	if !s.pace.hedge(len(srcs)) && !forced {
		s.count.hedgesDenied.Add(1)
		return false
	}
	s.count.hedges.Add(1)
	return true
}

// answered notes that node gave r.
func (s *Store) answered(node chunk.NodeID, r chunk.Range, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pace.answered(node, sizeOf(r), took)
}
