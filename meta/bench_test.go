package meta

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// BenchmarkCommands measures commands (a read and a 100-byte write each) on
// three stores in one process, so the CPU shown is that of all three replicas,
// the network stand-in and the clients.
func BenchmarkCommands(b *testing.B) {
	for _, real := range []bool{false, true} {
		for _, clients := range []int{1, 32, 64} {
			name := "memfs"
			if real {
				name = "disk"
			}
			b.Run(fmt.Sprintf("%s/clients=%d", name, clients), func(b *testing.B) {
				benchmark(b, real, clients, kindPut)
			})
		}
	}
}

// BenchmarkQueries measures linearizable reads of one record.
func BenchmarkQueries(b *testing.B) {
	for _, clients := range []int{1, 32, 64} {
		b.Run(fmt.Sprintf("memfs/clients=%d", clients), func(b *testing.B) { benchmark(b, false, clients, kindGet) })
	}
}

func benchmark(b *testing.B, real bool, clients int, kind Kind) {
	c := newCluster(b, 3, func(cfg *Config) {
		cfg.TickInterval = TickIntervalDefault
		if real {
			cfg.FS, cfg.Dir = vfs.Default, b.TempDir()
		}
	})
	db := NewClient(ClientConfig{Caller: caller{c.net, "client"}, Ranges: OneRange(c.peers), Clock: c.config(0).Clock})
	value := string(make([]byte, 100))
	if _, err := call(db, kindPut, "bench", value); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	cpu, start := cpuTime(), time.Now()
	var wg sync.WaitGroup
	for w := range clients {
		wg.Go(func() {
			for i := w; i < b.N; i += clients {
				key := fmt.Sprintf("bench/%08d", i%100000)
				if _, err := call(db, kind, key, value); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "ops/s")
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-us/op")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
