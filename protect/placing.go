package protect

import (
	"slices"

	"torc/chunk"
)

// attempt is one write of one fragment to one place.
type attempt struct{ frag, place int }

// placing decides where the fragments of one write go and when it may be
// acknowledged: a pure machine. The driver in put.go starts the attempts it asks
// for and tells it how they ended or that they are late. Each place takes at
// most one fragment.
type placing struct {
	layout
	state  []placeState       // by place
	states [][placeStates]int // by server: places in each state
	frags  []fragState
	hasty  bool // the write has taken so long that the least must do

	on []onServer // scratch of spread
	at []int      // scratch of durable
}

// placeState is what this write knows about a place.
type placeState uint8

const (
	placeIdle    placeState = iota // worth trying
	placeBarred                    // down or suspected: only tried when nothing else is left
	placeTaken                     // an attempt is running
	placeLate                      // an attempt has been running for too long
	placeFailed                    // an attempt failed
	placeDurable                   // acknowledged a fragment

	placeStates
)

type fragState struct {
	durable int  // place that acknowledged, or -1
	twice   bool // durable on several servers
	running int  // attempts not ended
	late    int  // of those, how many passed the lateness bound
	tries   int
}

func newPlacing(l layout, good []bool) *placing {
	p := &placing{layout: l, state: make([]placeState, len(l.places)), states: make([][placeStates]int, l.servers),
		frags: make([]fragState, l.prot.Width()), on: make([]onServer, l.servers),
		at: make([]int, 0, l.prot.Width())}
	for i := range p.frags {
		p.frags[i].durable = -1
	}
	for i, ok := range good {
		if !ok {
			p.state[i] = placeBarred
		}
		p.states[p.server[i]][p.state[i]]++
	}
	return p
}

// begin returns the first attempts: every good home, then hand-offs for the rest.
func (p *placing) begin() []attempt {
	out := make([]attempt, 0, len(p.frags))
	for i := range p.frags {
		if i < len(p.places) && p.state[i] == placeIdle {
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
	if !ok {
		p.set(a.place, placeFailed)
		return p.wantMore(a.frag)
	}
	p.set(a.place, placeDurable)
	if f.durable >= 0 && p.server[f.durable] != p.server[a.place] {
		f.twice = true
	}
	if f.durable < 0 || a.place == a.frag { // home is better than a hand-off
		f.durable = a.place
	}
	return nil
}

// passed notes that attempts are late and returns what to start beside them.
func (p *placing) passed(as ...attempt) []attempt {
	for _, a := range as {
		p.frags[a.frag].late++
		p.set(a.place, placeLate)
	}
	var out []attempt
	for _, a := range as {
		out = append(out, p.wantMore(a.frag)...)
	}
	return out
}

// haste notes that the write has taken so long that what is durable suffices
// as soon as it is ackable.
func (p *placing) haste() { p.hasty = true }

func (p *placing) wantMore(frag int) []attempt {
	f := &p.frags[frag]
	if f.durable >= 0 || f.running > f.late {
		return nil
	}
	if f.tries >= AttemptsMax && p.ackable(p.durable()) && p.survivesServer(p.spread()) {
		return nil
	}
	return p.next(nil, frag, false)
}

// lastResort returns attempts at places that are expected to fail: asked for
// only when nothing else is under way and the write cannot be acknowledged.
func (p *placing) lastResort() []attempt {
	var out []attempt
	for i, f := range p.frags {
		if f.durable < 0 {
			out = p.next(out, i, true)
		}
	}
	if len(out) > 0 || p.least() {
		return out
	}
	// All is durable, but on one server: homes on the others, expected to fail or
	// not, are what can still make it a value that may be acknowledged.
	for i, f := range p.frags {
		if i < len(p.places) && f.durable >= 0 && p.server[i] != p.server[f.durable] && (p.state[i] == placeIdle || p.state[i] == placeBarred) {
			out = append(out, p.take(i, i))
		}
	}
	return out
}

// next appends the best unused place for frag: its home or a hand-off, good
// ones only unless bad is set. Places that keep the value able to survive a
// server come first, even if that means another disk of a server where one
// failed; then servers where nothing failed in this write (a server fails more
// often than two of its disks); then those below their share; then the order of
// the map.
func (p *placing) next(out []attempt, frag int, bad bool) []attempt {
	best, bestRank := -1, [3]int{}
	consider := func(i int) {
		if p.state[i] != placeIdle && !(bad && p.state[i] == placeBarred) {
			return
		}
		n := &p.states[p.server[i]]
		r := [3]int{1, n[placeLate] + n[placeFailed], max(0, n[placeTaken]+n[placeDurable]+1-p.perServer)}
		if p.keepsSpread(p.server[i]) {
			r[0] = 0
		}
		if best < 0 || slices.Compare(r[:], bestRank[:]) < 0 {
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

// keepsSpread reports whether the value can still survive the loss of a server
// if server takes one more fragment and what is under way, elsewhere than on
// servers that seem lost, succeeds.
func (p *placing) keepsSpread(server int) bool {
	if p.lost(server) {
		return false
	}
	twice, on := p.spread()
	for s := range on {
		if p.lost(s) {
			continue
		}
		taken := p.states[s][placeTaken]
		if s == server {
			taken++
		}
		on[s].held += taken
		on[s].room = max(0, on[s].room-taken)
	}
	return p.canSurviveServer(twice, on)
}

func (p *placing) take(frag, place int) attempt {
	p.set(place, placeTaken)
	p.frags[frag].running++
	p.frags[frag].tries++
	return attempt{frag, place}
}

func (p *placing) set(place int, to placeState) {
	n := &p.states[p.server[place]]
	n[p.state[place]]--
	n[to]++
	p.state[place] = to
}

// lost reports whether a server is to be taken for dead or frozen in this
// write: LateMax attempts there are late, and more than are durable. Less may be
// one bad disk, and another of the same server is worth a try.
func (p *placing) lost(server int) bool {
	n := &p.states[server]
	return n[placeLate] >= LateMax && n[placeLate] > n[placeDurable]
}

// durable returns the places that hold a fragment durably, one a fragment. It
// is valid until the next call.
func (p *placing) durable() []int {
	p.at = p.at[:0]
	for _, f := range p.frags {
		if f.durable >= 0 {
			p.at = append(p.at, f.durable)
		}
	}
	return p.at
}

// spread returns how many fragments are durable on several servers, and what
// each server has and may still take. It is valid until the next call.
func (p *placing) spread() (twice int, on []onServer) {
	for s := range p.on {
		p.on[s] = onServer{}
		if !p.lost(s) {
			p.on[s].room = p.states[s][placeIdle] + p.states[s][placeTaken]
		}
	}
	for _, f := range p.frags {
		switch {
		case f.twice:
			twice++
		case f.durable >= 0:
			p.on[p.server[f.durable]].held++
		}
	}
	return twice, p.on
}

// enough reports whether the write may be acknowledged: what is durable is a
// quorum and survives the loss of any one server. If the places that are still
// worth trying cannot provide the latter, and in haste, ackable is enough.
func (p *placing) enough() bool {
	at := p.durable()
	if len(at) < p.quorum {
		return false
	}
	twice, on := p.spread()
	if p.survivesServer(twice, on) {
		return true
	}
	return p.least() && (p.hasty || !p.canSurviveServer(twice, on))
}

// least reports whether what is durable is the least that can be acknowledged:
// ackable, counting the second places of fragments that are durable twice.
func (p *placing) least() bool {
	at := p.durable()
	if p.ackable(at) {
		return true
	}
	return len(at) >= p.quorum && slices.ContainsFunc(p.frags, func(f fragState) bool { return f.twice })
}

// waiting reports whether the write should wait for what is under way: until
// all fragments are durable, or enough are and the rest are late or failed.
func (p *placing) waiting() bool {
	running, underWay, timely := 0, 0, 0
	for _, f := range p.frags {
		if f.durable < 0 && f.running > f.late && !p.hasty {
			return true
		}
		underWay += f.running
		timely += f.running - f.late
		if f.durable < 0 {
			running += f.running
		} else {
			running += f.running - f.late // may yet put it on a second server
		}
	}
	if underWay > 0 && !p.least() {
		return true // late or not, it may bring what is lacking
	}
	if timely > 0 && !p.hasty && !p.survivesServer(p.spread()) {
		return true // it may yet make the value survive a server
	}
	return running > 0 && !p.enough()
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
