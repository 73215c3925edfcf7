package ring

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"torc/chunk"
)

// shape describes a test membership: sites of zones of servers of nodes.
func grid(sites, zones, servers, nodes int) Members {
	var m Members
	for s := range sites * zones * servers {
		id := chunk.ServerID(fmt.Sprintf("s%d", s+1))
		m.Servers = append(m.Servers, Server{id, Site(fmt.Sprintf("site%d", s%sites)),
			Zone(fmt.Sprintf("z%d", s/sites%zones)), fmt.Sprintf("127.0.0.1:%d", 7000+s)})
		for n := range nodes {
			m.Nodes = append(m.Nodes, Node{chunk.NodeID(fmt.Sprintf("%sn%d", id, n+1)), id, 8 << 40})
		}
	}
	return m
}

// randomMembers makes an irregular membership: odd server and node counts, odd weights.
func randomMembers(r *rand.Rand) Members {
	var m Members
	sites, zones := 1+r.IntN(3), 1+r.IntN(4)
	for s := range 1 + r.IntN(24) {
		id := chunk.ServerID(fmt.Sprintf("s%d", s+1))
		m.Servers = append(m.Servers, Server{id, Site(fmt.Sprintf("site%d", r.IntN(sites))),
			Zone(fmt.Sprintf("z%d", r.IntN(zones))), fmt.Sprintf("127.0.0.1:%d", 7000+s)})
		for n := range 1 + r.IntN(8) {
			m.Nodes = append(m.Nodes, Node{chunk.NodeID(fmt.Sprintf("%sn%d", id, n+1)), id, uint64(1+r.IntN(4)) << 40})
		}
	}
	return m
}

func mustPlan(t testing.TB, m Members) (*Map, Explanation) {
	t.Helper()
	out, e, err := PlanInitial(m)
	if err != nil {
		t.Fatal(err)
	}
	return out, e
}

// checkPrefix is the prefix property, spelled out and slow: walking the tree of
// names, every domain's picks are spread over its own members as evenly as the
// numbers of nodes they have allow.
func checkPrefix(t *testing.T, m *Map) {
	t.Helper()
	size := map[string]int{}
	kids := map[string]map[string]bool{}
	path := func(n uint16) []string {
		s := m.serverOf(n)
		a := "/" + string(s.Site)
		b := a + "/" + string(s.Zone)
		c := b + "/" + string(s.ID)
		return []string{"", a, b, c, c + "/" + string(m.Nodes()[n].ID)}
	}
	for n := range m.Nodes() {
		p := path(uint16(n))
		for i, d := range p {
			size[d]++
			if i > 0 {
				if kids[p[i-1]] == nil {
					kids[p[i-1]] = map[string]bool{}
				}
				kids[p[i-1]][d] = true
			}
		}
	}
	for arc := 0; arc < m.Arcs(); arc += 5 {
		count := map[string]int{}
		for n, node := range m.List(arc) {
			p := path(node)
			for i, d := range p {
				count[d]++
				if i == 0 {
					continue
				}
				for other := range kids[p[i-1]] {
					// d may be ahead of another member by one pick at most, unless
					// that one has no node left.
					if count[d] > count[other]+1 && count[other] < size[other] {
						t.Fatalf("arc %d, first %d nodes: %q holds %d and %q %d", arc, n+1, d, count[d], other, count[other])
					}
				}
			}
		}
	}
}

func TestPrefixProperty(t *testing.T) {
	for _, m := range []Members{grid(1, 1, 3, 6), grid(1, 3, 1, 6), grid(2, 2, 2, 3), grid(1, 1, 1, 1), grid(3, 1, 5, 2)} {
		out, _ := mustPlan(t, m)
		checkPrefix(t, out)
	}
	for seed := range uint64(12) {
		out, _ := mustPlan(t, randomMembers(rand.New(rand.NewPCG(seed, 1))))
		checkPrefix(t, out)
	}
}

// TestServerAndZoneShare states the property in the words of the design, where
// the numbers divide: at most ceil(n/servers) on a server, ceil(n/zones) in a zone.
func TestServerAndZoneShare(t *testing.T) {
	m, _ := mustPlan(t, grid(1, 3, 2, 6))
	for arc := range m.Arcs() {
		servers, zones := map[chunk.ServerID]int{}, map[Zone]int{}
		for i, n := range m.List(arc) {
			s := m.serverOf(n)
			servers[s.ID]++
			zones[s.Zone]++
			if c := servers[s.ID]; c > (i+6)/6 {
				t.Fatalf("arc %d: server %s holds %d of the first %d", arc, s.ID, c, i+1)
			}
			if c := zones[s.Zone]; c > (i+3)/3 {
				t.Fatalf("arc %d: zone %s holds %d of the first %d", arc, s.Zone, c, i+1)
			}
		}
	}
}

func TestBalance(t *testing.T) {
	cases := map[string]Members{
		"3x6": grid(1, 1, 3, 6), "4x6": grid(1, 1, 4, 6), "5x6": grid(1, 1, 5, 6), "7x5": grid(1, 1, 7, 5),
		"2 sites": grid(2, 1, 3, 6), "3 zones": grid(1, 3, 3, 6), "2 sites 2 zones": grid(2, 2, 2, 4),
		"20x6": grid(1, 1, 20, 6), "40x3": grid(1, 4, 10, 3), "100x2": grid(1, 1, 100, 2), "1x6": grid(1, 1, 1, 6),
	}
	for name, members := range cases {
		_, e := mustPlan(t, members)
		b := e.Balance()
		t.Logf("%s: %s usable %.3f", name, e, b.Usable)
		if b.Column > 0.05 || b.Prefix > 0.05 {
			t.Errorf("%s: worst column %.3f, worst prefix %.3f", name, b.Column, b.Prefix)
		}
		for n, u := range b.Usable {
			if u < 0.95 { // equal weights: the targets are the capacity shares themselves
				t.Errorf("%s: values of width %d can use only %.3f of the capacity", name, n+1, u)
			}
		}
	}
}

func TestBalanceOddWeights(t *testing.T) {
	for seed := range uint64(10) {
		members := randomMembers(rand.New(rand.NewPCG(seed, 2)))
		_, e := mustPlan(t, members)
		// Where odd weights meet the prefix property, a light node may be off by
		// more than 5 % of its own small share, not of an average one.
		mean := float64(e.m.Arcs()) / float64(len(members.Nodes))
		for col, target := range e.targets {
			count := make([]float64, len(target))
			for arc := range e.m.Arcs() {
				count[e.m.List(arc)[col]]++
			}
			for n, share := range target {
				want := share * float64(e.m.Arcs())
				if off := math.Abs(count[n] - want); off > max(0.05*want, 0.1*mean) {
					t.Errorf("seed %d, %d nodes: column %d gives %s %.0f arcs, want %.1f", seed, len(target), col, e.m.Nodes()[n].ID, count[n], want)
				}
			}
		}
	}
}

func TestPlanIsAFunctionOfTheSet(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	members := randomMembers(r)
	a, _ := mustPlan(t, members)
	r.Shuffle(len(members.Nodes), func(i, j int) { members.Nodes[i], members.Nodes[j] = members.Nodes[j], members.Nodes[i] })
	r.Shuffle(len(members.Servers), func(i, j int) {
		members.Servers[i], members.Servers[j] = members.Servers[j], members.Servers[i]
	})
	b, _ := mustPlan(t, members)
	if !reflect.DeepEqual(a.Encode(), b.Encode()) {
		t.Fatal("the order of the members changed the map")
	}
	if d := Diff(a, b); len(d) != 0 {
		t.Fatalf("equal maps differ in %d entries", len(d))
	}
	members.Nodes[0].ID += "x"
	c, _ := mustPlan(t, members)
	if d := Diff(a, c); len(d) == 0 {
		t.Fatal("maps of different nodes do not differ")
	}
}

func TestSurvives(t *testing.T) {
	cases := []struct {
		m    Members
		p    chunk.Protection
		want string
	}{
		{grid(1, 1, 3, 6), chunk.EC(4, 2), "1 server, or any 2 disks"},
		{grid(1, 1, 3, 6), chunk.Replicas(3), "2 servers, or any 2 disks"},
		{grid(1, 1, 6, 6), chunk.EC(4, 2), "2 servers, or any 2 disks"},
		{grid(1, 1, 3, 6), chunk.EC(8, 1), "1 disk"},
		{grid(1, 1, 3, 1), chunk.EC(4, 2), "nothing: 4+2 needs 6 storage nodes, there are 3"},
		{grid(1, 1, 3, 6), chunk.Replicas(1), "nothing"},
		{grid(1, 3, 2, 6), chunk.EC(4, 2), "1 zone, or 2 servers, or any 2 disks"},
		{grid(2, 1, 3, 6), chunk.Replicas(2), "1 site, or 1 zone, or 1 server, or 1 disk"},
		{grid(3, 1, 4, 6), chunk.EC(7, 5), "1 site, or 1 zone, or 5 servers, or any 5 disks"},
		{grid(1, 1, 3, 6), chunk.Protection{}, "nothing: "},
	}
	for _, c := range cases {
		_, e := mustPlan(t, c.m)
		got := e.Survives(c.p)
		if got != c.want && !(strings.HasSuffix(c.want, ": ") && strings.HasPrefix(got, c.want)) {
			t.Errorf("%v on %d servers: %q, want %q", c.p, len(c.m.Servers), got, c.want)
		}
	}
}

func TestPlanLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds")
	}
	start := time.Now()
	_, e := mustPlan(t, grid(1, 5, 20, 6))
	b := e.Balance()
	t.Logf("%v: %s", time.Since(start), e)
	if b.Column > 0.05 || b.Prefix > 0.05 {
		t.Errorf("worst column %.3f, worst prefix %.3f", b.Column, b.Prefix)
	}
}

func BenchmarkPlanInitial(b *testing.B) {
	for _, c := range []struct {
		name string
		m    Members
	}{{"3x6", grid(1, 1, 3, 6)}, {"100x6", grid(1, 1, 100, 6)}, {"5000x6", grid(1, 1, 5000, 6)}, {"5000x6,10zones", grid(1, 10, 500, 6)}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				_, e := mustPlan(b, c.m)
				b.StopTimer()
				bal := e.Balance()
				b.ReportMetric(100*bal.Column, "column%")
				b.ReportMetric(100*bal.Prefix, "prefix%")
				b.ReportMetric(float64(e.m.encodedLen())/(1<<20), "MiB")
				b.StartTimer()
			}
		})
	}
}
