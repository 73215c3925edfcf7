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
// places (distinct, by index) may be acknowledged: a quorum, and where the map
// has more than one server and the policy more than one fragment, never all of
// it on one server. Read the other way round: an acknowledged value cannot hide
// in a set of places that is not ackable.
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

// survivesServer reports whether a value durable on places can still be read
// after the loss of any one server.
func (l layout) survivesServer(places []int) bool {
	perServer := make([]int, l.servers)
	for _, p := range places {
		perServer[l.server[p]]++
	}
	for _, n := range perServer {
		if len(places)-n < l.prot.Need() {
			return false
		}
	}
	return true
}
