package chunk_test

import (
	"bytes"
	"context"
	"testing"

	"torc/chunk"
	"torc/chunk/chunktest"
	"torc/internal/errs"
)

func TestFaultyWithoutFaults(t *testing.T) {
	chunktest.Run(t, func(*testing.T) chunk.ListStore { return chunk.NewFaulty(chunk.NewMemory()) })
}

var fail = errs.E("test", errs.Full, "injected")

func newFaulty(t *testing.T) (*chunk.Faulty, *chunk.Memory, chunk.Write) {
	m := chunk.NewMemory()
	w := chunk.Write{
		Key:     chunk.NewKey(chunk.Payload{Object: 7, Service: chunk.ServiceS3}, chunk.Replicas(2)),
		Version: 5, Data: []byte("the bytes of one chunk"),
	}
	if _, err := m.Put(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	return chunk.NewFaulty(m), m, w
}

// callAll makes one call of each operation and returns its error. Writes are of
// version v.
func callAll(ctx context.Context, f *chunk.Faulty, w chunk.Write, v chunk.Version) map[chunk.Op]error {
	out := map[chunk.Op]error{}
	c, err := f.Get(ctx, w.Key, chunk.All)
	c.Release()
	out[chunk.OpGet] = err
	_, out[chunk.OpStat] = f.Stat(ctx, w.Key)
	_, out[chunk.OpList] = f.List(ctx, nil, 1)
	w.Version = v
	_, out[chunk.OpPut] = f.Put(ctx, w)
	_, out[chunk.OpDelete] = f.Delete(ctx, w.Key, v+1)
	return out
}

func TestFaultyErrHitsItsOperationOnly(t *testing.T) {
	for op := chunk.OpAny; op <= chunk.OpList; op++ {
		f, _, w := newFaulty(t)
		f.Inject(chunk.Fault{Op: op, Err: fail})
		for called, err := range callAll(t.Context(), f, w, 10) {
			hit := op == chunk.OpAny || called == op
			if hit && !errs.Is(err, errs.Full) || !hit && err != nil {
				t.Errorf("fault on operation %d: operation %d answered %v", op, called, err)
			}
		}
		if f.Calls(chunk.OpAny) != 5 || f.Calls(chunk.OpPut) != 1 {
			t.Errorf("%d calls counted, %d puts", f.Calls(chunk.OpAny), f.Calls(chunk.OpPut))
		}
	}
}

func TestFaultyErrBeforeAndAfterTheEffect(t *testing.T) {
	for _, applied := range []bool{false, true} {
		f, m, w := newFaulty(t)
		f.Inject(chunk.Fault{Op: chunk.OpPut, Err: errs.Unknown, Applied: applied})
		w.Version, w.Data = 9, []byte("new")
		if _, err := f.Put(t.Context(), w); !errs.Is(err, errs.Unknown) {
			t.Fatalf("applied %v: %v", applied, err)
		}
		info, err := m.Stat(t.Context(), w.Key)
		if err != nil || (info.Version == 9) != applied {
			t.Errorf("applied %v: the store holds %+v, %v", applied, info, err)
		}
	}
}

func TestFaultyDropLies(t *testing.T) {
	f, m, w := newFaulty(t)
	f.Inject(chunk.Fault{Drop: true, Op: chunk.OpDelete})
	if r, err := f.Delete(t.Context(), w.Key, 50); err != nil || !r.Whole() {
		t.Fatalf("%+v, %v", r, err)
	}
	if i, err := m.Stat(t.Context(), w.Key); err != nil || i.Deleted {
		t.Errorf("the delete was done: %+v, %v", i, err)
	}
}

func TestFaultyFlip(t *testing.T) {
	f, m, w := newFaulty(t)
	f.Inject(chunk.Fault{Op: chunk.OpGet, Flip: true, Times: 1})
	for i, same := range []bool{false, true} {
		c, err := f.Get(t.Context(), w.Key, chunk.All)
		if err != nil || bytes.Equal(c.Data, w.Data) != same || len(c.Data) != len(w.Data) {
			t.Errorf("read %d: %q, %v; equal must be %v", i, c.Data, err, same)
		}
	}
	if c, err := m.Get(t.Context(), w.Key, chunk.All); err != nil || !bytes.Equal(c.Data, w.Data) {
		t.Error("the stored bytes changed")
	}
}

func TestFaultyTimesMatchAndRemove(t *testing.T) {
	f, _, w := newFaulty(t)
	f.Inject(chunk.Fault{Op: chunk.OpStat, Err: fail, Times: 2})
	remove := f.Inject(chunk.Fault{Op: chunk.OpStat, Err: errs.Corrupt, Match: func(k chunk.Key) bool { return k == w.Key }})
	stat := func(k chunk.Key) errs.Kind {
		_, err := f.Stat(t.Context(), k)
		return errs.KindOf(err)
	}
	other := w.Key.Sibling(1)
	for i, want := range []errs.Kind{errs.Full, errs.Full, errs.Corrupt, errs.Corrupt} {
		if got := stat(w.Key); got != want {
			t.Errorf("call %d: %v, want %v", i, got, want)
		}
	}
	if got := stat(other); got != errs.NotFound {
		t.Errorf("a key that does not match: %v", got)
	}
	remove()
	if _, err := f.Stat(t.Context(), w.Key); err != nil {
		t.Errorf("after remove: %v", err)
	}
}

func TestFaultyDownAndClear(t *testing.T) {
	f, _, w := newFaulty(t)
	f.Inject(chunk.Fault{Err: fail})
	f.SetDown(true)
	for op, err := range callAll(t.Context(), f, w, 10) {
		if !errs.Is(err, errs.Unavailable) {
			t.Errorf("down, operation %d: %v", op, err)
		}
	}
	f.SetDown(false)
	if _, err := f.Stat(t.Context(), w.Key); !errs.Is(err, errs.Full) {
		t.Errorf("up again: %v, want the injected fault", err)
	}
	f.SetDown(true)
	f.Clear()
	if i, err := f.Stat(t.Context(), w.Key); err != nil || i.Version != 5 {
		t.Errorf("after Clear: %+v, %v; a call on a store that was down must have done nothing", i, err)
	}
}

func TestFaultyHold(t *testing.T) {
	for name, ack := range map[string]bool{"before the effect": false, "before the answer": true} {
		t.Run(name, func(t *testing.T) {
			f, m, w := newFaulty(t)
			hit, release := make(chan struct{}), make(chan struct{})
			fault := chunk.Fault{Op: chunk.OpPut, Hit: func() { close(hit) }, Times: 1}
			if ack {
				fault.HoldAck = release
			} else {
				fault.Hold = release
			}
			f.Inject(fault)
			w.Version = 9
			done := make(chan error, 1)
			go func() {
				_, err := f.Put(t.Context(), w)
				done <- err
			}()
			<-hit
			if i, _ := m.Stat(t.Context(), w.Key); !ack && i.Version == 9 {
				t.Error("the effect took place while held")
			}
			select {
			case err := <-done:
				t.Errorf("answered while held: %v", err)
			default:
			}
			close(release)
			if err := <-done; err != nil {
				t.Error(err)
			}
			if i, _ := m.Stat(t.Context(), w.Key); i.Version != 9 {
				t.Errorf("after release: %+v", i)
			}
		})
	}
}

func TestFaultyHoldEndsWithTheContext(t *testing.T) {
	f, m, w := newFaulty(t)
	f.Inject(chunk.Fault{Hold: make(chan struct{})})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for op, err := range callAll(ctx, f, w, 10) {
		if !errs.Is(err, errs.Canceled) {
			t.Errorf("operation %d: %v", op, err)
		}
	}
	if i, _ := m.Stat(t.Context(), w.Key); i.Version != 5 {
		t.Errorf("a held write took effect: %+v", i)
	}
}
