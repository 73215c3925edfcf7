package ring

import (
	"context"
	"testing"

	"torc/chunk"
	"torc/internal/errs"
)

func TestTracker(t *testing.T) {
	const s, n1, n2 = chunk.ServerID("s1"), chunk.NodeID("s1n1"), chunk.NodeID("s1n2")
	type step struct {
		what string
		do   func(tr *Tracker, advance func())
		up1  bool // afterwards
		up2  bool
	}
	report := func(n chunk.NodeID, err error) func(*Tracker, func()) {
		return func(tr *Tracker, _ func()) { tr.Report(s, n, err) }
	}
	gossip := func(st State) func(*Tracker, func()) {
		return func(tr *Tracker, _ func()) { tr.Gossip(s, st) }
	}
	wait := func(_ *Tracker, advance func()) { advance() }
	for name, steps := range map[string][]step{
		"unknown is up": {{"nothing", func(*Tracker, func()) {}, true, true}},
		"gossip decides": {
			{"offline", gossip(StateOffline), false, false},
			{"run", gossip(StateRun), true, true},
		},
		"a disk of a node": {
			{"one failure", report(n1, errs.Unavailable), true, true},
			{"a success between", report(n1, nil), true, true},
			{"one failure", report(n1, errs.Timeout), true, true},
			{"second in a row", report(n1, errs.Unknown), false, true},
			{"an answer", report(n1, errs.NotFound), true, true},
			{"failing at once again: not marked again so soon", report(n1, errs.Unavailable), true, true},
			{"and again", report(n1, errs.Unavailable), true, true},
			{"the hold has passed", wait, true, true},
			{"it fails on", report(n1, errs.Unavailable), false, true},
		},
		"two nodes make a server": {
			{"first", report(n1, errs.Unavailable), true, true},
			{"second", report(n2, errs.Unavailable), false, false},
			{"the hold has passed", wait, true, true},
			{"one failure is enough now", report(n1, errs.Unavailable), false, false},
			{"gossip hears it", gossip(StateRun), true, true},
		},
		"two bad disks are not a dead server": {
			{"first", report(n1, errs.Unavailable), true, true},
			{"another node answers", report("s1n3", nil), true, true},
			{"second", report("s1n4", errs.Unavailable), true, true},
			{"another node answers", report("s1n3", nil), true, true},
			{"first again", report(n1, errs.Unavailable), false, true},
			{"both at once", report("s1n4", errs.Unavailable), false, false},
			{"any answer clears the server", report("s1n3", nil), false, true},
			{"both at once again: not so soon", report(n1, errs.Unavailable), false, true},
			{"second", report("s1n4", errs.Unavailable), false, true},
		},
		"an answer outruns gossip": {
			{"offline", gossip(StateOffline), false, false},
			{"an answer", report(n1, nil), true, true},
		},
		"no evidence": {
			{"canceled", report(n1, context.Canceled), true, true},
			{"canceled", report(n1, errs.Canceled), true, true},
			{"overload", report(n1, errs.Overload), true, true},
			{"corrupt is an answer", report(n1, errs.Corrupt), true, true},
			{"stale is an answer", report(n1, errs.Stale), true, true},
		},
	} {
		tr, clk := newTracker()
		for i, st := range steps {
			before, was1, was2 := tr.Generation(), tr.Up(s, n1), tr.Up(s, n2)
			st.do(tr, func() { clk.Advance(EvidenceHold) })
			gen := tr.Generation()
			up1, up2 := tr.Up(s, n1), tr.Up(s, n2)
			if up1 != st.up1 || up2 != st.up2 {
				t.Fatalf("%s, step %d (%s): up %v %v, want %v %v", name, i, st.what, up1, up2, st.up1, st.up2)
			}
			if (up1 != was1 || up2 != was2) && gen == before {
				t.Fatalf("%s, step %d (%s): Up changed and the generation did not", name, i, st.what)
			}
		}
	}
}

func TestTrackerState(t *testing.T) {
	tr, _ := newTracker()
	if got := tr.State("s1"); got != StateLoading {
		t.Errorf("never heard of: %s", got)
	}
	for _, want := range []State{StateRun, StateOffline} {
		if tr.Gossip("s1", want); tr.State("s1") != want {
			t.Errorf("%s, want %s", tr.State("s1"), want)
		}
	}
}

func TestObserve(t *testing.T) {
	var got []error
	faulty := absent{errs.Unavailable}
	s := Observe(faulty, func(err error) { got = append(got, err) })
	ctx := t.Context()
	_, _ = s.Put(ctx, chunk.Write{})
	_, _ = s.Get(ctx, chunk.Key{}, chunk.All)
	_, _ = s.Stat(ctx, chunk.Key{})
	_, _ = s.Delete(ctx, chunk.Key{}, 1)
	if len(got) != 4 {
		t.Fatalf("%d outcomes reported, want 4", len(got))
	}
	for _, err := range got {
		if !errs.Is(err, errs.Unavailable) {
			t.Errorf("reported %v", err)
		}
	}
	if _, ok := s.(chunk.Lister); ok {
		t.Error("a store that cannot list became a Lister")
	}
	l, ok := Observe(chunk.NewMemory(), func(err error) { got = append(got, err) }).(chunk.Lister)
	if !ok {
		t.Fatal("a Lister lost its List")
	}
	if _, err := l.List(ctx, nil, 1); err != nil || len(got) != 5 || got[4] != nil {
		t.Errorf("list: %v, %v", err, got)
	}
}
