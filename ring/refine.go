package ring

import "math"

const (
	refinePasses  = 4       // sweeps over all arcs, at most
	refineFullMax = 1 << 15 // arcs up to which every pair of entries is looked at
	refineError   = 1.5     // arcs: a column's error that is worth a sweep
)

// refine evens the columns out. The last pick of a round is forced, so the dealer
// leaves the columns that hold it to chance; here two entries of a list change
// places where that brings both columns nearer to their targets. Only entries of
// the same round of the vertex where their paths part are exchanged: every
// prefix then spreads exactly as before, whole rounds hold the same nodes, and
// each domain's own order is unchanged but for the two.
func refine(t *tree, lists []uint16) {
	arcs := len(lists) / t.picks
	err := columnErrors(t, lists)
	for pass := range refinePasses {
		// The first sweep, and every sweep of a large map, starts only from entries
		// that their column has too many of: that is quick and mostly enough.
		surplus := 1.0
		if pass > 0 && arcs <= refineFullMax {
			surplus = 0
		}
		improved := 0
		for arc := range arcs {
			improved += refineList(t, lists[arc*t.picks:][:t.picks], err, surplus)
		}
		if worst(err) < refineError || pass > 0 && improved*1000 < arcs {
			return
		}
	}
}

// worst returns the greatest error of any node in any column.
func worst(err [][]float64) (w float64) {
	for _, col := range err {
		for _, e := range col {
			w = max(w, math.Abs(e))
		}
	}
	return w
}

// columnErrors returns [column][leaf]: arcs had less arcs wanted.
func columnErrors(t *tree, lists []uint16) [][]float64 {
	arcs := len(lists) / t.picks
	err := t.targets()
	for col, targets := range err {
		byLeaf := make([]float64, len(targets))
		for leaf, node := range t.node {
			byLeaf[leaf] = float64(-targets[node] * float64(arcs))
		}
		err[col] = byLeaf
	}
	for i, leaf := range lists {
		err[i%t.picks][leaf]++
	}
	return err
}

// refineList makes the exchanges within one list that lower the sum of squared
// errors (a gain over 2 does), starting from entries of which their column has at
// least surplus too many, and returns how many.
func refineList(t *tree, list []uint16, err [][]float64, surplus float64) (improved int) {
	for i := range list {
		for j := range list {
			a, b := list[i], list[j]
			if e := err[i][a]; e <= 0 || e < surplus {
				break
			}
			gain := err[i][a] - err[i][b] + err[j][b] - err[j][a]
			if i == j || gain <= 2 || !t.sameRound(list, i, j) {
				continue
			}
			list[i], list[j] = b, a
			err[i][a]--
			err[i][b]++
			err[j][b]--
			err[j][a]++
			improved++
		}
	}
	return improved
}

// sameRound reports whether entries i and j were dealt in the same round of the
// vertex where their paths part: then as many entries of the one's domain precede
// it as of the other's.
func (t *tree) sameRound(list []uint16, i, j int) bool {
	v := t.root
	for {
		x, y := t.kidAt[v.depth][list[i]], t.kidAt[v.depth][list[j]]
		if x != y {
			return rank(list, i, v.kids[x]) == rank(list, j, v.kids[y])
		}
		v = v.kids[x]
	}
}

// rank counts the entries before i that lie under v.
func rank(list []uint16, i int, v *vertex) (n int) {
	for _, leaf := range list[:i] {
		if int(leaf) >= v.lo && int(leaf) < v.hi {
			n++
		}
	}
	return n
}
