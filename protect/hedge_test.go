package protect

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"torc/chunk"
)

const ms = time.Millisecond

// The delay settles where about one read in twenty is late, within its bounds.
func TestPaceFollowsLatencies(t *testing.T) {
	for _, v := range []struct {
		name     string
		latency  func(r *rand.Rand) time.Duration
		from, to time.Duration
	}{
		{"fast", func(*rand.Rand) time.Duration { return ms }, HedgeAfterMin, HedgeAfterMin},
		{"even up to 100 ms", func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(100 * ms))) }, 80 * ms, 110 * ms},
		{"one in ten takes 150 ms", func(r *rand.Rand) time.Duration {
			if r.IntN(10) == 0 {
				return 150 * ms
			}
			return 30 * ms
		}, 100 * ms, 170 * ms},
		{"slow", func(*rand.Rand) time.Duration { return time.Second }, 200 * ms, 200 * ms},
	} {
		p := newPacing(200*ms, 5*time.Second)
		rnd := rand.New(rand.NewPCG(1, 2))
		var after []time.Duration
		for i := range 10_000 {
			d, took := p.delay(smallRead), v.latency(rnd)
			if took >= d {
				p.passed("n", smallRead, d, time.Time{})
			}
			p.answered("n", smallRead, took)
			if i > 2000 {
				after = append(after, d)
			}
		}
		slices.Sort(after)
		if median := after[len(after)/2]; median < v.from || median > v.to {
			t.Errorf("%s: the median delay is %v, want %v to %v", v.name, median, v.from, v.to)
		}
		if p.delay(largeRead) != 200*ms {
			t.Errorf("%s: small reads changed the delay of large ones to %v", v.name, p.delay(largeRead))
		}
	}
}

func TestReadSizes(t *testing.T) {
	for r, want := range map[chunk.Range]readSize{
		chunk.All: largeRead, {}: smallRead, {Len: 4096}: smallRead, {Off: 1 << 30, Len: 64 << 10}: smallRead,
		{Len: 64<<10 + 1}: mediumRead, {Len: 1 << 20}: mediumRead, {Len: 1<<20 + 1}: largeRead,
	} {
		if got := sizeOf(r); got != want {
			t.Errorf("%+v: %d, want %d", r, got, want)
		}
	}
}

func TestHedgesAreAShareOfTheReads(t *testing.T) {
	p := newPacing(200*ms, time.Second)
	made, reads := 0, 10_000
	for range reads {
		p.asked()
		if p.hedge(1) {
			made++
		}
	}
	if limit := int(HedgeShare*float64(reads)) + HedgeBurst; made > limit || made < limit-2 {
		t.Errorf("%d hedges of %d reads, want %d", made, reads, limit)
	}
	for range reads {
		p.asked()
	}
	if !p.hedge(HedgeBurst) || p.hedge(1) {
		t.Error("more or less than HedgeBurst was saved up")
	}
}

func TestSilence(t *testing.T) {
	now := time.Unix(1000, 0)
	p := newPacing(200*ms, 5*time.Second)
	for range 9 {
		p.passed("a", smallRead, 20*ms, now)
	}
	if p.isSilent("a", now) {
		t.Error("silent after 180 ms")
	}
	p.answered("a", smallRead, ms) // starts anew
	p.passed("a", smallRead, 20*ms, now)
	if p.isSilent("a", now) {
		t.Error("silent though it answered between")
	}
	p.passed("a", smallRead, 180*ms, now)
	if !p.isSilent("a", now) || p.isSilent("b", now) {
		t.Error("200 ms in vain: want a silent, and b not")
	}
	if !p.isSilent("a", now.Add(5*time.Second-1)) || p.isSilent("a", now.Add(5*time.Second)) {
		t.Error("want it silent for 5 s")
	}
	if p.isSilent("a", now) || len(p.silent) != 0 {
		t.Error("once the time is over it starts anew")
	}
}
