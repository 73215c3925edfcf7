package storage

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"torc/chunk"
)

// go test -run '^$' -bench . -benchtime 2s ./storage
//
// On the machine's file system (TMPDIR), every put synced. cpu-us/op is user and
// system time of this process.

func benchDisk(b *testing.B) *Disk {
	b.Helper()
	cfg := Config{Dir: b.TempDir(), Cluster: "c1", Server: "s1", ContainerSize: 256 << 20}
	mustCreate(b, cfg)
	return mustOpen(b, cfg)
}

func cpu() time.Duration {
	var ru syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &ru) // cannot fail with these arguments
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// bench runs f on that many goroutines and reports CPU time.
func bench(b *testing.B, parallel, size int, f func(i int) error) {
	b.SetBytes(int64(size))
	b.SetParallelism(parallel)
	b.ReportAllocs()
	var n atomic.Int64
	b.ResetTimer()
	before := cpu()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := f(int(n.Add(1))); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

func BenchmarkPut(b *testing.B) {
	for _, c := range []struct{ size, parallel int }{{4 << 10, 1}, {4 << 10, 16}, {4 << 10, 64}, {2 << 20, 4}} {
		b.Run(fmt.Sprintf("%dKiB/x%d", c.size>>10, c.parallel), func(b *testing.B) {
			d := benchDisk(b)
			data := testWrite(1, c.size, 1).Data
			bench(b, c.parallel, c.size, func(i int) error {
				_, err := d.Put(context.Background(), chunk.Write{Key: testKey(i), Version: 1, Data: data})
				return err
			})
			m := d.Status().Metrics
			b.ReportMetric(float64(m.BatchRecords)/float64(m.Batches), "records/sync")
		})
	}
}

func BenchmarkGet(b *testing.B) {
	const chunks = 2000
	for _, size := range []int{4 << 10, 2 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			d := benchDisk(b)
			n := min(chunks, (200<<20)/size)
			for i := range n {
				mustPut(b, d, chunk.Write{Key: testKey(i), Version: 1, Data: testWrite(i, size, 1).Data})
			}
			bench(b, 4, size, func(i int) error {
				c, err := d.Get(context.Background(), testKey(i%n), chunk.All)
				c.Release()
				return err
			})
		})
	}
}

// BenchmarkRebuild opens a disk whose index is lost.
func BenchmarkRebuild(b *testing.B) {
	const chunks = 20000
	cfg := Config{Dir: b.TempDir(), Cluster: "c1", Server: "s1", ContainerSize: 256 << 20}
	mustCreate(b, cfg)
	d := mustOpen(b, cfg)
	done := make(chan error)
	for g := range 64 {
		go func() {
			for i := g; i < chunks; i += 64 {
				if _, err := d.Put(context.Background(), testWrite(i, 4096, 1)); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 64 {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
		if err := cfg.withDefaults().FS.RemoveAll(cfg.withDefaults().IndexDir); err != nil {
			b.Fatal(err)
		}
		d = mustOpen(b, cfg)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/chunks, "us/chunk")
}
