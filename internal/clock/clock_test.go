package clock

import (
	"testing"
	"time"
)

func TestHLCIncreasesWhenWallStepsBack(t *testing.T) {
	m := NewManual(time.UnixMilli(1_000_000))
	h := NewHLC(m, 0)
	prev := h.Now()
	for i := range 1000 {
		if i == 500 {
			m.Set(time.UnixMilli(10))
		}
		now := h.Now()
		if now <= prev {
			t.Fatalf("step %d: %v after %v", i, now, prev)
		}
		prev = now
	}
	h.Observe(prev + 1_000_000)
	if now := h.Now(); now <= prev+1_000_000 {
		t.Fatalf("observed reading not passed: %v", now)
	}
	if got := MakeTimestamp(time.UnixMilli(77), 3).Time().UnixMilli(); got != 77 {
		t.Fatalf("wall part %d, want 77", got)
	}
}

func TestHLCHoldsFloor(t *testing.T) {
	floor := MakeTimestamp(time.UnixMilli(5000), 9)
	if now := NewHLC(NewManual(time.UnixMilli(1)), floor).Now(); now <= floor {
		t.Fatalf("%v not above floor %v", now, floor)
	}
}

func TestManualFiresInOrder(t *testing.T) {
	m := NewManual(time.Unix(0, 0))
	late, _ := m.After(2 * time.Second)
	soon, _ := m.After(time.Second)
	gone, stop := m.After(time.Second)
	stop()
	m.Advance(time.Second)
	select {
	case <-soon:
	default:
		t.Fatal("due timer did not fire")
	}
	select {
	case <-late:
		t.Fatal("fired early")
	case <-gone:
		t.Fatal("stopped timer fired")
	default:
	}
	if m.Waiters() != 1 {
		t.Fatalf("waiters = %d, want 1", m.Waiters())
	}
}
