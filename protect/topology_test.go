package protect_test

import (
	"fmt"
	"testing"

	"torc/chunk"
	"torc/protect"
)

// cluster is a topology in memory: servers of nodes, each a Faulty over a Memory.
type cluster struct {
	t     testing.TB
	nodes []*node // in the order of every arc's list: servers alternate
}

type node struct {
	id     chunk.NodeID
	server chunk.ServerID
	up     bool
	mem    *chunk.Memory
	*chunk.Faulty
}

func newCluster(t testing.TB, servers, nodesEach int) *cluster {
	c := &cluster{t: t}
	for n := range nodesEach {
		for s := range servers {
			m := chunk.NewMemory()
			c.nodes = append(c.nodes, &node{
				id:     chunk.NodeID(fmt.Sprintf("s%dn%d", s+1, n+1)),
				server: chunk.ServerID(fmt.Sprintf("s%d", s+1)),
				up:     true, mem: m, Faulty: chunk.NewFaulty(m),
			})
		}
	}
	return c
}

// Places implements chunk.Topology: every key has the same list, so that tests
// can name homes by index.
func (c *cluster) Places(chunk.Key) []chunk.Place {
	out := make([]chunk.Place, len(c.nodes))
	for i, n := range c.nodes {
		out[i] = chunk.Place{Node: n.id, Server: n.server, Up: n.up, Store: n}
	}
	return out
}

// store returns a Store that is closed at the end of the test.
func (c *cluster) store(cfg protect.Config) *protect.Store {
	s := protect.New(c, cfg)
	c.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			c.t.Error(err)
		}
	})
	return s
}

// serverDown makes a whole server unreachable; known says whether the map knows.
func (c *cluster) serverDown(id chunk.ServerID, known bool) {
	for _, n := range c.nodes {
		if n.server == id {
			n.SetDown(true)
			n.up = !known
		}
	}
}

func (c *cluster) allUp() {
	for _, n := range c.nodes {
		n.Clear()
		n.up = true
	}
}
