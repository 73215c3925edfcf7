package ring

import (
	"cmp"
	"math"
	"net"
	"slices"

	"torc/chunk"
	"torc/internal/errs"
)

// Limits of a membership, enforced with errs.TooLarge.
const (
	ServersMax = 8192
	NodesMax   = 49152
	NameLenMax = 64  // bytes of a site, zone, server or node name
	AddrLenMax = 255 // bytes of a server's address
)

// Site names a place that can be lost as a whole; Zone a failure domain within
// one (a rack, a room, a power feed). A zone's name is unique within its site.
type (
	Site string
	Zone string
)

// Server is a machine of the ring.
type Server struct {
	ID   chunk.ServerID
	Site Site // may be empty: one nameless site
	Zone Zone // may be empty: one nameless zone
	Addr string
}

// Node is a storage node: the owner of one or more disks of one server.
type Node struct {
	ID     chunk.NodeID
	Server chunk.ServerID
	Weight uint64 // bytes of capacity; at least 1
}

// Members is who forms the ring.
type Members struct {
	Servers []Server
	Nodes   []Node
}

// Validate checks names, addresses, weights, uniqueness and limits. A server
// without nodes is fine (a pure connector), a ring without nodes is not.
func (m Members) Validate() error {
	const op = "ring.Members"
	if len(m.Servers) > ServersMax || len(m.Nodes) > NodesMax {
		return errs.E(op, errs.TooLarge, "%d servers and %d nodes, at most %d and %d", len(m.Servers), len(m.Nodes), ServersMax, NodesMax)
	}
	if len(m.Nodes) == 0 {
		return errs.E(op, errs.Invalid, "no storage node")
	}
	servers := make(map[chunk.ServerID]bool, len(m.Servers))
	for _, s := range m.Servers {
		if err := s.validate(); err != nil {
			return err
		}
		if servers[s.ID] {
			return errs.E(op, errs.Invalid, "server %q is listed twice", s.ID)
		}
		servers[s.ID] = true
	}
	nodes := make(map[chunk.NodeID]bool, len(m.Nodes))
	var total uint64
	for _, n := range m.Nodes {
		switch {
		case !validName(string(n.ID)):
			return errs.E(op, errs.Invalid, "node name %q: want 1-%d printable ASCII characters", n.ID, NameLenMax)
		case nodes[n.ID]:
			return errs.E(op, errs.Invalid, "node %q is listed twice", n.ID)
		case !servers[n.Server]:
			return errs.E(op, errs.Invalid, "node %q is on server %q, which is not a member", n.ID, n.Server)
		case n.Weight == 0:
			return errs.E(op, errs.Invalid, "node %q has no capacity", n.ID)
		case n.Weight > math.MaxInt64-total:
			return errs.E(op, errs.TooLarge, "the nodes' capacities add up to more than %d bytes", math.MaxInt64)
		}
		nodes[n.ID] = true
		total += n.Weight
	}
	return nil
}

func (s Server) validate() error {
	const op = "ring.Members"
	if !validName(string(s.ID)) {
		return errs.E(op, errs.Invalid, "server name %q: want 1-%d printable ASCII characters", s.ID, NameLenMax)
	}
	if s.Site != "" && !validName(string(s.Site)) || s.Zone != "" && !validName(string(s.Zone)) {
		return errs.E(op, errs.Invalid, "server %q: site %q or zone %q is not 1-%d printable ASCII characters", s.ID, s.Site, s.Zone, NameLenMax)
	}
	if len(s.Addr) > AddrLenMax {
		return errs.E(op, errs.TooLarge, "server %q: address of %d bytes, at most %d", s.ID, len(s.Addr), AddrLenMax)
	}
	if _, _, err := net.SplitHostPort(s.Addr); err != nil {
		return errs.E(op, errs.Invalid, "server %q: address %q: %w", s.ID, s.Addr, err)
	}
	return nil
}

// validName accepts printable ASCII without spaces.
func validName(s string) bool {
	if s == "" || len(s) > NameLenMax {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// sorted returns a deep copy in order of id, so that a plan does not depend on
// the order in which members were named.
func (m Members) sorted() Members {
	out := Members{Servers: slices.Clone(m.Servers), Nodes: slices.Clone(m.Nodes)}
	slices.SortFunc(out.Servers, func(a, b Server) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(out.Nodes, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	return out
}
