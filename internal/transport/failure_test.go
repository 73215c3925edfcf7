package transport

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"torc/internal/errs"
)

const (
	methodBlock  Method = 0x7f02 // says it began, waits for its context or the gate
	methodFail   Method = 0x7f03
	methodPanic  Method = 0x7f04
	methodRecord Method = 0x7f05
)

// gate serves methodBlock.
type gate struct {
	began chan context.Context
	open  chan struct{}
	once  sync.Once
}

func newGate(t testing.TB) *gate {
	g := &gate{began: make(chan context.Context, 1000), open: make(chan struct{})}
	t.Cleanup(g.release)
	return g
}

func (g *gate) release() { g.once.Do(func() { close(g.open) }) }

func (g *gate) serve(ctx context.Context, _ Peer, req Request) (*Reply, error) {
	g.began <- ctx
	select {
	case <-ctx.Done():
		return nil, errs.Wrap("gate", ctx.Err())
	case <-g.open:
		return NewReply([]byte("opened"), nil, nil), nil
	}
}

// goCall makes a call in the background.
func (w *world) goCall(ctx context.Context, req Request) <-chan error {
	done := make(chan error, 1)
	go func() {
		r, err := w.client.Call(ctx, w.addr, req)
		r.Release()
		done <- err
	}()
	return done
}

func TestErrorsKeepKindAndText(t *testing.T) {
	forEachNet(t, func(t *testing.T, nc netCase) {
		fail := func(_ context.Context, _ Peer, req Request) (*Reply, error) {
			return nil, errs.E("disk.Put", errs.Kind(req.Head[0]), "why %d", req.Head[0])
		}
		w := start(t, nc, Mux{methodFail: fail}, nil)
		for k := errs.Kind(0); k.Valid(); k++ {
			_, err := w.call(t, Request{Method: methodFail, Head: []byte{byte(k)}})
			if !errs.Is(err, k) || !strings.Contains(err.Error(), "disk.Put: why") {
				t.Errorf("kind %v came back as %v: %v", k, errs.KindOf(err), err)
			}
		}
		if _, err := w.call(t, Request{Method: 0x7fff}); !errs.Is(err, errs.Unsupported) {
			t.Errorf("method without handler: %v, want Unsupported", err)
		}
	})
}

func TestLongErrorTextIsCutAndUnknownKindIsOther(t *testing.T) {
	w := start(t, netCases()[2], Mux{methodFail: func(_ context.Context, _ Peer, req Request) (*Reply, error) {
		if len(req.Head) > 0 {
			return nil, &errs.Error{Kind: 200, Msg: "from the future"}
		}
		return nil, errors.New(strings.Repeat("x", 10*TextLenMax))
	}}, nil)
	_, err := w.call(t, Request{Method: methodFail})
	if !errs.Is(err, errs.Other) || len(err.Error()) > TextLenMax {
		t.Errorf("error of %d bytes, kind %v", len(err.Error()), errs.KindOf(err))
	}
	if _, err := w.call(t, Request{Method: methodFail, Head: []byte{1}}); errs.KindOf(err) != errs.Other {
		t.Errorf("unknown kind became %v, want Other", errs.KindOf(err))
	}
}

func TestPanicBecomesOtherAndTheLinkLives(t *testing.T) {
	w := start(t, netCases()[0], Mux{methodEcho: echo, methodPanic: func(context.Context, Peer, Request) (*Reply, error) {
		panic("bug")
	}}, nil)
	if _, err := w.call(t, Request{Method: methodPanic}); !errs.Is(err, errs.Other) {
		t.Errorf("panic: %v, want Other", err)
	}
	r, err := w.call(t, Request{Method: methodEcho})
	if err != nil {
		t.Errorf("call after a panic: %v", err)
	}
	r.Release()
	if s := w.client.Stats(); s.Dials != 1 {
		t.Errorf("%d dials, want 1", s.Dials)
	}
}

func TestCancelReachesTheHandler(t *testing.T) {
	forEachNet(t, func(t *testing.T, nc netCase) {
		g := newGate(t)
		w := start(t, nc, Mux{methodBlock: g.serve, methodEcho: echo}, nil)
		for _, size := range []int{0, CopyLenMax + 1, 4 << 20} {
			ctx, cancel := context.WithCancel(context.Background())
			body := make([]byte, size)
			done := w.goCall(ctx, Request{Method: methodBlock, Body: body})
			served := <-g.began
			cancel()
			if err := <-done; !errs.Is(err, errs.Canceled) {
				t.Errorf("%d bytes: %v, want Canceled", size, err)
			}
			<-served.Done()
			if served.Err() != context.Canceled {
				t.Errorf("%d bytes: handler's context: %v", size, served.Err())
			}
		}
		r, err := w.call(t, Request{Method: methodEcho})
		if err != nil {
			t.Errorf("call after cancels: %v", err)
		}
		r.Release()
	})
}

func TestReplyThatNobodyWaitsForIsNotCarried(t *testing.T) {
	g := newGate(t)
	big := func(ctx context.Context, p Peer, req Request) (*Reply, error) {
		r, _ := g.serve(ctx, p, req)
		r.Release()
		return NewReply(nil, make([]byte, 4<<20), nil), nil
	}
	w := start(t, netCases()[0], Mux{methodBlock: big, methodEcho: echo}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := w.goCall(ctx, Request{Method: methodBlock, ReplyLen: 4 << 20})
	<-g.began
	cancel()
	if err := <-done; !errs.Is(err, errs.Canceled) {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := w.server.Close(ctx); err != nil { // every answer has been written
		t.Fatal(err)
	}
	if s := w.server.Stats(); s.BytesOut > 1<<20 {
		t.Errorf("%d bytes sent for a call that was cancelled", s.BytesOut)
	}
}

func TestDeadlineReachesTheHandler(t *testing.T) {
	g := newGate(t)
	w := start(t, netCases()[0], Mux{methodBlock: g.serve}, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 80*time.Millisecond)
	defer cancel()
	done := w.goCall(ctx, Request{Method: methodBlock})
	served := <-g.began
	if d, ok := served.Deadline(); !ok || time.Until(d) > 80*time.Millisecond {
		t.Errorf("handler's deadline: %v %v", time.Until(d), ok)
	}
	if err := <-done; !errs.Is(err, errs.Timeout) {
		t.Errorf("%v, want Timeout", err)
	}
	<-served.Done()
}

func TestOverloadBeyondTheQueue(t *testing.T) {
	g := newGate(t)
	w := start(t, netCases()[2], Mux{methodBlock: g.serve}, func(sc *ServerConfig, _ *ClientConfig) {
		sc.Limits.Handlers, sc.Limits.Queue = 2, 3
	})
	ctx := context.Background()
	var all []<-chan error
	all = append(all, w.goCall(ctx, Request{Method: methodBlock}), w.goCall(ctx, Request{Method: methodBlock}))
	<-g.began
	<-g.began
	for range 10 {
		all = append(all, w.goCall(ctx, Request{Method: methodBlock}))
	}
	overloaded := make(chan error, len(all))
	for _, done := range all {
		go func() { overloaded <- <-done }()
	}
	for i := range 7 { // 12 calls, 2 run, 3 wait
		if err := <-overloaded; !errs.Is(err, errs.Overload) {
			t.Fatalf("refusal %d: %v, want Overload", i, err)
		}
	}
	g.release()
	for range 5 {
		if err := <-overloaded; err != nil {
			t.Errorf("admitted call: %v", err)
		}
	}
	if s := w.server.Stats(); s.Overloads != 7 {
		t.Errorf("%d overloads counted, want 7", s.Overloads)
	}
}

// The window is smaller than what the callers want to have in flight, and
// handlers hold all of it: the rest waits, nobody is stuck for ever, a waiting
// caller's context is respected.
func TestExhaustedWindowDoesNotDeadlock(t *testing.T) {
	forEachNet(t, func(t *testing.T, nc netCase) {
		g := newGate(t)
		w := start(t, nc, Mux{methodBlock: g.serve}, func(sc *ServerConfig, _ *ClientConfig) {
			sc.Limits.LinkCalls, sc.Limits.LinkBulkCalls, sc.Limits.LinkBytes = 2, 2, 1
		})
		body := make([]byte, 12<<20)
		var all []<-chan error
		for range 3 * BulkLinksMax {
			all = append(all, w.goCall(context.Background(), Request{Method: methodBlock, Body: body}))
			all = append(all, w.goCall(context.Background(), Request{Method: methodBlock}))
		}
		<-g.began
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if err := <-w.goCall(ctx, Request{Method: methodBlock}); !errs.Is(err, errs.Timeout) {
			t.Errorf("call behind a full window: %v, want Timeout", err)
		}
		g.release()
		for i, done := range all {
			if err := <-done; err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		}
	})
}

func TestSendsArriveInOrder(t *testing.T) {
	forEachNet(t, func(t *testing.T, nc netCase) {
		const n = 3000
		got := make(chan uint32, n)
		record := func(_ context.Context, _ Peer, req Request) (*Reply, error) {
			if len(req.Body) > 4 && !bytes.Equal(req.Body[4:], bytes.Repeat(req.Body[:1], len(req.Body)-4)) {
				t.Error("body changed")
			}
			got <- uint32(req.Head[0])<<16 | uint32(req.Head[1])<<8 | uint32(req.Head[2])
			return nil, nil
		}
		w := start(t, nc, Mux{methodRecord: record}, nil)
		body := make([]byte, 40<<10)
		for i := range n {
			size := i % 5000
			if i%100 == 0 {
				size = len(body)
			}
			for j := range body[:size] {
				body[j] = byte(i)
			}
			head := []byte{byte(i >> 16), byte(i >> 8), byte(i)}
			if err := w.client.Send(context.Background(), w.addr, Request{Method: methodRecord, Head: head, Body: body[:size]}); err != nil {
				t.Fatal(err)
			}
			clear(body) // the memory is ours again
		}
		for i := range n {
			if x := <-got; x != uint32(i) {
				t.Fatalf("send %d arrived as number %d", x, i)
			}
		}
	})
}

// Sends move many windows' worth of bytes: the server gives the window back.
func TestSendsAreGivenTheirWindowBack(t *testing.T) {
	var wg sync.WaitGroup
	w := start(t, netCases()[2], Mux{methodRecord: func(context.Context, Peer, Request) (*Reply, error) {
		wg.Done()
		return nil, nil
	}}, func(sc *ServerConfig, _ *ClientConfig) { sc.Limits.LinkBytes = 1 })
	body := make([]byte, BodyLenMax)
	for range 6 {
		wg.Add(1)
		if err := w.client.Send(t.Context(), w.addr, Request{Method: methodRecord, Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}

func TestCloseLetsCallsFinishAndRefusesNewOnes(t *testing.T) {
	forEachNet(t, func(t *testing.T, nc netCase) {
		g := newGate(t)
		w := start(t, nc, Mux{methodBlock: g.serve, methodEcho: echo}, nil)
		done := w.goCall(context.Background(), Request{Method: methodBlock})
		<-g.began
		closed := make(chan error, 1)
		go func() { closed <- w.server.Close(context.Background()) }()
		for { // until the listener is gone and the client has heard of it
			r, err := w.call(t, Request{Method: methodEcho})
			r.Release()
			if errs.Is(err, errs.Unavailable) {
				break
			}
			if err != nil {
				t.Fatalf("call while closing: %v", err)
			}
		}
		g.release()
		if err := <-done; err != nil {
			t.Errorf("call in flight: %v", err)
		}
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestEndedContextSendsNothing(t *testing.T) {
	w := start(t, netCases()[0], Mux{methodEcho: echo}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.client.Call(ctx, w.addr, Request{Method: methodEcho}); !errs.Is(err, errs.Canceled) {
		t.Errorf("call: %v, want Canceled", err)
	}
	if err := w.client.Send(ctx, w.addr, Request{Method: methodEcho}); !errs.Is(err, errs.Canceled) {
		t.Errorf("send: %v, want Canceled", err)
	}
	if s := w.client.Stats(); s.Dials != 0 {
		t.Errorf("%d dials", s.Dials)
	}
}

func TestClosedClientRefuses(t *testing.T) {
	g := newGate(t)
	w := start(t, netCases()[0], Mux{methodBlock: g.serve}, nil)
	done := w.goCall(context.Background(), Request{Method: methodBlock})
	<-g.began
	w.client.Close()
	if err := <-done; !errs.Is(err, errs.Unknown) {
		t.Errorf("call in flight at Close: %v, want Unknown", err)
	}
	if _, err := w.call(t, Request{Method: methodEcho}); !errs.Is(err, errs.Closed) {
		t.Errorf("call after Close: %v, want Closed", err)
	}
}
