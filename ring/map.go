package ring

import (
	"torc/chunk"
	"torc/internal/errs"
)

// Limits of a Map. ListLenMax leaves at least four hand-off places beside the
// widest policy (20+8); ADR 0004 has the sizes that follow.
const (
	ListLenMax = 32 // nodes in an arc's list
	BitsMin    = 8  // 256 arcs
	BitsMax    = 20 // 1,048,576 arcs
)

// Map is one version of the ring map. It is immutable and safe for concurrent use.
type Map struct {
	epoch   chunk.Epoch
	bits    uint8
	listLen int
	members Members // sorted by id
	lists   []uint16
	// Derived.
	servers map[chunk.ServerID]int
	nodes   map[chunk.NodeID]int
	server  []int // node index -> server index
}

// newMap builds the derived parts and checks every invariant that a reader of a
// map relies on: bounds, distinct nodes within a list.
func newMap(epoch chunk.Epoch, bits uint8, listLen int, members Members, lists []uint16) (*Map, error) {
	const op = "ring.Map"
	if err := members.Validate(); err != nil {
		return nil, err
	}
	if epoch == 0 {
		return nil, errs.E(op, errs.Invalid, "epoch 0")
	}
	if bits < BitsMin || bits > BitsMax {
		return nil, errs.E(op, errs.Invalid, "%d bits, want %d-%d", bits, BitsMin, BitsMax)
	}
	if listLen < 1 || listLen > min(ListLenMax, len(members.Nodes)) || len(lists) != listLen<<bits {
		return nil, errs.E(op, errs.Invalid, "lists of %d nodes, %d entries, for %d nodes and %d bits", listLen, len(lists), len(members.Nodes), bits)
	}
	m := &Map{epoch: epoch, bits: bits, listLen: listLen, members: members, lists: lists,
		servers: make(map[chunk.ServerID]int, len(members.Servers)),
		nodes:   make(map[chunk.NodeID]int, len(members.Nodes)),
		server:  make([]int, len(members.Nodes))}
	for i, s := range members.Servers {
		m.servers[s.ID] = i
	}
	for i, n := range members.Nodes {
		m.nodes[n.ID] = i
		m.server[i] = m.servers[n.Server]
	}
	seen := make([]int, len(members.Nodes)) // last arc+1 that named the node
	for i, n := range lists {
		arc := i/listLen + 1
		if int(n) >= len(seen) || seen[n] == arc {
			return nil, errs.E(op, errs.Invalid, "arc %d names node index %d twice, or of %d", arc-1, n, len(seen))
		}
		seen[n] = arc
	}
	return m, nil
}

// Epoch returns the map's version; the first map has epoch 1.
func (m *Map) Epoch() chunk.Epoch { return m.epoch }

// Bits returns p: the keyspace is cut into 2^p arcs.
func (m *Map) Bits() int { return int(m.bits) }

// Arcs returns the number of arcs.
func (m *Map) Arcs() int { return 1 << m.bits }

// ListLen returns the length of every arc's list.
func (m *Map) ListLen() int { return m.listLen }

// Servers returns the servers in order of id. Read-only.
func (m *Map) Servers() []Server { return m.members.Servers }

// Nodes returns the storage nodes in order of id. Lists index it. Read-only.
func (m *Map) Nodes() []Node { return m.members.Nodes }

// Server returns a member by id.
func (m *Map) Server(id chunk.ServerID) (Server, bool) {
	i, ok := m.servers[id]
	if !ok {
		return Server{}, false
	}
	return m.members.Servers[i], true
}

// Node returns a member by id.
func (m *Map) Node(id chunk.NodeID) (Node, bool) {
	i, ok := m.nodes[id]
	if !ok {
		return Node{}, false
	}
	return m.members.Nodes[i], true
}

// Arc returns the number of the arc that k lies in.
func (m *Map) Arc(k chunk.Key) int { return int(k.Position() >> (64 - m.bits)) }

// List returns an arc's node indexes, best first. Read-only.
func (m *Map) List(arc int) []uint16 {
	return m.lists[arc*m.listLen : (arc+1)*m.listLen : (arc+1)*m.listLen]
}

// Lookup returns the list of k's arc. Read-only, O(1).
func (m *Map) Lookup(k chunk.Key) []uint16 { return m.List(m.Arc(k)) }

// Owns reports whether the node is in the list of k's arc.
func (m *Map) Owns(node chunk.NodeID, k chunk.Key) bool {
	i, ok := m.nodes[node]
	if !ok {
		return false
	}
	for _, n := range m.Lookup(k) {
		if int(n) == i {
			return true
		}
	}
	return false
}

// serverOf returns the server of a node index.
func (m *Map) serverOf(node uint16) *Server { return &m.members.Servers[m.server[node]] }
