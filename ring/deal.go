package ring

import (
	"math"
	"math/bits"
	"sort"
)

const (
	narrowMax  = 64   // kids that fit one bit mask
	blockLen   = 1024 // arcs whose shares are settled together by dealNarrow
	swapTries  = 32   // random cards looked at before dealWide gives up on an exact deal
	repairsMax = 64   // chains of exchanges tried in one block
)

// dealer fills the lists column by column. In each column it walks the tree from
// the root: at a vertex, the arcs that have come there are dealt to the kids in
// exact proportion to their shares, never to a kid that the arc has used in the
// current round. All arcs that reach a vertex in one column have made the same
// number of picks under it, so they are in the same round.
type dealer struct {
	t      *tree
	arcs   int
	lists  []uint16 // leaf numbers
	col    int
	chance chance

	choice  []uint16  // kid chosen, by place in the block or slice being dealt
	buckets [][]int32 // per depth: the arcs of a vertex, grouped by kid
	masks   []uint64
}

func newDealer(t *tree, arcs int) *dealer {
	d := &dealer{t: t, arcs: arcs, lists: make([]uint16, arcs*t.picks), chance: 1,
		choice: make([]uint16, arcs), masks: make([]uint64, blockLen)}
	for range len(t.kidAt) {
		d.buckets = append(d.buckets, make([]int32, arcs))
	}
	return d
}

func (d *dealer) deal() {
	all := make([]int32, d.arcs)
	for i := range all {
		all[i] = int32(i)
	}
	for d.col = range d.t.picks {
		d.visit(d.t.root, all, 0, d.col)
	}
}

// visit deals arcs, which have all made n picks under v, to v's kids. off is
// where arcs lie in the buckets of the level above.
func (d *dealer) visit(v *vertex, arcs []int32, off, n int) {
	if len(arcs) == 0 {
		return
	}
	if v.leaf() {
		for _, a := range arcs {
			d.lists[int(a)*d.t.picks+d.col] = uint16(v.lo)
		}
		return
	}
	k := v.round(n, d.t.picks)
	r := &v.rounds[k]
	choice := d.choice[off : off+len(arcs)]
	if len(v.kids) <= narrowMax {
		for i := 0; i < len(arcs); i += blockLen {
			j := min(i+blockLen, len(arcs))
			d.dealNarrow(v, r, arcs[i:j], choice[i:j], n-r.start)
		}
	} else {
		d.dealWide(v, r, arcs, choice, n-r.start)
	}
	ends := make([]int, len(v.kids)+1)
	for _, c := range choice {
		ends[c+1]++
	}
	for i := range v.kids {
		ends[i+1] += ends[i]
	}
	bucket := d.buckets[v.depth][off : off+len(arcs)]
	next := append([]int(nil), ends...)
	for i, c := range choice {
		bucket[next[c]] = arcs[i]
		next[c]++
	}
	for i, kid := range v.kids {
		d.visit(kid, bucket[ends[i]:ends[i+1]], off+ends[i], k)
	}
}

// quotas returns how many of n arcs each kid should take now so that it has had
// its share of all that were dealt at v up to and including them.
func (v *vertex) quotas(r *round, q, n int) []int {
	need := make([]float64, len(v.kids))
	var sum float64
	for _, i := range r.active {
		v.want[i] += float64(r.share[q][i] * float64(n))
		need[i] = max(0, v.want[i]-v.got[i])
		sum += need[i]
	}
	out := make([]int, len(v.kids))
	if sum == 0 {
		return out // forced picks only
	}
	left := n
	for _, i := range r.active {
		need[i] *= float64(n) / sum
		out[i] = int(math.Floor(need[i]))
		left -= out[i]
	}
	order := append([]int(nil), r.active...)
	sort.SliceStable(order, func(a, b int) bool {
		return need[order[a]]-float64(out[order[a]]) > need[order[b]]-float64(out[order[b]])
	})
	for i := 0; left > 0; i, left = (i+1)%len(order), left-1 {
		out[order[i]]++
	}
	return out
}

// used calls fn with each kid of v that the arc has used in the current round, of
// which q picks have been made: they are the arc's last q entries under v.
func (d *dealer) used(v *vertex, arc int32, q int, fn func(kid uint16)) {
	kidAt := d.t.kidAt[v.depth]
	list := d.lists[int(arc)*d.t.picks:][:d.col]
	for i := len(list) - 1; i >= 0 && q > 0; i-- {
		if leaf := int(list[i]); leaf >= v.lo && leaf < v.hi {
			fn(kidAt[leaf])
			q--
		}
	}
}

// dealNarrow picks at random in proportion to what is left of the quotas, then
// repairs what the last arcs could not honour.
func (d *dealer) dealNarrow(v *vertex, r *round, arcs []int32, choice []uint16, q int) {
	var all uint64
	for _, i := range r.active {
		all |= 1 << i
	}
	over := v.quotas(r, q, len(arcs))
	for i := range over {
		over[i] = -over[i]
	}
	masks := d.masks[:len(arcs)]
	for i, arc := range arcs {
		mask := all
		d.used(v, arc, q, func(kid uint16) { mask &^= 1 << kid })
		masks[i] = mask
		c := d.pick(mask, over)
		choice[i] = uint16(c)
		over[c]++
	}
	if q < len(r.active)-1 { // the last pick of a round is forced
		repair(masks, choice, over)
	}
	for _, c := range choice {
		v.got[c]++
	}
}

// pick draws a kid of mask with odds by what it is short of.
func (d *dealer) pick(mask uint64, over []int) int {
	short := 0
	for m := mask; m != 0; m &= m - 1 {
		short += max(0, -over[bits.TrailingZeros64(m)])
	}
	least := bits.TrailingZeros64(mask)
	if short == 0 {
		for m := mask; m != 0; m &= m - 1 {
			if i := bits.TrailingZeros64(m); over[i] < over[least] {
				least = i
			}
		}
		return least
	}
	at := d.chance.below(short)
	for m := mask; ; m &= m - 1 {
		i := bits.TrailingZeros64(m)
		if at -= max(0, -over[i]); at < 0 {
			return i
		}
	}
}

// repair moves arcs from kids that have too many to kids that have too few,
// along chains of exchanges through other kids where it must (augmenting paths).
func repair(masks []uint64, choice []uint16, over []int) {
	for range repairsMax {
		var from, to uint64
		for i, o := range over {
			if o > 0 {
				from |= 1 << i
			} else if o < 0 {
				to |= 1 << i
			}
		}
		if from == 0 || !exchange(masks, choice, over, from, to) {
			return
		}
	}
}

// exchange finds one chain from a kid of from to a kid of to, breadth first, and
// applies it. It reports whether there was one.
func exchange(masks []uint64, choice []uint16, over []int, from, to uint64) bool {
	var edges [narrowMax]uint64 // kid -> kids that one of its arcs could have instead
	for i, c := range choice {
		edges[c] |= masks[i]
	}
	var parent [narrowMax]int8
	queue := make([]int, 0, narrowMax)
	seen := from
	for m := from; m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m)
		parent[i] = -1
		queue = append(queue, i)
	}
	for len(queue) > 0 {
		x := queue[0]
		queue = queue[1:]
		for m := edges[x] &^ seen; m != 0; m &= m - 1 {
			z := bits.TrailingZeros64(m)
			parent[z] = int8(x)
			seen |= 1 << z
			if to&(1<<z) != 0 {
				shift(masks, choice, over, parent[:], z)
				return true
			}
			queue = append(queue, z)
		}
	}
	return false
}

// shift moves one arc along each step of the chain that ends in z.
func shift(masks []uint64, choice []uint16, over []int, parent []int8, z int) {
	over[z]++
	for parent[z] >= 0 {
		x := int(parent[z])
		for i, c := range choice {
			if int(c) == x && masks[i]&(1<<z) != 0 {
				choice[i] = uint16(z)
				break
			}
		}
		z = x
	}
	over[z]--
}

// dealWide shuffles a deck that holds each kid as often as its quota says. A card
// that the arc has used in this round is exchanged with one further down, or with
// one dealt already.
func (d *dealer) dealWide(v *vertex, r *round, arcs []int32, deck []uint16, q int) {
	n := 0
	for i, quota := range v.quotas(r, q, len(arcs)) {
		for range quota {
			deck[n] = uint16(i)
			n++
		}
	}
	for i := n - 1; i > 0; i-- {
		j := d.chance.below(i + 1)
		deck[i], deck[j] = deck[j], deck[i]
	}
	for i, arc := range arcs {
		if d.holds(v, arc, q, deck[i]) && !d.trade(v, arcs, deck, q, i) {
			for _, kid := range r.active { // inexact by one arc, but never a repetition
				if !d.holds(v, arc, q, uint16(kid)) {
					deck[i] = uint16(kid)
					break
				}
			}
		}
	}
	for _, c := range deck {
		v.got[c]++
	}
}

// trade exchanges card i, which its arc cannot take, for one that suits both.
func (d *dealer) trade(v *vertex, arcs []int32, deck []uint16, q, i int) bool {
	for range swapTries {
		j := d.chance.below(len(deck))
		if d.holds(v, arcs[i], q, deck[j]) || j < i && d.holds(v, arcs[j], q, deck[i]) {
			continue
		}
		deck[i], deck[j] = deck[j], deck[i]
		return true
	}
	return false
}

// holds reports whether the arc has used kid in the current round of v.
func (d *dealer) holds(v *vertex, arc int32, q int, kid uint16) bool {
	kidAt := d.t.kidAt[v.depth]
	list := d.lists[int(arc)*d.t.picks:][:d.col]
	for i := len(list) - 1; i >= 0 && q > 0; i-- {
		if leaf := int(list[i]); leaf >= v.lo && leaf < v.hi {
			if kidAt[leaf] == kid {
				return true
			}
			q--
		}
	}
	return false
}
