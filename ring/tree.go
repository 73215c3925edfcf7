package ring

import (
	"cmp"
	"slices"
)

// A vertex is a failure domain of the planner's tree: the whole ring, a site, a
// zone, a server, or (a leaf) a storage node. Levels with a single member are
// left out. Leaves are numbered in depth-first order, so a vertex is an interval
// of leaf numbers: lo <= leaf < hi.
//
// The tree is dealt in rounds: within a round every kid is used once by every
// list, whatever its weight; a kid with fewer nodes than there are rounds drops
// out. That gives the prefix property; weight decides how early in the round a
// kid comes, and which kids a round that the list does not complete leaves out.
type vertex struct {
	lo, hi int
	depth  int
	weight float64
	kids   []*vertex

	rounds []round
	want   []float64 // per kid: arcs it should have had so far
	got    []float64 // per kid: arcs it has had
}

// round is one turn of a vertex through its kids.
type round struct {
	start  int         // picks under the vertex before this round
	active []int       // kids that take part
	share  [][]float64 // [pick in the round][kid]: the fraction of lists that pick it there
}

func (v *vertex) leaf() bool { return len(v.kids) == 0 }

// tree is the membership as the planner sees it.
type tree struct {
	root  *vertex
	node  []uint16   // leaf number -> node index
	kidAt [][]uint16 // [depth][leaf]: which kid of its vertex of that depth a leaf is under
	picks int        // length of the lists
}

// newTree builds the tree of members, which are sorted.
func newTree(m Members, picks int) *tree {
	t := &tree{picks: picks}
	servers := make(map[string]Server, len(m.Servers))
	for _, s := range m.Servers {
		servers[string(s.ID)] = s
	}
	order := make([]uint16, len(m.Nodes))
	for i := range order {
		order[i] = uint16(i)
	}
	path := func(n uint16) []string {
		s := servers[string(m.Nodes[n].Server)]
		return []string{string(s.Site), string(s.Zone), string(s.ID), string(m.Nodes[n].ID)}
	}
	slices.SortFunc(order, func(a, b uint16) int { return slices.CompareFunc(path(a), path(b), cmp.Compare[string]) })
	t.node = order
	paths := make([][]string, len(order))
	for i, n := range order {
		paths[i] = path(n)
	}
	t.root = t.build(m, paths, 0, len(order), 0, 0)
	return t
}

// build makes the vertex of leaves lo..hi, which share the first level names of
// their paths.
func (t *tree) build(m Members, paths [][]string, lo, hi, level, depth int) *vertex {
	for level < len(paths[lo]) && paths[lo][level] == paths[hi-1][level] {
		level++ // a single member: nothing to choose
	}
	v := &vertex{lo: lo, hi: hi, depth: depth}
	if hi-lo == 1 {
		v.weight = float64(m.Nodes[t.node[lo]].Weight)
		return v
	}
	for len(t.kidAt) <= depth {
		t.kidAt = append(t.kidAt, make([]uint16, len(t.node)))
	}
	for i := lo; i < hi; {
		j := i + 1
		for j < hi && paths[j][level] == paths[i][level] {
			j++
		}
		kid := t.build(m, paths, i, j, level+1, depth+1)
		for leaf := i; leaf < j; leaf++ {
			t.kidAt[depth][leaf] = uint16(len(v.kids))
		}
		v.kids = append(v.kids, kid)
		v.weight += kid.weight
		i = j
	}
	v.want, v.got = make([]float64, len(v.kids)), make([]float64, len(v.kids))
	return v
}

// round returns the number of the round that pick number n under v belongs to.
func (v *vertex) round(n, picks int) int {
	for {
		last := len(v.rounds) - 1
		if last >= 0 && n < v.rounds[last].start+len(v.rounds[last].active) {
			break
		}
		v.addRound(picks)
	}
	r := len(v.rounds) - 1
	for v.rounds[r].start > n {
		r--
	}
	return r
}

func (v *vertex) addRound(picks int) {
	var r round
	if k := len(v.rounds); k > 0 {
		r.start = v.rounds[k-1].start + len(v.rounds[k-1].active)
	}
	for i, kid := range v.kids {
		if kid.hi-kid.lo > len(v.rounds) {
			r.active = append(r.active, i)
		}
	}
	before := make([]float64, len(v.kids))
	for q := 1; q <= min(len(r.active), picks-r.start); q++ {
		after := v.included(r.active, q)
		share := make([]float64, len(v.kids))
		for _, i := range r.active {
			share[i] = max(0, after[i]-before[i])
		}
		r.share, before = append(r.share, share), after
	}
	v.rounds = append(v.rounds, r)
}

// included returns, for each kid, the fraction of lists that hold it after q
// picks of a round: in proportion to weight, but never more than one.
func (v *vertex) included(active []int, q int) []float64 {
	x := make([]float64, len(v.kids))
	capped := make([]bool, len(v.kids))
	for rest := float64(q); ; {
		var sum float64
		for _, i := range active {
			if !capped[i] {
				sum += v.kids[i].weight
			}
		}
		more := false
		for _, i := range active {
			if capped[i] {
				continue
			}
			if x[i] = v.kids[i].weight * rest / sum; x[i] >= 1 {
				x[i], capped[i], more = 1, true, true
			}
		}
		if !more {
			return x
		}
		rest = float64(q)
		for _, c := range capped {
			if c {
				rest--
			}
		}
	}
}

// targets returns [column][node index] the fraction of arcs that each node should
// have in each column: proportional to capacity as far as the rounds allow.
func (t *tree) targets() [][]float64 {
	out := make([][]float64, t.picks)
	for col := range out {
		out[col] = make([]float64, len(t.node))
		t.target(out[col], t.root, col, 1)
	}
	return out
}

func (t *tree) target(out []float64, v *vertex, n int, mass float64) {
	if v.leaf() {
		out[t.node[v.lo]] = mass
		return
	}
	k := v.round(n, t.picks)
	r := &v.rounds[k]
	for _, i := range r.active {
		if s := r.share[n-r.start][i]; s > 0 {
			t.target(out, v.kids[i], k, mass*s)
		}
	}
}
