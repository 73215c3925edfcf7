package chunktest

import (
	"bytes"
	"context"
	"testing"

	"torc/chunk"
	"torc/internal/errs"
)

// testHistory runs one random history against the store and the model and
// compares every answer.
func testHistory(e *env) {
	e.Logf("seed %d", e.seed)
	model := chunk.NewMemory()
	h := newHistory(e, model, 8)
	for range 600 {
		h.step(e.s)
	}
	h.compare(e.s)
}

// history makes random operations on a few keys. A version says by itself what
// it writes (even: delete, odd: put of bytes that follow from it), so the same
// version always means the same write, as the contract asks of callers.
type history struct {
	e     *env
	model *chunk.Memory
	keys  []chunk.Key
	base  chunk.Version
	ops   uint64
}

func newHistory(e *env, model *chunk.Memory, keys int) *history {
	h := &history{e: e, model: model, base: e.version()}
	for range keys {
		h.keys = append(h.keys, e.key())
	}
	return h
}

func (h *history) step(s chunk.Store) {
	h.e.Helper()
	rnd := h.e.rnd
	k := h.keys[rnd.IntN(len(h.keys))]
	h.ops++
	// Around the newest version: some ahead, many behind, some repeated.
	v := h.base + chunk.Version(h.ops/2+rnd.Uint64N(24))
	switch rnd.IntN(3) {
	case 0:
		h.read(s, k)
	case 1:
		h.stat(s, k)
	default:
		h.apply(s, k, v)
	}
}

func (h *history) apply(s chunk.Store, k chunk.Key, v chunk.Version) {
	h.e.Helper()
	if v%2 == 0 {
		_, got := s.Delete(h.e.ctx, k, v)
		_, want := h.model.Delete(h.e.ctx, k, v)
		h.sameOutcome("Delete", k, v, got, want)
		return
	}
	data := make([]byte, uint64(v)*2654435761%9001)
	fill(data, uint64(v))
	w := chunk.Write{Key: k, Version: v, Data: data,
		Attrs: chunk.Attrs{GroupSize: int64(len(data)), Owner: []byte(v.String())}}
	_, got := s.Put(h.e.ctx, w)
	_, want := h.model.Put(h.e.ctx, w)
	h.sameOutcome("Put", k, v, got, want)
	clear(data)
}

func (h *history) sameOutcome(op string, k chunk.Key, v chunk.Version, got, want error) {
	h.e.Helper()
	if (got == nil) != (want == nil) || got != nil && errs.KindOf(got) != errs.KindOf(want) {
		h.e.Fatalf("operation %d, %s %s version %v: %v, the model says %v (seed %d)", h.ops, op, k, v, got, want, h.e.seed)
	}
}

func (h *history) read(s chunk.Store, k chunk.Key) {
	h.e.Helper()
	r := chunk.All
	if info, err := h.model.Stat(h.e.ctx, k); err == nil && h.e.rnd.IntN(4) > 0 {
		r = chunk.Range{Off: h.e.rnd.Int64N(info.Size + 2), Len: h.e.rnd.Int64N(info.Size+2) - 1}
	}
	got, err := s.Get(h.e.ctx, k, r)
	want, wantErr := h.model.Get(h.e.ctx, k, r)
	h.sameOutcome("Get", k, 0, err, wantErr)
	if err == nil && (!bytes.Equal(got.Data, want.Data) || !h.same(got.Info, want.Info)) {
		h.e.Fatalf("operation %d, Get %s %+v: %+v differs from the model's %+v (seed %d)", h.ops, k, r, got.Info, want.Info, h.e.seed)
	}
	got.Release()
}

func (h *history) stat(s chunk.Store, k chunk.Key) {
	h.e.Helper()
	got, err := s.Stat(h.e.ctx, k)
	want, wantErr := h.model.Stat(h.e.ctx, k)
	h.sameOutcome("Stat", k, 0, err, wantErr)
	if err == nil && !h.same(got, want) {
		h.e.Fatalf("operation %d, Stat %s: %+v, the model says %+v (seed %d)", h.ops, k, got, want, h.e.seed)
	}
}

// same compares Infos; a group store may leave Sum zero.
func (h *history) same(got, want chunk.Info) bool {
	if h.e.main && got.Sum == 0 {
		got.Sum = want.Sum
	}
	return sameInfo(got, want)
}

// compare checks everything the model holds, and that nothing else is listed.
func (h *history) compare(s chunk.Store) {
	h.e.Helper()
	for _, k := range h.keys {
		h.read(s, k)
		h.stat(s, k)
	}
	if l, ok := s.(chunk.ListStore); ok && !h.e.main {
		h.e.wantListed(l, 3, h.e.listAll(h.model, 1000))
	}
}

// reopenRounds is how often RunReopen closes and opens the store.
const reopenRounds = 4

// RunReopen checks a store that outlives its process: open opens what lies in
// dir, which is empty the first time and the same every time, and returns the
// store and what closes it. Everything acknowledged must be there again.
func RunReopen(t *testing.T, open func(t *testing.T, dir string) (s chunk.ListStore, closeStore func())) {
	checkBuffers(t)
	dir := t.TempDir()
	e := newEnv(t, nil, suite{prots: defaultProtections})
	e.Logf("seed %d", e.seed)
	h := newHistory(e, chunk.NewMemory(), 12)
	big := e.write(e.key(), e.bytes(3<<20+17))
	for round := range reopenRounds {
		func() {
			s, closeStore := open(t, dir)
			defer closeStore()
			h.compareReopened(s, round, big)
			for range 100 {
				h.step(s)
			}
			if round == 0 {
				if _, err := s.Put(e.ctx, big); err != nil {
					e.Fatal(err)
				}
				if _, err := h.model.Put(e.ctx, big); err != nil {
					e.Fatal(err)
				}
			}
		}()
	}
	s, closeStore := open(t, dir)
	defer closeStore()
	h.compareReopened(s, reopenRounds, big)
}

func (h *history) compareReopened(s chunk.ListStore, round int, big chunk.Write) {
	h.e.Helper()
	h.compare(s)
	if round == 0 {
		return
	}
	c, err := s.Get(context.WithoutCancel(h.e.ctx), big.Key, chunk.All)
	if err != nil {
		h.e.Fatalf("opened %d times: %v", round+1, err)
	}
	defer c.Release()
	if !bytes.Equal(c.Data, big.Data) {
		h.e.Fatalf("opened %d times: %d bytes differ", round+1, len(big.Data))
	}
}
