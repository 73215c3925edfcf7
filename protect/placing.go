package protect

import (
	"torc/chunk"
)

// attempt is one write of one fragment to one place.
type attempt struct{ frag, place int }

// placing decides where the fragments of one write go: a pure machine. The
// driver in put.go starts the attempts it asks for and tells it how they ended
// or that they are late. Each place takes at most one fragment.
type placing struct {
	layout
	good  []bool
	used  []bool
	load  []int // by server: fragments sent there and not failed
	fails []int // by server: attempts there that failed or are late
	frags []fragState
}

type fragState struct {
	durable int // place that acknowledged, or -1
	running int // attempts not ended
	late    int // of those, how many passed the lateness bound
	tries   int
}

func newPlacing(l layout, good []bool) *placing {
	p := &placing{layout: l, good: good, used: make([]bool, len(l.places)),
		load: make([]int, l.servers), fails: make([]int, l.servers), frags: make([]fragState, l.prot.Width())}
	for i := range p.frags {
		p.frags[i].durable = -1
	}
	return p
}

// begin returns the first attempts: every good home, then hand-offs for the rest.
func (p *placing) begin() []attempt {
	var out []attempt
	for i := range p.frags {
		if i < len(p.places) && p.good[i] {
			out = append(out, p.take(i, i))
		}
	}
	for i := range p.frags {
		if p.frags[i].tries == 0 {
			out = p.next(out, i, false)
		}
	}
	return out
}

// finished notes how an attempt ended and returns what to start instead.
func (p *placing) finished(a attempt, ok, wasLate bool) []attempt {
	f := &p.frags[a.frag]
	f.running--
	if wasLate {
		f.late--
	}
	switch {
	case !ok:
		p.load[p.server[a.place]]--
		p.fails[p.server[a.place]]++
	case f.durable < 0 || a.place == a.frag: // home is better than a hand-off
		f.durable = a.place
	}
	return p.wantMore(a.frag)
}

// passed notes that an attempt is late and returns what to start beside it.
func (p *placing) passed(a attempt) []attempt {
	p.frags[a.frag].late++
	p.fails[p.server[a.place]]++
	return p.wantMore(a.frag)
}

func (p *placing) wantMore(frag int) []attempt {
	f := &p.frags[frag]
	if f.durable >= 0 || f.running > f.late {
		return nil
	}
	if f.tries >= AttemptsMax {
		if d := p.durable(); p.ackable(d) && p.survivesServer(d) {
			return nil
		}
	}
	return p.next(nil, frag, false)
}

// lastResort returns attempts at places that are expected to fail: asked for
// only when nothing else is under way and the quorum is not reached.
func (p *placing) lastResort() []attempt {
	var out []attempt
	for i, f := range p.frags {
		if f.durable < 0 {
			out = p.next(out, i, true)
		}
	}
	return out
}

// next appends the best unused place for frag: its home or a hand-off, good
// ones only unless bad is set; servers where nothing failed in this write come
// first (a server fails more often than two of its disks), then those that keep
// the spread, then the order of the map.
func (p *placing) next(out []attempt, frag int, bad bool) []attempt {
	type rank struct{ fails, over int }
	best, bestRank := -1, rank{}
	consider := func(i int) {
		if p.used[i] || !p.good[i] && !bad {
			return
		}
		server := p.server[i]
		r := rank{p.fails[server], max(0, p.load[server]+1-p.perServer)}
		if best < 0 || r.fails < bestRank.fails || r.fails == bestRank.fails && r.over < bestRank.over {
			best, bestRank = i, r
		}
	}
	if frag < len(p.places) {
		consider(frag)
	}
	for i := p.homes(); i < len(p.places); i++ {
		consider(i)
	}
	if best < 0 {
		return out
	}
	return append(out, p.take(frag, best))
}

func (p *placing) take(frag, place int) attempt {
	p.used[place] = true
	p.load[p.server[place]]++
	p.frags[frag].running++
	p.frags[frag].tries++
	return attempt{frag, place}
}

// durable returns the places that hold a fragment durably, one a fragment.
func (p *placing) durable() []int {
	var out []int
	for _, f := range p.frags {
		if f.durable >= 0 {
			out = append(out, f.durable)
		}
	}
	return out
}

// waiting reports whether the write should wait for what is under way: until
// all fragments are durable, or the quorum is and the rest are late or failed.
func (p *placing) waiting() bool {
	running := 0
	for _, f := range p.frags {
		if f.durable < 0 && f.running > f.late {
			return true
		}
		if f.durable < 0 {
			running += f.running
		}
	}
	return running > 0 && !p.ackable(p.durable())
}

func (p *placing) receipt() chunk.Receipt {
	r := chunk.Receipt{Want: len(p.frags)}
	for i, f := range p.frags {
		if f.durable >= 0 {
			r.Durable++
			if f.durable != i {
				r.Handoff++
			}
		}
	}
	return r
}
