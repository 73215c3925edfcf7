package ring

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"torc/chunk"
	"torc/chunk/chunktest"
	"torc/internal/errs"
)

func testDisks(weights ...uint64) []Disk {
	var out []Disk
	for i, w := range weights {
		out = append(out, Disk{fmt.Sprintf("disk%d", i), w, chunk.NewMemory()})
	}
	return out
}

func mustSpread(t testing.TB, disks []Disk) *Spread {
	t.Helper()
	s, err := NewSpread(disks)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSpreadConforms(t *testing.T) {
	chunktest.Run(t, func(t *testing.T) chunk.ListStore { return mustSpread(t, testDisks(3, 1, 2)) })
}

func TestSpreadByWeight(t *testing.T) {
	s := mustSpread(t, testDisks(4, 4, 8))
	count := make([]float64, 3)
	const n = 40000
	for i := range n {
		count[s.Pick(testKey(i))]++
	}
	for i, want := range []float64{n / 4, n / 4, n / 2} {
		if math.Abs(count[i]-want) > 0.04*want { // over 4 standard deviations
			t.Errorf("disk %d has %.0f keys, want about %.0f", i, count[i], want)
		}
	}
}

// TestSpreadMovesLittle: a new disk only takes keys, a lost one only gives them.
func TestSpreadMovesLittle(t *testing.T) {
	four := testDisks(2, 2, 2, 2)
	a, b := mustSpread(t, four[:3]), mustSpread(t, []Disk{four[3], four[2], four[1], four[0]})
	moved := 0
	for i := range 4000 {
		k := testKey(i)
		from, to := a.disks[a.Pick(k)].ID, b.disks[b.Pick(k)].ID
		if from != to {
			moved++
			if to != "disk3" {
				t.Fatalf("key %d moved from %s to %s, an old disk", i, from, to)
			}
		}
	}
	if moved < 800 || moved > 1200 {
		t.Errorf("%d of 4000 keys moved, want about 1000", moved)
	}
}

func TestSpreadWithFailedDisk(t *testing.T) {
	disks := testDisks(1, 1, 1)
	disks[1].Store = nil
	s := mustSpread(t, disks)
	failed, ok := 0, 0
	for i := range 60 {
		k := testKey(i)
		_, err := s.Put(t.Context(), chunk.Write{Key: k, Version: 1, Data: []byte("x")})
		if want := s.Pick(k) == 1; errs.Is(err, errs.Unavailable) != want || !want && err != nil {
			t.Fatalf("key of disk %d: %v", s.Pick(k), err)
		}
		if err != nil {
			failed++
		} else {
			ok++
		}
	}
	if failed == 0 || ok == 0 {
		t.Fatalf("%d failed, %d succeeded", failed, ok)
	}
	if _, err := s.List(t.Context(), nil, 10); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a listing with holes: %v", err)
	}
}

// TestSpreadListsOnce: a key on two disks (one was away while it was overwritten)
// is listed once, as its higher version.
func TestSpreadListsOnce(t *testing.T) {
	disks := testDisks(1, 1)
	s := mustSpread(t, disks)
	for v, d := range disks {
		if _, err := d.Store.Put(t.Context(), chunk.Write{Key: testKey(1), Version: chunk.Version(v + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	infos, err := s.List(t.Context(), nil, 10)
	if err != nil || len(infos) != 1 || infos[0].Version != 2 {
		t.Fatalf("%+v, %v", infos, err)
	}
}

func TestSpreadListPages(t *testing.T) {
	s := mustSpread(t, testDisks(1, 1, 1))
	const n = 100
	for i := range n {
		if _, err := s.Put(t.Context(), chunk.Write{Key: testKey(i), Version: 1}); err != nil {
			t.Fatal(err)
		}
	}
	var after *chunk.Key
	seen := 0
	for {
		infos, err := s.List(t.Context(), after, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(infos) == 0 {
			break
		}
		for _, in := range infos {
			if after != nil && bytes.Compare(in.Key[:], after[:]) <= 0 {
				t.Fatal("out of order")
			}
			after = &in.Key
			seen++
		}
	}
	if seen != n {
		t.Fatalf("listed %d of %d", seen, n)
	}
}

func TestNewSpreadRefuses(t *testing.T) {
	for name, disks := range map[string][]Disk{
		"none": nil, "no id": {{"", 1, nil}}, "no weight": {{"a", 0, nil}}, "twice": {{"a", 1, nil}, {"a", 1, nil}}, "too many": make([]Disk, DisksMax+1),
	} {
		if _, err := NewSpread(disks); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
