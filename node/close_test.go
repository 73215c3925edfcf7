package node

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"torc/internal/clock"
	"torc/internal/errs"
)

// A part that hangs, as a disk may, does not keep the process from ending.
func TestCloseDoesNotHang(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	hung, ended := make(chan struct{}), make(chan struct{})
	s := &Server{cancel: func() {}, log: slog.New(slog.DiscardHandler), opts: Options{Clock: clock.System{}}}
	s.onClose("first", func(context.Context) error { close(ended); return nil })
	s.onClose("disks", func(context.Context) error { cancel(); <-hung; return nil })
	if err := s.Close(ctx); !errors.Is(err, errs.Timeout) {
		t.Errorf("Close: %v", err)
	}
	close(hung)
	<-ended
}
