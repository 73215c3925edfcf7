package transport

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"torc/internal/errs"
)

func TestWindowServesInOrderAndSkipsThoseWhoLeft(t *testing.T) {
	w := &window{calls: 10, bytes: 100}
	ctx := t.Context()
	if err := w.acquire(ctx, 1, 80); err != nil {
		t.Fatal(err)
	}
	order := make(chan int, 3)
	var wg sync.WaitGroup
	queued := func(n int) {
		for {
			w.mu.Lock()
			k := len(w.waiters)
			w.mu.Unlock()
			if k == n {
				return
			}
			runtime.Gosched()
		}
	}
	wait := func(id int, ctx context.Context, bytes int64) {
		n := id
		wg.Go(func() {
			if w.acquire(ctx, 1, bytes) == nil {
				order <- id
			}
		})
		queued(n)
	}
	leaver, leave := context.WithCancel(ctx)
	wait(1, leaver, 90)
	wait(2, ctx, 100)
	wait(3, ctx, 1) // fits now, but must not overtake
	leave()
	queued(2)
	w.release(1, 80)
	if id := <-order; id != 2 {
		t.Errorf("waiter %d was served first, want 2", id)
	}
	w.release(1, 100)
	wg.Wait()
	if id := <-order; id != 3 {
		t.Errorf("waiter %d was served next, want 3", id)
	}
	w.release(1, 1)
	if w.calls != 10 || w.bytes != 100 {
		t.Errorf("%d calls, %d bytes at the end, want 10 and 100", w.calls, w.bytes)
	}
}

func TestFailedWindowRefuses(t *testing.T) {
	w := &window{}
	done := make(chan error, 1)
	go func() { done <- w.acquire(t.Context(), 1, 1) }()
	for waiting := false; !waiting; {
		w.mu.Lock()
		waiting = len(w.waiters) == 1
		w.mu.Unlock()
	}
	w.fail(errs.Unavailable)
	if err := <-done; !errs.Is(err, errs.Unavailable) {
		t.Errorf("waiter: %v", err)
	}
	if err := w.acquire(t.Context(), 0, 0); !errs.Is(err, errs.Unavailable) {
		t.Errorf("later comer: %v", err)
	}
}

func TestWorkersBoundAndQueue(t *testing.T) {
	var running, peak atomic.Int64
	gate := make(chan struct{})
	mux := Mux{methodEcho: func(context.Context, Peer, Request) (*Reply, error) {
		n := running.Add(1)
		for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
		}
		<-gate
		running.Add(-1)
		return nil, nil
	}}
	w := start(t, netCases()[2], mux, func(sc *ServerConfig, _ *ClientConfig) { sc.Limits.Handlers, sc.Limits.Queue = 3, 50 })
	var all []<-chan error
	for range 40 {
		all = append(all, w.goCall(t.Context(), Request{Method: methodEcho}))
	}
	for running.Load() < 3 {
		runtime.Gosched()
	}
	close(gate)
	for _, done := range all {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if peak.Load() != 3 {
		t.Errorf("%d handlers at once, want 3", peak.Load())
	}
}

func TestScopeIsAContext(t *testing.T) {
	s := &scope{}
	child, cancel := context.WithCancel(s)
	defer cancel()
	called := make(chan struct{})
	context.AfterFunc(s, func() { close(called) })
	stopped := context.AfterFunc(s, func() { t.Error("a stopped function ran") })
	if !stopped() || s.Err() != nil {
		t.Fatalf("fresh scope: %v", s.Err())
	}
	s.end(context.Canceled)
	s.end(context.DeadlineExceeded) // too late
	<-s.Done()
	<-child.Done()
	<-called
	if s.Err() != context.Canceled || child.Err() != context.Canceled {
		t.Errorf("scope %v, child %v, want Canceled", s.Err(), child.Err())
	}
	late := make(chan struct{})
	context.AfterFunc(s, func() { close(late) })
	<-late
	ended := &scope{}
	ended.end(context.Canceled)
	<-ended.Done() // Done after the end is closed too
}

func TestScopeDeadline(t *testing.T) {
	past := &scope{deadline: time.Now().Add(-time.Second)}
	if past.Err() != context.DeadlineExceeded {
		t.Errorf("past deadline, nobody waiting: %v", past.Err())
	}
	s := &scope{deadline: time.Now().Add(5 * time.Millisecond)}
	child, cancel := context.WithTimeout(s, time.Hour)
	defer cancel()
	<-child.Done()
	if s.Err() != context.DeadlineExceeded || child.Err() != context.DeadlineExceeded {
		t.Errorf("scope %v, child %v, want DeadlineExceeded", s.Err(), child.Err())
	}
	if d, ok := s.Deadline(); !ok || d != s.deadline {
		t.Errorf("deadline %v %v", d, ok)
	}
	if s.Value("x") != nil {
		t.Error("a scope carries a value")
	}
}

// Withdrawn frames leave no trace among those before and after them.
func TestOutboxWithdraw(t *testing.T) {
	o := newOutbox()
	frame := func(id uint64, body []byte) (header, []byte) {
		h := header{typ: frameCall, id: id, bodyLen: uint32(len(body)), sum: payloadSum(nil, body)}
		return h, frameBytes(header{typ: frameCall, id: id}, nil, body)
	}
	var want []byte
	var loans []*loan
	for id := range uint64(6) {
		body := randomBytes(id, 100)
		h, bytes := frame(id, body)
		if id%2 == 0 {
			_, _ = o.push(&h, nil, body)
		} else {
			l := &loan{body: body, written: make(chan struct{})}
			o.lend(&h, nil, l)
			loans = append(loans, l)
		}
		if id != 3 {
			want = append(want, bytes...)
		}
	}
	if !o.withdraw(loans[1]) {
		t.Fatal("a queued frame could not be withdrawn")
	}
	b := o.take()
	if o.withdraw(loans[0]) {
		t.Error("a frame in the writer's hands was withdrawn")
	}
	var got sink
	n, err := b.writeTo(&got, func() {})
	if err != nil || n != int64(len(want)) || string(got) != string(want) {
		t.Errorf("%d bytes written, %v; want %d", n, err, len(want))
	}
	if o.empty() {
		t.Error("empty while a batch is out")
	}
	o.recycle(b)
	<-loans[0].written
	<-loans[2].written
	if !o.empty() || o.take() != nil {
		t.Error("not empty at the end")
	}
	o.close()
	h, _ := frame(9, nil)
	if _, ok := o.push(&h, nil, nil); ok || o.lend(&h, nil, &loan{}) {
		t.Error("a closed outbox takes frames")
	}
}

type sink []byte

func (s *sink) Write(p []byte) (int, error) {
	*s = append(*s, p...)
	return len(p), nil
}
