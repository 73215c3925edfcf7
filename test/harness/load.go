package harness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Load runs writers against all servers of a ring and remembers, per key, what
// was acknowledged and what may or may not have happened. Each writer owns its
// keys, so per key there is one operation at a time and the allowed contents
// are exactly known.
type Load struct {
	Bucket  string
	ring    *Ring
	clients []*s3.Client
	keys    []*keyState
	stop    context.CancelFunc
	done    sync.WaitGroup

	Acked   atomic.Int64
	Failed  atomic.Int64
	lastAck atomic.Int64 // unix nanoseconds
	wrong   chan error
}

// ProbeBucket is a second bucket that StartLoad makes, for the test's own probes.
const ProbeBucket = "probe"

// keyState is what a key may hold: one of the allowed seeds (0: absent).
type keyState struct {
	mu      sync.Mutex
	key     string
	size    int
	allowed map[uint64]bool
}

// StartLoad creates the bucket and starts workers, each over its own keys of
// different sizes: replicated, just erasure coded, several stripes.
func StartLoad(r *Ring, bucket string, servers, workers int) *Load {
	r.T.Helper()
	ctx, stop := context.WithCancel(r.T.Context())
	l := &Load{Bucket: bucket, ring: r, stop: stop, wrong: make(chan error, 100)}
	for n := 1; n <= servers; n++ {
		l.clients = append(l.clients, r.Client(n))
	}
	for _, b := range []string{bucket, ProbeBucket} {
		if _, err := l.clients[0].CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &b}); err != nil {
			r.T.Fatalf("create bucket %s: %v", b, err)
		}
	}
	sizes := []int{100, 4 << 10, 59_999, 60_000, 200_000, 1 << 20, 9 << 20}
	for w := range workers {
		var mine []*keyState
		for i := range 12 {
			k := &keyState{key: fmt.Sprintf("w%02d/k%02d", w, i), size: sizes[(w+i)%len(sizes)], allowed: map[uint64]bool{0: true}}
			mine = append(mine, k)
		}
		l.keys = append(l.keys, mine...)
		l.done.Add(1)
		go l.work(ctx, w, mine)
	}
	return l
}

func (l *Load) work(ctx context.Context, w int, keys []*keyState) {
	defer l.done.Done()
	rnd := rand.New(rand.NewPCG(uint64(w), 7))
	for n := uint64(1); ctx.Err() == nil; n++ {
		c := l.clients[rnd.IntN(len(l.clients))]
		k := keys[rnd.IntN(len(keys))]
		var err error
		switch p := rnd.IntN(10); {
		case p < 5:
			err = l.put(ctx, c, k, uint64(w)<<32|n)
		case p < 9:
			err = l.check(ctx, c, k)
		default:
			err = l.del(ctx, c, k)
		}
		if err == nil {
			l.Acked.Add(1)
			l.lastAck.Store(time.Now().UnixNano())
			continue
		}
		if ctx.Err() == nil {
			l.Failed.Add(1)
		}
	}
}

func (l *Load) put(ctx context.Context, c *s3.Client, k *keyState, seed uint64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.allowed[seed] = true
	if err := Put(ctx, c, l.Bucket, k.key, Pattern(seed, k.size)); err != nil {
		return err // may have happened: the old contents stay allowed too
	}
	k.allowed = map[uint64]bool{seed: true}
	return nil
}

func (l *Load) del(ctx context.Context, c *s3.Client, k *keyState) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.allowed[0] = true
	if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &l.Bucket, Key: &k.key}); err != nil {
		return err
	}
	k.allowed = map[uint64]bool{0: true}
	return nil
}

// check reads a key; contents that nobody may see there are kept as a fault.
func (l *Load) check(ctx context.Context, c *s3.Client, k *keyState) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	seen, err := l.read(ctx, c, k)
	if err != nil {
		return err
	}
	if !k.allowed[seen] {
		select {
		case l.wrong <- fmt.Errorf("%s holds contents %x, allowed %v", k.key, seen, k.allowed):
		default:
		}
		return nil
	}
	// An operation whose outcome was not known may still be on its way, so what
	// was allowed stays allowed until the next acknowledged write.
	return nil
}

// read returns the seed of a key's contents, 0 when absent, all ones when it is nobody's.
func (l *Load) read(ctx context.Context, c *s3.Client, k *keyState) (uint64, error) {
	data, err := Get(ctx, c, l.Bucket, k.key)
	if errors.Is(err, ErrNoKey) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for seed := range k.allowed {
		if seed != 0 && Sum(data) == Sum(Pattern(seed, k.size)) {
			return seed, nil
		}
	}
	return ^uint64(0), nil
}

// Progress waits until n more operations have been acknowledged since the call,
// at most d, and returns how long it took.
func (l *Load) Progress(t *testing.T, n int64, d time.Duration) time.Duration {
	t.Helper()
	start, from := time.Now(), l.Acked.Load()
	for l.Acked.Load() < from+n {
		if time.Since(start) > d {
			t.Fatalf("only %d of %d operations acknowledged in %v (%d failed)", l.Acked.Load()-from, n, d, l.Failed.Load())
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(start)
}

// Stop ends the writers.
func (l *Load) Stop() {
	l.stop()
	l.done.Wait()
}

// Verify reads every key through every server and compares with what was
// acknowledged, then the listing with both.
func (l *Load) Verify(t *testing.T, clients ...*s3.Client) {
	t.Helper()
	close(l.wrong)
	for err := range l.wrong {
		t.Error("wrong read under load:", err)
	}
	if len(clients) == 0 {
		clients = l.clients
	}
	for i, c := range clients {
		present := map[string]int64{}
		for _, k := range l.keys {
			seen, err := l.read(t.Context(), c, k)
			if err != nil {
				t.Errorf("client %d: %s: %v", i+1, k.key, err)
				continue
			}
			if !k.allowed[seen] {
				t.Errorf("client %d: %s holds %x, acknowledged %v", i+1, k.key, seen, k.allowed)
			}
			if seen != 0 {
				present[k.key] = int64(k.size)
			}
		}
		listed, err := ListAll(t.Context(), c, l.Bucket)
		if err != nil {
			t.Errorf("client %d: list: %v", i+1, err)
			continue
		}
		for key, size := range present {
			if listed[key] != size {
				t.Errorf("client %d: %s has %d bytes but is listed with %d", i+1, key, size, listed[key])
			}
		}
		for key := range listed {
			if _, ok := present[key]; !ok {
				t.Errorf("client %d: %s is listed but cannot be read", i+1, key)
			}
		}
	}
}
