package protect

import (
	"torc/chunk"
)

// fragmentAlign rounds the length of coded fragments up, in bytes: what
// Reed-Solomon's vector code likes, and one rule for every size.
const fragmentAlign = 64

// fragmentLen is the length of every fragment of a value of size bytes coded
// over k: ceil(size/k) rounded up to fragmentAlign. Data fragment i is bytes
// [i*len, (i+1)*len) of the value, filled up with zeros.
func fragmentLen(size int64, k int) int64 {
	per := (size + int64(k) - 1) / int64(k)
	return (per + fragmentAlign - 1) / fragmentAlign * fragmentAlign
}

// layout holds what is fixed about a group under one map: pure, and the only
// place that knows when a write may be acknowledged.
type layout struct {
	places    []chunk.Place
	prot      chunk.Protection
	quorum    int   // fragments that must be durable before an ack
	servers   int   // distinct servers among places
	server    []int // by place: which of them, from 0
	perServer int   // fragments a server holds at most while others have room
}

func newLayout(prot chunk.Protection, places []chunk.Place) layout {
	l := layout{places: places, prot: prot, quorum: writeQuorum(prot)}
	l.server = make([]int, len(places))
	for i, p := range places {
		l.server[i] = l.servers
		for j := range i { // a few places: cheaper than a map
			if places[j].Server == p.Server {
				l.server[i] = l.server[j]
				break
			}
		}
		if l.server[i] == l.servers {
			l.servers++
		}
	}
	if l.servers > 0 {
		l.perServer = (prot.Width() + l.servers - 1) / l.servers
	}
	return l
}

// writeQuorum is k+1 fragments, or a majority of copies.
func writeQuorum(p chunk.Protection) int {
	if p.Coded() {
		return int(p.K) + 1
	}
	return int(p.Copies)/2 + 1
}

// homes returns how many fragments have a home.
func (l layout) homes() int { return min(l.prot.Width(), len(l.places)) }

// ackable reports whether a value whose fragments are durable on exactly these
// places (distinct, by index) is never too little to acknowledge: a quorum, and
// where the map has more than one server and the policy more than one fragment,
// never all of it on one server. Usually more is asked for (placing.enough).
// Read the other way round: an acknowledged value cannot hide in a set of places
// that is not ackable.
func (l layout) ackable(places []int) bool {
	if len(places) < l.quorum {
		return false
	}
	if l.servers < 2 || l.quorum < 2 {
		return true
	}
	for _, p := range places[1:] {
		if l.server[p] != l.server[places[0]] {
			return true
		}
	}
	return false
}

// onServer is what one server has of a write.
type onServer struct {
	held int // fragments durable there and nowhere else
	room int // more fragments that it may be expected to take
}

// survivesServer reports whether a value can be read after the loss of any one
// server. twice counts the fragments that are durable on several servers.
func (l layout) survivesServer(twice int, on []onServer) bool {
	sum, most := twice, 0
	for _, s := range on {
		sum, most = sum+s.held, max(most, s.held)
	}
	return sum-most >= l.prot.Need()
}

// canSurviveServer reports whether the rest of the fragments can be spread so
// that the value survives the loss of any one server: whether there is a share
// that no server exceeds, and that leaves enough when a full server is lost.
func (l layout) canSurviveServer(twice int, on []onServer) bool {
	least := 0
	for _, s := range on {
		least = max(least, s.held)
	}
	for share := least; share <= l.prot.Width(); share++ {
		sum := twice
		for _, s := range on {
			sum += min(share, s.held+s.room)
		}
		if min(sum, l.prot.Width())-share >= l.prot.Need() {
			return true
		}
	}
	return false
}
