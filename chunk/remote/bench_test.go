package remote

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"torc/chunk"
)

// discard acknowledges every put and keeps nothing: what is measured is the way there and back.
type discard struct{ chunk.ListStore }

func (discard) Put(context.Context, chunk.Write) (chunk.Receipt, error) {
	return chunk.Receipt{Want: 1, Durable: 1}, nil
}

// BenchmarkPut puts through client, transport and server to a store that does
// nothing; cpu-us/call is the processor time of the process, both ends.
func BenchmarkPut(b *testing.B) {
	for _, nc := range netCases()[:2] {
		for _, c := range []struct{ size, callers int }{{4 << 10, 64}, {4 << 20, 8}} {
			b.Run(fmt.Sprintf("%s/%dKiB/callers=%d", nc.name, c.size>>10, c.callers), func(b *testing.B) {
				caller, addr := serve(b, nc, NewServer(oneNode(discard{}), Options{}))
				benchPuts(b, NewClient(caller, addr, "s1n1", nil), make([]byte, c.size), c.callers)
			})
		}
	}
}

func benchPuts(b *testing.B, st chunk.Store, data []byte, callers int) {
	puts := func(n int) {
		for i := range n {
			w := chunk.Write{Key: testKey(uint64(i)), Version: 1, Data: data}
			if _, err := st.Put(context.Background(), w); err != nil {
				b.Error(err)
				return
			}
		}
	}
	puts(callers)
	b.SetBytes(int64(len(data)))
	cpu := cpuSeconds(b)
	b.ResetTimer()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() { puts(b.N/callers + 1) })
	}
	wg.Wait()
	b.StopTimer()
	n := float64((b.N/callers + 1) * callers)
	used := (cpuSeconds(b) - cpu) / n
	b.ReportMetric(used*1e6, "cpu-us/call")
	b.ReportMetric(used*1e9/float64(len(data)), "cpu-ns/B")
}

func cpuSeconds(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
