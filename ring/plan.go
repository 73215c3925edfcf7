package ring

import (
	"math/bits"

	"torc/chunk"
)

// ArcsPerNode is how many arcs a column of the map has for each node, at least,
// until BitsMax is reached: enough for shares exact to about 1 %.
const ArcsPerNode = 64

// Move says that an entry of an arc's list changes hands.
type Move struct {
	Arc      int
	Index    int // position in the list
	From, To chunk.NodeID
}

// PlanInitial makes the first map of a membership: epoch 1. It is a pure
// function of the set of members; their order does not matter. What is done with
// the map (store it once in meta) decides races: the first one stored is the map.
func PlanInitial(m Members) (*Map, Explanation, error) {
	if err := m.Validate(); err != nil {
		return nil, Explanation{}, err
	}
	m = m.sorted()
	listLen := min(len(m.Nodes), ListLenMax)
	p := BitsFor(len(m.Nodes))
	d := newDealer(newTree(m, listLen), 1<<p)
	d.deal()
	refine(d.t, d.lists)
	for i, leaf := range d.lists {
		d.lists[i] = d.t.node[leaf]
	}
	out, err := newMap(1, uint8(p), listLen, m, d.lists)
	if err != nil {
		return nil, Explanation{}, err
	}
	return out, Explain(out), nil
}

// BitsFor returns p for a first map of that many nodes.
func BitsFor(nodes int) int {
	return min(max(bits.Len(uint(nodes*ArcsPerNode-1)), BitsMin), BitsMax)
}

// Diff lists the entries in which two maps differ, arc by arc. A map with more
// arcs than the other is compared through the arcs that contain its own: cutting
// every arc in two moves nothing. Entries that the shorter list lacks have an
// empty From or To.
func Diff(old, new *Map) []Move {
	var moves []Move
	p := max(old.bits, new.bits)
	for arc := range 1 << p {
		a, b := old.List(arc>>(p-old.bits)), new.List(arc>>(p-new.bits))
		for i := range max(len(a), len(b)) {
			mv := Move{Arc: arc, Index: i}
			if i < len(a) {
				mv.From = old.members.Nodes[a[i]].ID
			}
			if i < len(b) {
				mv.To = new.members.Nodes[b[i]].ID
			}
			if mv.From != mv.To {
				moves = append(moves, mv)
			}
		}
	}
	return moves
}

// chance is SplitMix64 (Steele, Lea, Flood, 2014): a fixed, tiny generator, so
// that plans do not depend on a library's choice.
type chance uint64

func (c *chance) next() uint64 {
	*c += 0x9e3779b97f4a7c15
	z := uint64(*c)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number in [0, n).
func (c *chance) below(n int) int {
	hi, _ := bits.Mul64(c.next(), uint64(n))
	return int(hi)
}
