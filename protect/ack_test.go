package protect

import (
	"math/rand/v2"
	"slices"
	"testing"

	"torc/chunk"
)

// TestCanSurviveServer is the arithmetic of the ack rule, case by case.
func TestCanSurviveServer(t *testing.T) {
	ec, r3 := chunk.EC(4, 2), chunk.Replicas(3)
	for _, v := range []struct {
		prot  chunk.Protection
		twice int
		on    []onServer
		can   bool
		does  bool // with what is durable now
	}{
		{ec, 0, []onServer{{2, 0}, {2, 0}, {2, 0}}, true, true},
		{ec, 0, []onServer{{2, 0}, {2, 0}, {1, 1}}, true, false},
		{ec, 0, []onServer{{2, 4}, {2, 4}, {1, 0}}, false, false}, // nothing left on the third server
		{ec, 1, []onServer{{2, 4}, {2, 4}, {1, 0}}, true, true},   // but one is durable on two servers
		{ec, 0, []onServer{{3, 9}, {1, 9}, {1, 9}}, false, false}, // three on one server can no longer be mended
		{ec, 0, []onServer{{0, 6}, {0, 6}, {0, 0}}, false, false}, // one of three servers down
		{ec, 0, []onServer{{2, 4}, {2, 4}, {1, 4}, {0, 6}}, true, false},
		{ec, 0, []onServer{{1, 0}, {1, 0}, {1, 0}, {1, 0}, {1, 0}}, true, true}, // one is missing, none matters
		{chunk.EC(2, 1), 0, []onServer{{1, 0}, {1, 0}, {0, 1}}, true, false},
		{chunk.EC(9, 3), 0, []onServer{{0, 6}, {0, 6}, {0, 6}}, false, false}, // too wide for three servers
		{chunk.EC(9, 3), 0, []onServer{{3, 6}, {3, 6}, {3, 6}, {2, 6}}, true, false},
		{r3, 0, []onServer{{1, 0}, {1, 0}, {0, 0}}, true, true},
		{r3, 0, []onServer{{2, 0}, {0, 1}}, true, false},
		{r3, 0, []onServer{{2, 1}, {0, 0}}, false, false},
		{chunk.Replicas(1), 0, []onServer{{1, 0}, {0, 1}}, false, false},
		{ec, 0, []onServer{{0, 18}}, false, false}, // one server is all there is
	} {
		l := layout{prot: v.prot}
		if can, does := l.canSurviveServer(v.twice, v.on), l.survivesServer(v.twice, v.on); can != v.can || does != v.does {
			t.Errorf("%v, %d twice, %v: can survive %v, does %v; want %v, %v", v.prot, v.twice, v.on, can, does, v.can, v.does)
		}
	}
}

// uneven returns places in the order of an arc: servers in turn, each with its
// own number of nodes.
func uneven(nodes []int) []chunk.Place {
	var out []chunk.Place
	for _, p := range places(len(nodes), slices.Max(nodes)) {
		if int(p.Node[len(p.Node)-1]-'0') < nodes[p.Server[1]-'0'] {
			out = append(out, p)
		}
	}
	return out
}

// fate is what becomes of an attempt at a place.
type fate uint8

const (
	works fate = iota
	fails
	hangs
	slow // late, but acknowledges in the end
)

// story is one write on one made-up cluster.
type story struct {
	rnd  *rand.Rand
	l    layout
	good []bool
	fate []fate
	p    *placing
	open []attempt // under way, not late
	late []attempt
	sent map[int]int  // by place: the fragment sent there
	shut map[int]bool // servers where something was late
}

func newStory(seed uint64) *story {
	rnd := rand.New(rand.NewPCG(seed, 11))
	nodes := make([]int, 1+rnd.IntN(4))
	for i := range nodes {
		nodes[i] = 1 + rnd.IntN(6)
	}
	prot := []chunk.Protection{chunk.Replicas(2), chunk.Replicas(3), chunk.Replicas(4), chunk.EC(2, 1), chunk.EC(2, 2),
		chunk.EC(4, 2), chunk.EC(8, 4), chunk.EC(9, 3)}[rnd.IntN(8)]
	at := uneven(nodes)
	x := &story{rnd: rnd, l: newLayout(prot, at[:min(len(at), prot.Width()+HandoffPlacesMax)]), sent: map[int]int{}, shut: map[int]bool{}}
	sick := 1 + rnd.IntN(8) // one place in so many
	x.good, x.fate = make([]bool, len(x.l.places)), make([]fate, len(x.l.places))
	for i := range x.good {
		x.good[i] = rnd.IntN(sick) > 0 || rnd.IntN(3) == 0
		if rnd.IntN(sick) == 0 {
			x.fate[i] = fate(rnd.IntN(4))
		}
	}
	if all := rnd.IntN(4); all < 3 { // and a whole server
		server := rnd.IntN(x.l.servers)
		for i := range x.fate {
			if x.l.server[i] == server {
				x.fate[i] = fate(all)
			}
		}
	}
	x.p = newPlacing(x.l, x.good)
	return x
}

// run drives the machine to the end of its waiting, in random order.
func (x *story) run() {
	x.start(x.p.begin())
	for x.p.waiting() {
		switch n := x.rnd.IntN(len(x.open) + len(x.late)); {
		case n < len(x.open):
			a := x.open[n]
			x.open = slices.Delete(x.open, n, n+1)
			if f := x.fate[a.place]; f == hangs || f == slow {
				x.late = append(x.late, a)
				x.shut[x.l.server[a.place]] = true
				x.start(x.p.passed(a))
				break
			}
			x.start(x.p.finished(a, x.fate[a.place] == works, false))
		default:
			n -= len(x.open)
			a := x.late[n]
			if x.fate[a.place] == slow {
				x.late = slices.Delete(x.late, n, n+1)
				x.start(x.p.finished(a, true, true))
			} else if len(x.open) == 0 && !slices.ContainsFunc(x.late, func(a attempt) bool { return x.fate[a.place] == slow }) {
				return // only frozen places are left to wait for
			}
		}
	}
}

func (x *story) start(as []attempt) {
	for _, a := range as {
		x.sent[a.place] = a.frag
	}
	x.open = append(x.open, as...)
}

// survives asks every server in turn to vanish: the definition.
func (x *story) survives() bool {
	for gone := range x.l.servers {
		left := map[int]bool{}
		for i, s := range x.p.state {
			if s == placeDurable && x.l.server[i] != gone {
				left[x.sent[i]] = true
			}
		}
		if len(left) < x.l.prot.Need() {
			return false
		}
	}
	return true
}

// possible tries every number of fragments on every server that has sound
// places and was never late.
func (x *story) possible() bool {
	room := make([]int, x.l.servers)
	for i, good := range x.good {
		if good && x.fate[i] == works && !x.shut[x.l.server[i]] {
			room[x.l.server[i]]++
		}
	}
	var try func(server, sum, most int) bool
	try = func(server, sum, most int) bool {
		if server == len(room) {
			return sum-most >= x.l.prot.Need() && sum >= x.l.quorum
		}
		for n := 0; n <= room[server] && sum+n <= x.l.prot.Width(); n++ {
			if try(server+1, sum+n, max(most, n)) {
				return true
			}
		}
		return false
	}
	return try(0, 0, 0)
}

// TestAckSurvivesAServer: whatever fails, in whatever order, a write that may be
// acknowledged survives the loss of any one server, unless the servers that
// answered in time could not provide that. And a write that has a quorum never
// waits for frozen places alone.
func TestAckSurvivesAServer(t *testing.T) {
	acked, strict, waived := 0, 0, 0
	for seed := range uint64(20_000) {
		x := newStory(seed)
		x.run()
		switch {
		case !x.p.enough():
			if x.l.ackable(x.p.durable()) {
				t.Fatalf("seed %d: %v has a quorum and is stuck: %+v", seed, x.l.prot, x.p.frags)
			}
			if x.possible() {
				t.Fatalf("seed %d: %v cannot be acknowledged though there are sound places: %+v good %v fates %v servers %v sent %v states %v", seed, x.l.prot, x.p.frags, x.good, x.fate, x.l.server, x.sent, x.p.state)
			}
		case x.survives():
			strict++
			acked++
		default:
			waived++
			acked++
			if x.possible() {
				t.Fatalf("seed %d: %v acknowledged at %v (fates %v) and lost with a server", seed, x.l.prot, x.p.durable(), x.fate)
			}
		}
	}
	if strict < 1000 || waived < 1000 || acked > 19_000 {
		t.Errorf("the stories are one-sided: %d acknowledged, %d survive, %d waived", acked, strict, waived)
	}
}

// In haste the least must do, and not less.
func TestHaste(t *testing.T) {
	p := newPlacing(newLayout(chunk.EC(4, 2), places(3, 6)), slices.Repeat([]bool{true}, 18))
	as := p.begin()
	for i, a := range as[:5] {
		if p.enough() {
			t.Fatalf("enough with %d durable", i)
		}
		p.finished(a, true, false)
	}
	if p.enough() || !p.waiting() {
		t.Error("2/2/1 durable, the sixth still timely: it must be waited for")
	}
	p.haste()
	if !p.enough() || p.waiting() {
		t.Error("in haste five of 4+2 must do")
	}
	p = newPlacing(newLayout(chunk.EC(4, 2), places(3, 6)), slices.Repeat([]bool{true}, 18))
	for _, a := range p.begin()[:4] {
		p.finished(a, true, false)
	}
	p.haste()
	if p.enough() || !p.waiting() {
		t.Error("four of 4+2 never do")
	}
}

// All fragments durable, but unevenly, and nowhere left to put any: the spread
// cannot be had any more, and the write must not fail for it.
func TestNothingLeftToTry(t *testing.T) {
	p := newPlacing(newLayout(chunk.EC(4, 2), places(3, 6)), slices.Repeat([]bool{true}, 18))
	as := p.begin()
	for _, a := range as[:5] {
		p.finished(a, true, false)
	}
	// The sixth fails wherever it would keep the spread, and lands on a server that is full.
	last, tries := as[5], 0
	for p.server[last.place] == p.server[as[5].place] {
		if tries++; tries > 18 {
			t.Fatal("it is never tried on another server")
		}
		next := p.finished(last, false, false)
		if len(next) == 0 {
			next = p.lastResort()
		}
		if len(next) != 1 {
			t.Fatalf("%d places to try next", len(next))
		}
		last = next[0]
	}
	p.finished(last, true, false)
	if len(p.durable()) != 6 || p.waiting() || len(p.lastResort()) != 0 {
		t.Fatalf("%d durable, waiting %v: the scene is not set", len(p.durable()), p.waiting())
	}
	p.haste()
	if !p.enough() {
		t.Error("six of six durable and nothing left to try, but not enough")
	}
}

// The other servers are suspected, so everything goes to one: it is not enough,
// and their homes are tried all the same.
func TestSuspectedHomesAreTheLastResort(t *testing.T) {
	layout := newLayout(chunk.EC(4, 2), places(3, 6))
	good := make([]bool, len(layout.places))
	for i := range good {
		good[i] = layout.server[i] == layout.server[0]
	}
	p := newPlacing(layout, good)
	for as := p.begin(); len(as) > 0; {
		a := as[0]
		as = append(as[1:], p.finished(a, true, false)...)
	}
	if len(p.durable()) != 6 || p.enough() || p.waiting() {
		t.Fatalf("%d durable, enough %v, waiting %v", len(p.durable()), p.enough(), p.waiting())
	}
	more := p.lastResort()
	if len(more) == 0 {
		t.Fatal("the suspected servers are not even tried")
	}
	if !p.waiting() {
		t.Error("it does not wait for its last resort")
	}
	p.passed(more...)
	if !p.waiting() {
		t.Error("late is what was expected of them: they are still what is lacking")
	}
	for _, a := range more {
		if a.place != a.frag || layout.server[a.place] == layout.server[0] {
			t.Errorf("%+v is not a home on another server", a)
		}
		p.finished(a, true, true)
	}
	if !p.enough() {
		t.Error("six durable, their homes too, and not enough")
	}
}
