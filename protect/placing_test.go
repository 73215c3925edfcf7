package protect

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"torc/chunk"
	"torc/internal/errs"
)

func places(servers, each int) []chunk.Place {
	var out []chunk.Place
	for n := range each {
		for s := range servers {
			out = append(out, chunk.Place{
				Node: chunk.NodeID(fmt.Sprintf("s%dn%d", s, n)), Server: chunk.ServerID(fmt.Sprintf("s%d", s)), Up: true,
			})
		}
	}
	return out
}

func TestFragmentLen(t *testing.T) {
	for _, v := range []struct {
		size int64
		k    int
		want int64
	}{{0, 4, 0}, {1, 4, 64}, {256, 4, 64}, {257, 4, 128}, {8 << 20, 4, 2 << 20}, {16 << 20, 1, 16 << 20}, {8<<20 + 1, 4, 2<<20 + 64}} {
		if got := fragmentLen(v.size, v.k); got != v.want {
			t.Errorf("fragmentLen(%d, %d) = %d, want %d", v.size, v.k, got, v.want)
		}
	}
}

func TestAckable(t *testing.T) {
	for _, v := range []struct {
		prot    chunk.Protection
		servers int
		at      []int // with 3 servers place i is on server i%3
		want    bool
	}{
		{chunk.Replicas(1), 3, []int{5}, true},
		{chunk.Replicas(2), 3, []int{0}, false},
		{chunk.Replicas(3), 3, []int{0, 1}, true},
		{chunk.Replicas(3), 3, []int{0, 3}, false}, // one server
		{chunk.Replicas(3), 1, []int{0, 3}, true},  // there is only one
		{chunk.Replicas(3), 3, nil, false},
		{chunk.EC(4, 2), 3, []int{0, 1, 2, 3}, false},
		{chunk.EC(4, 2), 3, []int{0, 1, 2, 3, 4}, true},
		{chunk.EC(4, 2), 3, []int{0, 3, 6, 9, 12, 15}, false},
	} {
		l := newLayout(v.prot, places(v.servers, 18/v.servers))
		if got := l.ackable(v.at); got != v.want {
			t.Errorf("%v on %d servers, %v: %v", v.prot, v.servers, v.at, got)
		}
	}
}

// TestPlacingAnyOrder drives the machine with random failures in random order:
// a place is never used twice, the write ends, homes are preferred, and it ends
// with the quorum whenever enough good places were left.
func TestPlacingAnyOrder(t *testing.T) {
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		prot := []chunk.Protection{chunk.Replicas(3), chunk.EC(4, 2), chunk.EC(9, 3), chunk.Replicas(1)}[rnd.IntN(4)]
		l := newLayout(prot, places(3, 6)[:min(18, prot.Width()+HandoffPlacesMax)])
		good, works := make([]bool, len(l.places)), make([]bool, len(l.places))
		sound := 0
		for i := range good {
			good[i], works[i] = rnd.IntN(5) > 0, rnd.IntN(5) > 0
			if good[i] && works[i] {
				sound++
			}
		}
		p := newPlacing(l, good)
		used := map[int]bool{}
		type open struct {
			attempt
			late bool
		}
		var running []open
		start := func(as []attempt) {
			for _, a := range as {
				if used[a.place] {
					t.Fatalf("seed %d: place %d used twice", seed, a.place)
				}
				if a.place < l.homes() && a.place != a.frag {
					t.Fatalf("seed %d: fragment %d sent to the home of %d", seed, a.frag, a.place)
				}
				used[a.place] = true
				running = append(running, open{a, false})
			}
		}
		start(p.begin())
		for p.waiting() {
			i := rnd.IntN(len(running))
			r := &running[i]
			if !r.late && rnd.IntN(4) == 0 {
				r.late = true
				start(p.passed(r.attempt))
				continue
			}
			done := *r
			running = append(running[:i], running[i+1:]...)
			start(p.finished(done.attempt, works[done.place], done.late))
		}
		r := p.receipt()
		if got := len(p.durable()); got != r.Durable || r.Durable > r.Want {
			t.Fatalf("seed %d: receipt %+v, %d durable", seed, r, got)
		}
		// Hand-offs suffice for any home: with a place to spare for each fragment
		// on two servers the write must not fail.
		if sound == len(l.places) && !l.ackable(p.durable()) {
			t.Fatalf("seed %d: all places sound and no quorum: %+v", seed, r)
		}
		if len(running) == 0 && !l.ackable(p.durable()) && r.Durable < l.quorum {
			for i, f := range p.frags {
				if f.durable < 0 && len(p.next(nil, i, false)) > 0 {
					t.Fatalf("seed %d: gave up on fragment %d with good places left", seed, i)
				}
			}
		}
	}
}

// With a server down its fragments go to the others evenly.
func TestPlacingKeepsTheSpread(t *testing.T) {
	l := newLayout(chunk.EC(4, 2), places(4, 4)) // 2 a server at most
	good := make([]bool, len(l.places))
	for i, p := range l.places {
		good[i] = p.Server != "s1"
	}
	p := newPlacing(l, good)
	for _, a := range p.begin() {
		p.finished(a, true, false)
	}
	perServer := map[chunk.ServerID]int{}
	for _, at := range p.durable() {
		perServer[l.places[at].Server]++
	}
	if len(p.durable()) != 6 || perServer["s0"] != 2 || perServer["s2"] != 2 || perServer["s3"] != 2 {
		t.Errorf("fragments by server: %v", perServer)
	}
}

// see builds a census by hand. Entries: version of what a place answered, or
// one of the negative codes.
const (
	none   = -1 // NotFound
	silent = -2
	rotten = -3
	tomb   = 1000 // plus the version: a tombstone
)

func take(l layout, overwritten bool, at map[attempt]int) *census {
	c := &census{layout: l, overwritten: overwritten}
	for a, v := range at {
		s := sighting{frag: a.frag, place: a.place}
		switch {
		case v == none:
			s.err = errs.NotFound
		case v == silent:
			s.err = errs.Unavailable
		case v == rotten:
			s.err = errs.Corrupt
		case v >= tomb:
			s.info = chunk.Info{Version: chunk.Version(v - tomb), Deleted: true}
		default:
			s.info = chunk.Info{Version: chunk.Version(v), Attrs: chunk.Attrs{GroupSize: 100}}
		}
		c.add(s)
	}
	return c
}

// TestJudge is the rule of what a read may say, case by case. Homes only, in
// order; two outcomes: of a key written once, and of one that may be overwritten.
func TestJudge(t *testing.T) {
	const live, gone, absent, unavailable, corrupt = "live", "deleted", "not found", "unavailable", "corrupt"
	r3, ec := chunk.Replicas(3), chunk.EC(4, 2)
	for _, v := range []struct {
		prot chunk.Protection
		at   []int
		once string
		user string
		ver  chunk.Version
	}{
		{r3, []int{5, 5, 5}, live, live, 5},
		{r3, []int{none, none, none}, absent, absent, 0},
		{r3, []int{none, none, silent}, unavailable, absent, 0}, // one place cannot hide a quorum
		{r3, []int{none, silent, silent}, unavailable, unavailable, 0},
		{r3, []int{5, silent, silent}, live, unavailable, 5}, // a newer version may hide
		{r3, []int{5, silent, none}, live, live, 5},
		{r3, []int{4, 5, 4}, live, live, 5},
		{r3, []int{tomb + 6, 5, 5}, gone, gone, 6},
		{r3, []int{tomb + 5, 5, 5}, gone, gone, 5}, // delete wins over its own version
		{r3, []int{tomb + 4, 5, 5}, live, live, 5},
		{r3, []int{tomb + 6, silent, silent}, gone, unavailable, 6},
		{r3, []int{rotten, none, none}, corrupt, corrupt, 0},
		{r3, []int{rotten, none, silent}, unavailable, unavailable, 0},
		{r3, []int{rotten, 5, none}, live, live, 5},
		{ec, []int{5, 5, 5, 5, 5, 5}, live, live, 5},
		{ec, []int{5, 5, 5, 5, none, silent}, live, live, 5},
		{ec, []int{5, 5, 5, none, none, none}, unavailable, unavailable, 0}, // lost, and never called absent
		{ec, []int{5, none, none, none, none, none}, unavailable, unavailable, 0},
		{ec, []int{none, none, none, none, none, none}, absent, absent, 0},
		{ec, []int{none, none, none, none, none, silent}, unavailable, absent, 0},
		{ec, []int{none, silent, silent, silent, silent, silent}, unavailable, unavailable, 0},
		{ec, []int{6, 5, 5, 5, 5, 5}, unavailable, live, 5},                             // a failed overwrite
		{ec, []int{6, 6, 6, 5, 5, 5}, unavailable, unavailable, 0},                      // neither can be read
		{ec, []int{6, 5, 5, 5, 5, silent}, unavailable, live, 5},                        // 6 cannot have been acknowledged
		{ec, []int{6, 6, 6, 6, 6, 5}, live, live, 6},                                    // nor mixed
		{ec, []int{tomb + 7, 6, 6, 6, 6, 6}, gone, gone, 7},                             //
		{ec, []int{tomb + 5, tomb + 5, tomb + 5, tomb + 5, 6, 6}, unavailable, gone, 5}, // a failed put above a tombstone
	} {
		for _, overwritten := range []bool{false, true} {
			l := newLayout(v.prot, places(3, 2)[:v.prot.Width()])
			at := map[attempt]int{}
			for i, a := range v.at {
				at[attempt{i, i}] = a
			}
			got := take(l, overwritten, at).judge()
			want, said, ver := v.once, "", chunk.Version(0)
			if overwritten {
				want = v.user
			}
			switch {
			case got.live != nil:
				said, ver = live, got.live.version
			case got.deleted != nil:
				said, ver = gone, got.deleted.Version
			default:
				said = map[errs.Kind]string{errs.NotFound: absent, errs.Unavailable: unavailable, errs.Corrupt: corrupt}[errs.KindOf(got.err)]
			}
			if said != want || ver != v.ver && (want == live || want == gone) {
				t.Errorf("%v %v, overwritten %v: %s version %v (%v), want %s version %v", v.prot, v.at, overwritten, said, ver, got.err, want, v.ver)
			}
		}
	}
}
