package meta

import (
	"context"
	"testing"
	"time"

	"torc/internal/clock"
	"torc/internal/errs"
	"torc/internal/transport"
)

// scripted is a Caller that does what its steps say, one a call, the last one again
// and again.
type scripted struct {
	steps []func(req transport.Request) (*transport.Reply, error)
	calls int
}

func (s *scripted) Call(_ context.Context, _ string, req transport.Request) (*transport.Reply, error) {
	step := s.steps[min(s.calls, len(s.steps)-1)]
	s.calls++
	return step(req)
}

func (*scripted) Send(context.Context, string, transport.Request) error { return nil }

func answering(a answer) func(transport.Request) (*transport.Reply, error) {
	return func(transport.Request) (*transport.Reply, error) {
		head, body := encodeAnswer(a)
		return transport.NewReply(head, body, nil), nil
	}
}

// A server that refuses a retry for want of room has not looked at the command:
// it says nothing about the attempt before, whose reply was lost.
func TestRefusedRetryIsNoAnswer(t *testing.T) {
	lost := func(transport.Request) (*transport.Reply, error) {
		return nil, errs.E("test", errs.Unknown, "the link broke")
	}
	full := answering(answer{err: errs.E("meta.Do", errs.Overload, "4096 commands are waiting")})
	cases := []struct {
		name  string
		steps []func(transport.Request) (*transport.Reply, error)
		reply string
		kind  errs.Kind
	}{
		{"then answered", []func(transport.Request) (*transport.Reply, error){lost, full, answering(answer{reply: []byte("done")})}, "done", 0},
		{"for ever", []func(transport.Request) (*transport.Reply, error){lost, full}, "", errs.Unknown},
		{"at once", []func(transport.Request) (*transport.Reply, error){full}, "", errs.Overload},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			db := NewClient(ClientConfig{Caller: &scripted{steps: c.steps}, Ranges: OneRange{{ID: "s1", Addr: "a1"}}, Clock: clock.System{}})
			ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
			defer cancel()
			reply, err := db.Do(ctx, Command{Kind: kindAdd, Key: []byte("k")})
			if string(reply) != c.reply || c.kind != 0 && !errs.Is(err, c.kind) || c.kind == 0 && err != nil {
				t.Fatalf("got %q, %v; want %q, kind %v", reply, err, c.reply, c.kind)
			}
		})
	}
}
