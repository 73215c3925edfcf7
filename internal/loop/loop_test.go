package loop

import (
	"context"
	"errors"
	"testing"
	"time"

	"torc/internal/clock"
	"torc/internal/errs"
)

func TestStepPauseAndEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	clk := clock.NewManual(time.Unix(0, 0))
	fail := errors.New("once")
	passes := 0
	l := New("test", clk, time.Minute, func(context.Context) error {
		passes++
		if passes == 1 {
			return fail
		}
		return nil
	})
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()

	if err := l.Step(ctx); !errors.Is(err, fail) {
		t.Fatalf("Step = %v, want the pass's error", err)
	}
	l.Pause()
	if err := l.Step(ctx); err != nil {
		t.Fatalf("Step while paused = %v", err)
	}
	if s := l.Status(); s.Passes != 2 || !s.Paused || s.LastErr != nil {
		t.Fatalf("status %+v", s)
	}
	l.Resume()
	cancel()
	<-ended
	if err := l.Step(context.Background()); !errors.Is(err, errs.Closed) {
		t.Fatalf("Step after end = %v, want Closed", err)
	}
}
