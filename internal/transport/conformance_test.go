package transport

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"torc/internal/errs"
)

const methodEcho Method = 0x7f01

func echo(_ context.Context, _ Peer, req Request) (*Reply, error) {
	return NewReply(bytes.Clone(req.Head), bytes.Clone(req.Body), nil), nil
}

func forEachNet(t *testing.T, f func(t *testing.T, nc netCase)) {
	for _, nc := range netCases() {
		t.Run(nc.name, func(t *testing.T) { f(t, nc) })
	}
}

func randomBytes(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(b)
	return b
}

func TestEchoOfEverySize(t *testing.T) {
	forEachNet(t, func(t *testing.T, nc netCase) {
		w := start(t, nc, Mux{methodEcho: echo}, nil)
		for i, n := range []int{0, 1, 4096, CopyLenMax, CopyLenMax + 1, headBodyMax, BulkLenMin, 1 << 20, 16 << 20, BodyLenMax} {
			head, body := randomBytes(uint64(i), i*7000%HeadLenMax), randomBytes(uint64(n), n)
			r, err := w.call(t, Request{Method: methodEcho, Head: head, Body: body})
			if err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
			if !bytes.Equal(r.Head, head) || !bytes.Equal(r.Body, body) {
				t.Errorf("%d bytes came back changed", n)
			}
			r.Release()
			r.Release()
		}
	})
}

func TestManyCallersOnOneLink(t *testing.T) {
	forEachNet(t, func(t *testing.T, nc netCase) {
		w := start(t, nc, Mux{methodEcho: echo}, nil)
		var wg sync.WaitGroup
		for g := range 32 {
			wg.Go(func() {
				for i := range 50 {
					want := randomBytes(uint64(g*50+i), (g*1009+i*331)%40000)
					r, err := w.call(t, Request{Method: methodEcho, Head: fmt.Appendf(nil, "%d/%d", g, i), Body: want})
					if err != nil {
						t.Errorf("call %d/%d: %v", g, i, err)
						return
					}
					if string(r.Head) != fmt.Sprintf("%d/%d", g, i) || !bytes.Equal(r.Body, want) {
						t.Errorf("call %d/%d got another's reply", g, i)
					}
					r.Release()
				}
			})
		}
		wg.Wait()
		if s := w.client.Stats(); s.Links != 1 || s.Calls != 1600 || s.Failed != 0 {
			t.Errorf("stats %+v: want 1 link, 1600 calls", s)
		}
	})
}

func TestLimitsAreRefusedBeforeSending(t *testing.T) {
	w := start(t, netCases()[0], Mux{methodEcho: echo}, nil)
	for _, req := range []Request{{Head: make([]byte, HeadLenMax+1)}, {Body: make([]byte, BodyLenMax+1)}} {
		if _, err := w.call(t, req); !errs.Is(err, errs.TooLarge) {
			t.Errorf("err = %v, want TooLarge", err)
		}
	}
	if s := w.client.Stats(); s.Dials != 0 {
		t.Errorf("%d dials for refused requests", s.Dials)
	}
}
