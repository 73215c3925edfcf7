package protect_test

import (
	"testing"

	"torc/chunk"
	"torc/chunk/chunktest"
	"torc/protect"
)

func TestConformance(t *testing.T) {
	all := []chunk.Protection{chunk.Replicas(1), chunk.Replicas(2), chunk.Replicas(3), chunk.EC(4, 2)}
	for _, c := range []struct {
		name           string
		servers, nodes int
		prots          []chunk.Protection
	}{
		{"3 servers of 6", 3, 6, all},
		{"1 server of 1", 1, 1, []chunk.Protection{chunk.Replicas(1)}},
		{"1 server of 6", 1, 6, all},
		{"13 servers of 1", 13, 1, []chunk.Protection{chunk.EC(9, 3), chunk.EC(7, 5), chunk.EC(1, 1)}},
	} {
		for name, overwritten := range map[string]bool{"overwritten": true, "written once": false} {
			t.Run(c.name+", "+name, func(t *testing.T) {
				chunktest.RunStore(t, func(t *testing.T) chunk.Store {
					return newCluster(t, c.servers, c.nodes).store(protect.Config{
						Overwritten: func(chunk.Key) bool { return overwritten },
					})
				}, c.prots...)
			})
		}
	}
}
