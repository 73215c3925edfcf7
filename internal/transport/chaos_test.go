package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"torc/internal/errs"
)

// TestOutcomesAreTrue makes calls of all sizes while connections are reset and
// bits are flipped, and holds every outcome against what the handler saw: a
// reply is the right one, Unavailable means that the handler never ran, nobody
// ever sees changed bytes, and no kind of error comes up that the contract does
// not name.
func TestOutcomesAreTrue(t *testing.T) {
	var mu sync.Mutex
	ran := map[uint64]bool{}
	handler := func(_ context.Context, _ Peer, req Request) (*Reply, error) {
		if id := binary.LittleEndian.Uint64(req.Head); !bytes.Equal(req.Body, randomBytes(id, len(req.Body))) {
			t.Errorf("handler of %d got changed bytes", id)
		} else {
			mu.Lock()
			ran[id] = true
			mu.Unlock()
		}
		return NewReply(bytes.Clone(req.Head), bytes.Clone(req.Body), nil), nil
	}
	m := NewMemory(nil)
	nc := netCase{"chaos", func(testing.TB) (Network, Network, string, ServerConfig, ClientConfig) {
		return m.Host("s1"), m.Host("s2"), "s1:7000", ServerConfig{}, ClientConfig{}
	}}
	w := start(t, nc, Mux{methodEcho: handler}, nil)

	const callers, each = 8, 60
	unavailable := make(chan uint64, callers*each)
	counts := [32]int{}
	var wg sync.WaitGroup
	for g := range uint64(callers) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(g, 7))
			for i := range uint64(each) {
				kind := oneCall(t, w, r, g*each+i, unavailable)
				mu.Lock()
				counts[kind]++
				mu.Unlock()
			}
		})
	}
	stop := make(chan struct{})
	go func() { wg.Wait(); close(stop) }()
	disturb(m, stop)
	close(unavailable)
	m.HealAll()
	mu.Lock()
	defer mu.Unlock()
	for id := range unavailable {
		if ran[id] {
			t.Errorf("call %d was answered Unavailable, and its handler ran", id)
		}
	}
	t.Logf("%d handled, outcomes by kind (31 is success) %v", len(ran), counts)
	if len(ran) == 0 || counts[errs.Unknown] == 0 {
		t.Errorf("nothing was tested: %d handled, outcomes by kind %v", len(ran), counts)
	}
}

// disturb breaks things until stop is closed.
func disturb(m *Memory, stop <-chan struct{}) {
	r := rand.New(rand.NewPCG(1, 1))
	for {
		pause := time.NewTimer(time.Duration(r.IntN(4000)) * time.Microsecond)
		select {
		case <-stop:
			pause.Stop()
			return
		case <-pause.C:
		}
		switch r.IntN(3) {
		case 0:
			m.Reset("s1", "s2")
		case 1:
			m.FlipBit("s1", "s2", 1+r.Int64N(200_000))
		case 2:
			m.FlipBit("s2", "s1", 1+r.Int64N(200_000))
		}
	}
}

// oneCall makes a call and checks its outcome; the kind is 31 for success.
func oneCall(t *testing.T, w *world, r *rand.Rand, id uint64, unavailable chan<- uint64) errs.Kind {
	const success errs.Kind = 31
	size := r.IntN(2000)
	if r.IntN(4) == 0 {
		size = r.IntN(600_000)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+r.IntN(2000))*time.Millisecond)
	defer cancel()
	head, body := binary.LittleEndian.AppendUint64(nil, id), randomBytes(id, size)
	reply, err := w.client.Call(ctx, w.addr, Request{Method: methodEcho, Head: head, Body: body})
	if err == nil {
		if !bytes.Equal(reply.Head, head) || !bytes.Equal(reply.Body, body) {
			t.Errorf("call %d got changed bytes or another's reply", id)
		}
		reply.Release()
		return success
	}
	clear(body) // the memory is ours again: were it still being sent, the race detector would see it
	switch k := errs.KindOf(err); k {
	case errs.Unavailable:
		unavailable <- id
	case errs.Unknown, errs.Timeout, errs.Canceled:
	default:
		t.Errorf("call %d: kind %v: %v", id, k, err)
	}
	return errs.KindOf(err)
}
