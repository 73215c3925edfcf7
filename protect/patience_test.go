package protect

import (
	"testing"
	"time"
)

func TestPatience(t *testing.T) {
	p := newPatience(time.Second)
	if got := p.lateAfter(); got != time.Second {
		t.Fatalf("at first: %v", got)
	}
	for range 100 {
		p.took(10 * time.Millisecond)
	}
	if got := p.lateAfter(); got != time.Second {
		t.Errorf("fast writes: %v, want never below HandoffAfter", got)
	}
	for range 30 {
		p.took(700 * time.Millisecond)
	}
	if got := p.lateAfter(); got < 2*time.Second || got > 4*time.Second {
		t.Errorf("writes of 0.7 s: %v, want about four times that", got)
	}
	for range 200 {
		p.took(time.Minute)
	}
	if got := p.lateAfter(); got != PatienceMax*time.Second {
		t.Errorf("endless writes: %v, want the bound", got)
	}
	for range 1000 {
		p.took(10 * time.Millisecond)
	}
	if got := p.lateAfter(); got != time.Second {
		t.Errorf("fast again: %v", got)
	}
}
