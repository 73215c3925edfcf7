package transport

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"
)

// cpuSeconds is the processor time this process has used, user and system:
// both ends of every benchmarked call, and the kernel's loopback.
func cpuSeconds(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// BenchmarkPut makes calls with a body and an empty reply, as a put does.
func BenchmarkPut(b *testing.B) { benchmark(b, true) }

// BenchmarkGet makes calls that are answered with a body, as a get is.
func BenchmarkGet(b *testing.B) { benchmark(b, false) }

func benchmark(b *testing.B, put bool) {
	for _, nc := range netCases()[:2] {
		for _, c := range []struct{ size, callers int }{{4 << 10, 1}, {4 << 10, 64}, {4 << 20, 1}, {4 << 20, 8}} {
			b.Run(fmt.Sprintf("%s/%dKiB/callers=%d", nc.name, c.size>>10, c.callers), func(b *testing.B) {
				benchCalls(b, nc, c.size, c.callers, put)
			})
		}
	}
}

func benchCalls(b *testing.B, nc netCase, size, callers int, put bool) {
	body := randomBytes(1, size)
	req := Request{Method: methodEcho, Head: make([]byte, 60), ReplyLen: size}
	if put {
		req.Body, req.ReplyLen = body, 0
	}
	w := start(b, nc, Mux{methodEcho: func(context.Context, Peer, Request) (*Reply, error) {
		if put {
			return NewReply(req.Head[:13], nil, nil), nil
		}
		return NewReply(req.Head, body, nil), nil
	}}, nil)
	calls := func(n int) {
		for range n {
			r, err := w.client.Call(context.Background(), w.addr, req)
			if err != nil {
				b.Error(err)
				return
			}
			r.Release()
		}
	}
	calls(callers)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	cpu := cpuSeconds(b)
	b.ResetTimer()
	var wg sync.WaitGroup
	for g := range callers {
		n := b.N / callers
		if g < b.N%callers {
			n++
		}
		wg.Go(func() { calls(n) })
	}
	wg.Wait()
	b.StopTimer()
	used := (cpuSeconds(b) - cpu) / float64(b.N)
	b.ReportMetric(used*1e6, "cpu-us/call")
	b.ReportMetric(used*1e9/float64(size), "cpu-ns/B")
}
