package transport

import (
	"context"
	"net"
	"testing"
	"time"

	"torc/internal/clock"
	"torc/internal/errs"
)

// lab is a world on a memory network with a clock that the test moves.
type lab struct {
	*world
	net   *Memory
	clock *clock.Manual
}

func newLab(t *testing.T, mux Mux) *lab {
	l := &lab{net: NewMemory(nil), clock: clock.NewManual(time.Unix(1000, 0))}
	nc := netCase{"lab", func(testing.TB) (Network, Network, string, ServerConfig, ClientConfig) {
		return l.net.Host("s1"), l.net.Host("s2"), "s1:7000", ServerConfig{}, ClientConfig{Clock: l.clock}
	}}
	l.world = start(t, nc, mux, nil)
	return l
}

func TestDeadPeerIsNoticed(t *testing.T) {
	for _, way := range []struct {
		name string
		cut  func(*Memory)
	}{
		{"both ways", func(m *Memory) { m.Partition("s1", "s2") }},
		{"requests only", func(m *Memory) { m.Block("s2", "s1") }},
		{"replies only", func(m *Memory) { m.Block("s1", "s2") }},
	} {
		t.Run(way.name, func(t *testing.T) {
			g := newGate(t)
			l := newLab(t, Mux{methodBlock: g.serve, methodEcho: echo})
			done := l.goCall(context.Background(), Request{Method: methodBlock})
			<-g.began
			way.cut(l.net)
			for waited := time.Duration(0); waited < KeepaliveTimeout+2*KeepaliveInterval; waited += KeepaliveInterval {
				if err := l.client.keepalive.Step(t.Context()); err != nil {
					t.Fatal(err)
				}
				l.clock.Advance(KeepaliveInterval)
			}
			if err := <-done; !errs.Is(err, errs.Unknown) {
				t.Fatalf("call in flight to a dead peer: %v, want Unknown", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := <-l.goCall(ctx, Request{Method: methodEcho}); !errs.Is(err, errs.Timeout) {
				t.Errorf("dialling through the cut: %v, want Timeout", err)
			}
			l.net.HealAll()
			r, err := l.call(t, Request{Method: methodEcho})
			if err != nil {
				t.Errorf("call after heal: %v", err)
			}
			r.Release()
		})
	}
}

func TestHealthyPeerThatIsSlowToAnswerIsLeftAlone(t *testing.T) {
	g := newGate(t)
	l := newLab(t, Mux{methodBlock: g.serve, methodEcho: echo})
	done := l.goCall(context.Background(), Request{Method: methodBlock})
	<-g.began
	for range 20 { // ten seconds
		if err := l.client.keepalive.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		r, err := l.call(t, Request{Method: methodEcho}) // the ping before it has been answered
		if err != nil {
			t.Fatal(err)
		}
		r.Release()
		l.clock.Advance(KeepaliveInterval)
	}
	g.release()
	if err := <-done; err != nil {
		t.Errorf("slow call: %v", err)
	}
	if s := l.client.Stats(); s.Dials != 1 {
		t.Errorf("%d dials, want 1", s.Dials)
	}
}

// A short cut, healed before the timeout, costs nothing: the bytes arrive late.
func TestShortPartitionLosesNothing(t *testing.T) {
	l := newLab(t, Mux{methodEcho: echo})
	r, err := l.call(t, Request{Method: methodEcho})
	must(t, r, err).Release()
	l.net.Partition("s1", "s2")
	done := l.goCall(context.Background(), Request{Method: methodEcho, Body: make([]byte, 1<<10)})
	select {
	case err := <-done:
		t.Fatalf("call through a cut returned %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	l.net.Heal("s1", "s2")
	if err := <-done; err != nil {
		t.Errorf("call after heal: %v", err)
	}
}

func TestDelayedLinkStillOrdersAndAnswers(t *testing.T) {
	l := newLab(t, Mux{methodEcho: echo})
	l.net.Delay("s2", "s1", 5*time.Millisecond)
	l.net.Delay("s1", "s2", 5*time.Millisecond)
	begin := time.Now()
	r, err := l.call(t, Request{Method: methodEcho, Body: randomBytes(1, 300<<10)})
	must(t, r, err).Release()
	if d := time.Since(begin); d < 20*time.Millisecond { // preface and call, both ways
		t.Errorf("two round trips in %v with 5 ms each way", d)
	}
}

func TestPeerKilledMidCall(t *testing.T) {
	g := newGate(t)
	l := newLab(t, Mux{methodBlock: g.serve, methodEcho: echo})
	done := l.goCall(context.Background(), Request{Method: methodBlock})
	served := <-g.began
	l.net.Reset("s1", "s2")
	if err := <-done; !errs.Is(err, errs.Unknown) {
		t.Errorf("call in flight: %v, want Unknown", err)
	}
	<-served.Done() // the handler is told too
	r, err := l.call(t, Request{Method: methodEcho})
	must(t, r, err).Release()
}

func TestFlippedBitBreaksTheLinkAndNothingElse(t *testing.T) {
	for _, at := range []int64{1, 5, 20, 31, headerLen + 1, headerLen + 5000, headerLen + 300_000} {
		for _, from := range []string{"s1", "s2"} {
			l := newLab(t, Mux{methodEcho: echo})
			req := Request{Method: methodEcho, Body: randomBytes(3, 400<<10)}
			r, err := l.call(t, req)
			must(t, r, err).Release()
			to := map[string]string{"s1": "s2", "s2": "s1"}[from]
			l.net.FlipBit(from, to, at)
			if r, err := l.call(t, req); !errs.Is(err, errs.Unknown) {
				t.Errorf("byte %d from %s flipped: %v %v, want Unknown", at, from, r, err)
			}
			r, err = l.call(t, req)
			must(t, r, err).Release()
		}
	}
}

func TestBackoffFailsFastAndGrows(t *testing.T) {
	l := newLab(t, Mux{methodEcho: echo})
	dead := "s1:9"
	call := func() error {
		_, err := l.client.Call(t.Context(), dead, Request{Method: methodEcho})
		return err
	}
	for i, dials := range []int64{1, 1, 1} {
		if err := call(); !errs.Is(err, errs.Unavailable) {
			t.Errorf("call %d: %v, want Unavailable", i, err)
		}
		if s := l.client.Stats(); s.Dials != dials {
			t.Errorf("call %d: %d dials, want %d", i, s.Dials, dials)
		}
	}
	l.clock.Advance(BackoffMin)
	_ = call()
	l.clock.Advance(BackoffMin)
	_ = call()
	if s := l.client.Stats(); s.Dials != 2 {
		t.Errorf("%d dials: the second back-off is not longer than the first", s.Dials)
	}
	if backoff(1) != BackoffMin || backoff(100) != BackoffMax {
		t.Errorf("back-off %v ... %v", backoff(1), backoff(100))
	}
}

func TestIdleLinkIsClosed(t *testing.T) {
	l := newLab(t, Mux{methodEcho: echo})
	r, err := l.call(t, Request{Method: methodEcho})
	must(t, r, err).Release()
	step := func() {
		if err := l.client.keepalive.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	step()
	l.clock.Advance(IdleTimeout)
	step()
	r, err = l.call(t, Request{Method: methodEcho})
	must(t, r, err).Release()
	if s := l.client.Stats(); s.Dials != 2 || s.Failed != 0 {
		t.Errorf("stats %+v: want 2 dials, no failure", s)
	}
}

func TestMemoryListen(t *testing.T) {
	m := NewMemory(nil)
	h := m.Host("a")
	ln, err := h.Listen(":0")
	must(t, ln, err)
	if _, err := h.Listen(ln.Addr().String()); !errs.Is(err, errs.Exists) {
		t.Errorf("second listener: %v, want Exists", err)
	}
	if _, err := h.Listen("b:1"); !errs.Is(err, errs.Invalid) {
		t.Errorf("another host's address: %v, want Invalid", err)
	}
	c, err := h.Dial(t.Context(), ln.Addr().String())
	must(t, c, err)
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a connection never accepted survives its listener")
	}
	if _, err := ln.Accept(); err != net.ErrClosed {
		t.Errorf("Accept after Close: %v", err)
	}
	_ = c.Close()
}
