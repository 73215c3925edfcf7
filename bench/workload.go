package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/minio/minio-go/v7"
)

// Sizes of batches.
const (
	listPage    = 1000 // keys of one LIST
	deleteBatch = 100  // keys of one DeleteObjects
	latencyMax  = 1 << 20
)

// workload is one bucket of objects of one size.
type workload struct {
	clients []*minio.Client
	bucket  string
	size    int64
	body    []byte
	next    atomic.Int64 // keys given out to puts

	mu      sync.RWMutex
	written []int64 // keys whose put was acknowledged
	gone    int     // of those, how many are deleted, from the first up
}

func newWorkload(ctx context.Context, clients []*minio.Client, size int64) (*workload, error) {
	w := &workload{clients: clients, bucket: fmt.Sprintf("bench-%d-%d", size, time.Now().UnixNano()), size: size, body: make([]byte, size)}
	for i := range w.body {
		w.body[i] = byte(i * 7 >> 3)
	}
	return w, clients[0].MakeBucket(ctx, w.bucket, minio.MakeBucketOptions{})
}

func (w *workload) key(n int64) string { return fmt.Sprintf("dir%02d/object-%010d", n%16, n) }

// result is one row.
type result struct {
	op        string
	size      int64
	ways      int
	ops       int64
	errors    int64
	elapsed   time.Duration
	cpu       time.Duration
	rss       int64
	latencies []time.Duration
}

// row runs one operation at one concurrency for the configured time.
func (w *workload) row(ctx context.Context, op string, ways int, cfg config) (result, error) {
	do, ok := map[string]func(context.Context, *minio.Client, int64) (int64, error){
		"put": w.put, "get": w.get, "head": w.head, "list": w.list, "delete": w.delete,
	}[op]
	if !ok {
		return result{}, fmt.Errorf("operation %q: want put, get, head, list or delete", op)
	}
	limit := int64(1 << 62)
	if op == "put" && w.size > 0 {
		limit = max(int64(ways), cfg.bytesMax/w.size)
	}
	r := result{op: op, size: w.size, ways: ways}
	ctx, cancel := context.WithTimeout(ctx, cfg.seconds)
	defer cancel()
	cpu, start := cfg.target.cpu(), time.Now()
	var mu sync.Mutex
	var wg sync.WaitGroup
	var turn atomic.Int64
	for i := range ways {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var ops, failed int64
			var lat []time.Duration
			for ctx.Err() == nil {
				n := turn.Add(1) - 1
				if n >= limit {
					break
				}
				t := time.Now()
				done, err := do(context.WithoutCancel(ctx), w.clients[i%len(w.clients)], n)
				if err == errDone {
					break
				}
				if err != nil {
					failed++
					continue
				}
				ops += done
				if len(lat) < latencyMax {
					lat = append(lat, time.Since(t))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			r.ops, r.errors, r.latencies = r.ops+ops, r.errors+failed, append(r.latencies, lat...)
		}()
	}
	wg.Wait()
	r.elapsed, r.cpu, r.rss = time.Since(start), cfg.target.cpu()-cpu, cfg.target.peakRSS()
	slices.Sort(r.latencies)
	return r, nil
}

var errDone = fmt.Errorf("nothing left to do")

func (w *workload) put(ctx context.Context, c *minio.Client, _ int64) (int64, error) {
	n := w.next.Add(1) - 1
	_, err := c.PutObject(ctx, w.bucket, w.key(n), bytes.NewReader(w.body), w.size, minio.PutObjectOptions{DisableMultipart: true})
	if err == nil {
		w.mu.Lock()
		w.written = append(w.written, n)
		w.mu.Unlock()
	}
	return 1, err
}

// pick returns the key of some written object; false when there is none.
func (w *workload) pick(n int64) (string, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	left := int64(len(w.written) - w.gone)
	if left == 0 {
		return "", false
	}
	return w.key(w.written[int64(w.gone)+n*2654435761%left]), true
}

func (w *workload) get(ctx context.Context, c *minio.Client, n int64) (int64, error) {
	key, ok := w.pick(n)
	if !ok {
		return 0, errDone
	}
	o, err := c.GetObject(ctx, w.bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return 0, err
	}
	defer o.Close()
	got, err := io.Copy(io.Discard, o)
	if err == nil && got != w.size {
		err = io.ErrUnexpectedEOF
	}
	return 1, err
}

func (w *workload) head(ctx context.Context, c *minio.Client, n int64) (int64, error) {
	key, ok := w.pick(n)
	if !ok {
		return 0, errDone
	}
	_, err := c.StatObject(ctx, w.bucket, key, minio.StatObjectOptions{})
	return 1, err
}

// list reads one page; each operation is one page of up to listPage keys.
func (w *workload) list(ctx context.Context, c *minio.Client, n int64) (int64, error) {
	after, ok := w.pick(n)
	if !ok {
		return 0, errDone
	}
	core := minio.Core{Client: c}
	_, err := core.ListObjectsV2(w.bucket, "", after, "", "", listPage)
	return 1, err
}

// delete removes deleteBatch objects in one request; each object is one operation.
func (w *workload) delete(ctx context.Context, c *minio.Client, _ int64) (int64, error) {
	w.mu.Lock()
	batch := w.written[w.gone:min(len(w.written), w.gone+deleteBatch)]
	w.gone += len(batch)
	w.mu.Unlock()
	if len(batch) == 0 {
		return 0, errDone
	}
	objects := make(chan minio.ObjectInfo, deleteBatch)
	for _, n := range batch {
		objects <- minio.ObjectInfo{Key: w.key(n)}
	}
	close(objects)
	for e := range c.RemoveObjects(ctx, w.bucket, objects, minio.RemoveObjectsOptions{}) {
		return 0, e.Err
	}
	return int64(len(batch)), nil
}

// cleanUp deletes what is left and the bucket.
func (w *workload) cleanUp(ctx context.Context) error {
	// Puts that failed may have happened all the same: what is listed goes too.
	for o := range w.clients[0].ListObjects(ctx, w.bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			return o.Err
		}
		if err := w.clients[0].RemoveObject(ctx, w.bucket, o.Key, minio.RemoveObjectOptions{}); err != nil {
			return err
		}
	}
	return w.clients[0].RemoveBucket(ctx, w.bucket)
}

func (r result) print(tw *tabwriter.Writer) {
	q := func(p float64) float64 {
		return r.latencies[min(len(r.latencies)-1, int(p*float64(len(r.latencies))))].Seconds() * 1000
	}
	mib := "-"
	if r.op == "put" || r.op == "get" {
		mib = fmt.Sprintf("%.0f", float64(r.ops*r.size)/r.elapsed.Seconds()/(1<<20))
	}
	cpu := "-"
	if r.cpu > 0 {
		cpu = fmt.Sprintf("%.0f", r.cpu.Seconds()*1e6/float64(r.ops))
	}
	fmt.Fprintf(tw, "%s\t%s\t%d\t%.0f\t%s\t%.2f\t%.2f\t%s\t%d\t%d\t\n", r.op, sizeWords(r.size), r.ways,
		float64(r.ops)/r.elapsed.Seconds(), mib, q(0.50), q(0.99), cpu, r.rss>>20, r.errors)
}

func sizeWords(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}
