package meta

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"torc/internal/errs"
)

// registerOp is one operation on one register of the history.
type registerOp struct {
	put   bool
	key   string
	value string
}

// registerOut is its result; unknown means that it may have happened, at any
// time after it began.
type registerOut struct {
	value   string
	unknown bool
}

// registers is the specification: a put replies with the old value, a get with the value.
func registers() porcupine.Model {
	return porcupine.Model{
		Partition: func(h []porcupine.Operation) [][]porcupine.Operation {
			byKey := map[string][]porcupine.Operation{}
			for _, o := range h {
				k := o.Input.(registerOp).key
				byKey[k] = append(byKey[k], o)
			}
			var out [][]porcupine.Operation
			for _, ops := range byKey {
				out = append(out, ops)
			}
			return out
		},
		Init: func() any { return "" },
		Step: func(state, in, out any) (bool, any) {
			o, r := in.(registerOp), out.(registerOut)
			if o.put {
				return r.unknown || r.value == state.(string), o.value
			}
			return r.unknown || r.value == state.(string), state
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
	}
}

// Random operations under crashes, partitions and losses form a linearizable history.
func TestLinearizableUnderFaults(t *testing.T) {
	c := newCluster(t, 3, func(cfg *Config) { cfg.LogBytesMax = 16 << 10 })
	c.leader()
	var (
		mu      sync.Mutex
		history []porcupine.Operation
		wg      sync.WaitGroup
	)
	stop := make(chan struct{})
	start := time.Now()
	seed := c.rng.Uint64()
	for id := range 5 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(id)))
			db := c.client()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				in := registerOp{put: rng.IntN(2) == 0, key: fmt.Sprintf("r%d", rng.IntN(4)), value: fmt.Sprintf("%d.%d", id, n)}
				op := porcupine.Operation{ClientId: id, Input: in, Call: time.Since(start).Nanoseconds()}
				out, happened := registerCall(db, in)
				op.Output, op.Return = out, time.Since(start).Nanoseconds()
				if out.unknown {
					op.Return = time.Hour.Nanoseconds()
				}
				if happened {
					mu.Lock()
					history = append(history, op)
					mu.Unlock()
				}
			}
		})
	}
	for range 8 {
		c.misfortune()
	}
	close(stop)
	wg.Wait()
	t.Logf("%d operations", len(history))
	if len(history) < 100 {
		t.Fatalf("only %d operations: nothing was tested", len(history))
	}
	if res := porcupine.CheckOperationsTimeout(registers(), history, 20*time.Second); res == porcupine.Illegal {
		t.Fatal("the history is not linearizable")
	} else if res == porcupine.Unknown {
		t.Log("porcupine did not finish in time")
	}
	c.net.lose(0, 0)
	for i, s := range c.stores {
		c.net.isolate(c.peers[i].Addr, c.addrs(), false)
		if s == nil {
			c.start(i)
		}
	}
	c.replicasAgree()
}

// registerCall runs one operation; it reports false when it had no effect and
// no result, so that it is no part of the history.
func registerCall(db DB, in registerOp) (registerOut, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 400*time.Millisecond)
	defer cancel()
	kind, parts := kindGet, []string{in.key}
	if in.put {
		kind, parts = kindPut, []string{in.key, in.value}
	}
	got, err := callCtx(ctx, db, kind, parts...)
	switch {
	case err == nil:
		return registerOut{value: got}, true
	case !in.put || errs.Is(err, errs.Unavailable) || errs.Is(err, errs.Overload):
		return registerOut{}, false
	default:
		return registerOut{unknown: true}, true
	}
}

// misfortune lets one thing go wrong for a while, then mends it.
func (c *cluster) misfortune() {
	i := c.rng.IntN(len(c.stores))
	for j, s := range c.stores { // most faults matter at the leader
		if s.IsLeader([]byte("k")) && c.rng.IntN(3) > 0 {
			i = j
		}
	}
	other := c.peers[(i+1)%len(c.peers)].Addr
	switch c.rng.IntN(5) {
	case 0:
		c.crash(i, 50)
		c.pause()
		c.start(i)
	case 1:
		c.net.isolate(c.peers[i].Addr, c.addrs()[1:], true) // clients still reach it
		c.pause()
		c.net.isolate(c.peers[i].Addr, c.addrs()[1:], false)
	case 2:
		c.net.cutOff(c.peers[i].Addr, other, true) // one way
		c.pause()
		c.net.cutOff(c.peers[i].Addr, other, false)
	case 3:
		c.net.lose(0.1, 0.2)
		c.pause()
		c.net.lose(0, 0)
	case 4:
		for j := range c.stores {
			c.crash(j, 50)
		}
		for j := range c.stores {
			c.start(j)
		}
	}
	c.pause()
}

// pause lets the load run: this is the test's length, not a wait for a condition.
func (c *cluster) pause() { time.Sleep(150 * time.Millisecond) }
