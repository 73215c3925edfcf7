package transport

import (
	"context"
	"fmt"
	"io"
	"net"
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

// BenchmarkBareLoopback is the yardstick: the same bytes over one bare TCP
// connection, an answer of 13 bytes, no framing, no checksum, one at a time.
func BenchmarkBareLoopback(b *testing.B) {
	for _, size := range []int{4 << 10, 4 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) { benchBare(b, size) })
	}
}

func benchBare(b *testing.B, size int) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, ln, err)
	defer ln.Close()
	ended := make(chan error, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			ended <- err
			return
		}
		defer conn.Close()
		in, answer := make([]byte, size), make([]byte, 13)
		for {
			if _, err := io.ReadFull(conn, in); err != nil {
				ended <- nil
				return
			}
			if _, err := conn.Write(answer); err != nil {
				ended <- err
				return
			}
		}
	}()
	conn, err := net.Dial("tcp", ln.Addr().String())
	must(b, conn, err)
	out, answer := randomBytes(1, size), make([]byte, 13)
	b.SetBytes(int64(size))
	cpu := cpuSeconds(b)
	for b.Loop() {
		if _, err := conn.Write(out); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(conn, answer); err != nil {
			b.Fatal(err)
		}
	}
	used := (cpuSeconds(b) - cpu) / float64(b.N)
	b.ReportMetric(used*1e6, "cpu-us/call")
	b.ReportMetric(used*1e9/float64(size), "cpu-ns/B")
	_ = conn.Close()
	if err := <-ended; err != nil {
		b.Error(err)
	}
}
