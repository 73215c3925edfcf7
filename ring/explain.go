package ring

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"torc/chunk"
)

// Explanation says what a map is worth: what a protection survives on it and how
// even it is. Everything in it is counted from the map.
type Explanation struct {
	m       *Map
	targets [][]float64 // [column][node]: the share the planner aims at
}

// Explain counts what m is worth.
func Explain(m *Map) Explanation {
	return Explanation{m: m, targets: newTree(m.members.sorted(), m.listLen).targets()}
}

// Tolerance is how many units of each level can be lost at once, whichever they
// are, without losing data that was whole.
type Tolerance struct {
	Fits                         bool // every list is as long as the protection is wide
	Sites, Zones, Servers, Nodes int
}

// Tolerates counts, over all arcs, what p survives.
func (e Explanation) Tolerates(p chunk.Protection) Tolerance {
	width, spare := p.Width(), p.Width()-p.Need()
	if p.Validate() != nil || width > e.m.listLen {
		return Tolerance{}
	}
	domain := e.domains()
	t := Tolerance{true, math.MaxInt, math.MaxInt, math.MaxInt, spare}
	level := []*int{&t.Sites, &t.Zones, &t.Servers}
	count := make(map[int]int, width)
	for arc := range e.m.Arcs() {
		for l, least := range level {
			clear(count)
			for _, n := range e.m.List(arc)[:width] {
				count[domain[n][l]]++
			}
			*least = min(*least, losable(count, spare))
		}
	}
	return t
}

// losable returns how many of the fullest domains can go while at most spare
// fragments go with them.
func losable(count map[int]int, spare int) (n int) {
	sizes := make([]int, 0, len(count))
	for _, c := range count {
		sizes = append(sizes, c)
	}
	slices.Sort(sizes)
	slices.Reverse(sizes)
	for _, c := range sizes {
		if spare -= c; spare < 0 {
			return n
		}
		n++
	}
	return n
}

// domains numbers each node's site, zone and server.
func (e Explanation) domains() [][3]int {
	ids := map[[2]string]int{}
	id := func(a, b string) int {
		k := [2]string{a, b}
		if _, ok := ids[k]; !ok {
			ids[k] = len(ids)
		}
		return ids[k]
	}
	out := make([][3]int, len(e.m.members.Nodes))
	for i := range out {
		s := e.m.serverOf(uint16(i))
		out[i] = [3]int{id("site", string(s.Site)), id("zone "+string(s.Site), string(s.Zone)), id("server", string(s.ID))}
	}
	return out
}

// Survives says in words what p survives on this map: "1 server, or any 2 disks".
// A storage node counts as one disk: it never holds two parts of one value.
func (e Explanation) Survives(p chunk.Protection) string {
	if err := p.Validate(); err != nil {
		return "nothing: " + err.Error()
	}
	t := e.Tolerates(p)
	if !t.Fits {
		return fmt.Sprintf("nothing: %s needs %d storage nodes, there are %d", p, p.Width(), e.m.listLen)
	}
	var parts []string
	for _, l := range []struct {
		n    int
		noun string
	}{{t.Sites, "site"}, {t.Zones, "zone"}, {t.Servers, "server"}} {
		if l.n > 0 {
			parts = append(parts, plural(l.n, l.noun))
		}
	}
	if t.Nodes == 0 {
		return "nothing"
	}
	disks := plural(t.Nodes, "disk")
	if t.Nodes > 1 {
		disks = "any " + disks
	}
	return strings.Join(append(parts, disks), ", or ")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Balance is how even a map is, in fractions: 0.05 is five per cent.
type Balance struct {
	// Column is the worst deviation of any node in any single column from the
	// share the planner aims at; Prefix the worst over all prefixes.
	Column, Prefix float64
	// Arc is the weight of one arc for the node with the smallest share: no
	// column can be more exact than that.
	Arc float64
	// Usable is how much of the raw capacity values of the given width can fill
	// before the first node is full: 1 when all are in proportion.
	Usable []float64 // by width-1
}

// Balance measures the map.
func (e Explanation) Balance() Balance {
	arcs, nodes := float64(e.m.Arcs()), e.m.members.Nodes
	var total float64
	for _, n := range nodes {
		total += float64(n.Weight)
	}
	got, want := make([]float64, len(nodes)), make([]float64, len(nodes))
	var b Balance
	for col, target := range e.targets {
		count := make([]float64, len(nodes))
		for arc := range e.m.Arcs() {
			count[e.m.List(arc)[col]]++
		}
		usable := math.Inf(1)
		for i, n := range nodes {
			got[i] += count[i]
			want[i] += target[i] * arcs
			if w := target[i] * arcs; w >= 1 {
				b.Column, b.Arc = max(b.Column, math.Abs(count[i]-w)/w), max(b.Arc, 1/w)
			}
			if want[i] >= 1 {
				b.Prefix = max(b.Prefix, math.Abs(got[i]-want[i])/want[i])
			}
			if got[i] > 0 {
				usable = min(usable, float64(n.Weight)/total/(got[i]/arcs/float64(col+1)))
			}
		}
		b.Usable = append(b.Usable, usable)
	}
	return b
}

// String describes the map in a few lines.
func (e Explanation) String() string {
	b := e.Balance()
	return fmt.Sprintf("epoch %d: %d storage nodes on %d servers, %d arcs with lists of %d, %d bytes encoded\n"+
		"balance: worst column %.2f %%, worst prefix %.2f %% off its share; one arc is up to %.2f %%\n",
		e.m.epoch, len(e.m.members.Nodes), len(e.m.members.Servers), e.m.Arcs(), e.m.listLen, e.m.encodedLen(),
		100*b.Column, 100*b.Prefix, 100*b.Arc)
}
