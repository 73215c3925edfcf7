package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"torc/chunk"
	"torc/internal/buf"
	"torc/internal/errs"
	"torc/internal/vfs"
)

// The model test: random histories against chunk.Memory, with power cuts, failing
// media and lost indexes. A history is its seed: TORC_SEED=n runs that one alone.

const (
	histories    = 1000
	historySteps = 60
	historyKeys  = 12
	crashKeepMax = 101 // percent of unsynced blocks a power cut may keep
)

// history is one run.
type history struct {
	t      *testing.T
	rng    *rand.Rand
	mem    *vfs.Mem
	faults *vfs.Faults
	cfg    Config
	ev     *events
	d      *Disk
	model  *chunk.Memory
	keys   []chunk.Key
	next   chunk.Version
	// maybe holds, a key, writes whose outcome nobody knows.
	maybe map[chunk.Key][]chunk.Write
	log   []string
}

func TestModel(t *testing.T) {
	n, start := histories, uint64(1)
	if s := os.Getenv("TORC_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		n, start = 1, seed
	}
	if testing.Short() {
		n = min(n, 100)
	}
	before := buf.InUse()
	for i := range uint64(n) {
		runHistory(t, start+i)
		if t.Failed() {
			return
		}
	}
	if now := buf.InUse(); now != before {
		t.Errorf("%d pooled buffers leaked", now-before)
	}
}

func runHistory(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 42))
	h := &history{t: t, rng: rng, mem: vfs.NewMem(), faults: vfs.NewFaults(seed), model: chunk.NewMemory(),
		maybe: map[chunk.Key][]chunk.Write{}, ev: &events{}, next: 1}
	for i := range historyKeys {
		h.keys = append(h.keys, chunk.NewKey(chunk.Payload{Object: uint64(i), Service: chunk.ServiceS3}, chunk.Replicas(1)))
	}
	h.cfg = testConfig(vfs.Faulty(h.mem, h.faults))
	h.cfg.ContainerSize = int64(64+rng.IntN(4)*32) << 10
	h.cfg.Events = h.ev.add
	h.cfg.TombstoneKeep = 1
	if _, err := Create(h.cfg); err != nil {
		t.Fatal(err)
	}
	h.open()
	for i := 0; i < historySteps && !t.Failed(); i++ {
		h.step()
	}
	if !t.Failed() {
		h.crash()
		h.checkAll()
	}
	if h.d != nil {
		if err := h.d.Close(); err != nil {
			h.fail("final Close: %v", err)
		}
	}
	if t.Failed() {
		t.Logf("seed %d, steps:", seed)
		for _, l := range h.log {
			t.Log(l)
		}
		t.Logf("events:\n%s", h.ev)
	}
}

func (h *history) note(format string, args ...any) { h.log = append(h.log, fmt.Sprintf(format, args...)) }

func (h *history) fail(format string, args ...any) {
	h.t.Helper()
	h.t.Errorf(format, args...)
}

func (h *history) open() {
	d, err := Open(h.cfg)
	if err != nil {
		h.d = nil
		h.t.Fatalf("Open: %v\n%v\n%s", err, h.log, h.ev)
	}
	h.d = d
}

func (h *history) step() {
	switch p := h.rng.IntN(100); {
	case p < 35:
		h.writes(1)
	case p < 45:
		h.writes(2 + h.rng.IntN(6)) // at once: a group commit
	case p < 70:
		h.check(h.keys[h.rng.IntN(len(h.keys))])
	case p < 75:
		h.checkAll()
	case p < 82:
		h.note("reclaim")
		if err := h.d.Reclaim().Step(context.Background()); err != nil {
			h.fail("reclaim: %v", err)
		}
	case p < 90:
		h.crash()
	case p < 94:
		h.reopen()
	default:
		h.fault()
	}
}

// size favours the edges: nothing, one block, block borders, several blocks.
func (h *history) size() int {
	switch h.rng.IntN(8) {
	case 0:
		return 0
	case 1:
		return blockSize - 1 + h.rng.IntN(3)
	case 2:
		return h.rng.IntN(160 << 10) // may be more than a container
	default:
		return h.rng.IntN(6000)
	}
}

func (h *history) random(k chunk.Key) (w chunk.Write, del bool) {
	w = chunk.Write{Key: k, Version: h.next}
	h.next++
	if h.rng.IntN(6) == 0 { // old or equal
		w.Version = chunk.Version(1 + h.rng.Uint64N(uint64(h.next)))
	}
	if h.rng.IntN(4) == 0 {
		return w, true
	}
	w.Data = make([]byte, h.size())
	for i := range w.Data {
		w.Data[i] = byte(h.rng.Uint32())
	}
	w.GroupSize = int64(h.rng.IntN(1 << 20))
	w.Owner = make([]byte, h.rng.IntN(3)*h.rng.IntN(200))
	return w, false
}

// writes makes n writes of distinct keys at once.
func (h *history) writes(n int) {
	perm := h.rng.Perm(len(h.keys))
	var wg sync.WaitGroup
	errList := make([]error, n)
	ws, dels := make([]chunk.Write, n), make([]bool, n)
	for i := range n {
		ws[i], dels[i] = h.random(h.keys[perm[i]])
		wg.Go(func() { errList[i] = write(h.d, ws[i], dels[i]) })
	}
	wg.Wait()
	for i := range n {
		h.settle(ws[i], dels[i], errList[i])
	}
}

func write(s chunk.Store, w chunk.Write, del bool) (err error) {
	if del {
		_, err = s.Delete(context.Background(), w.Key, w.Version)
	} else {
		_, err = s.Put(context.Background(), w)
	}
	return err
}

// settle applies a write's outcome to the model.
func (h *history) settle(w chunk.Write, del bool, err error) {
	h.note("write %s.. v%d del=%v %d bytes: %v", w.Key.String()[:6], uint64(w.Version), del, len(w.Data), err)
	switch {
	case err == nil, errors.Is(err, errs.Stale):
		if len(h.maybe[w.Key]) > 0 {
			h.learn(w.Key)
		}
		if merr := write(h.model, w, del); (merr == nil) != (err == nil) {
			h.fail("write %s v%d del=%v: %v, model %v", w.Key, uint64(w.Version), del, err, merr)
		}
	case errors.Is(err, errs.Full), errors.Is(err, errs.Unavailable):
		// nothing happened
	case errors.Is(err, errs.Unknown):
		if del {
			w.Data = nil
			w.GroupSize = -1 // marks a delete
		}
		h.maybe[w.Key] = append(h.maybe[w.Key], w)
	default:
		h.fail("write %s: unexpected error %v", w.Key, err)
	}
}

// learn looks at what the disk holds and, if it is the result of a write of
// unknown outcome, takes it into the model.
func (h *history) learn(k chunk.Key) {
	info, err := h.d.Stat(context.Background(), k)
	if err != nil {
		return
	}
	for _, w := range h.maybe[k] {
		if w.Version == info.Version && (w.GroupSize < 0) == info.Deleted && (info.Deleted || info.Sum == chunk.Checksum(w.Data)) {
			del := w.GroupSize < 0
			_ = write(h.model, w, del)
		}
	}
}

// check compares one key with the model: Stat, and Get of a random range.
func (h *history) check(k chunk.Key) {
	h.learn(k)
	ctx := context.Background()
	want, werr := h.model.Stat(ctx, k)
	got, gerr := h.d.Stat(ctx, k)
	if errors.Is(gerr, errs.NotFound) && werr == nil && want.Deleted {
		h.dropTombstone(k)
		werr = gerr
	}
	if !sameKind(werr, gerr) || werr == nil && !sameInfo(want, got) {
		h.fail("Stat %s: %+v %v, model %+v %v", k, got, gerr, want, werr)
		return
	}
	r := chunk.All
	if h.rng.IntN(2) == 0 && want.Size > 0 {
		r.Off = h.rng.Int64N(want.Size + 1)
		r.Len = h.rng.Int64N(want.Size + 2)
	}
	wc, werr := h.model.Get(ctx, k, r)
	gc, gerr := h.d.Get(ctx, k, r)
	if !sameKind(werr, gerr) || werr == nil && (!bytes.Equal(wc.Data, gc.Data) || !sameInfo(wc.Info, gc.Info)) {
		h.fail("Get %s %+v: %v, model %v", k, r, gerr, werr)
	}
	gc.Release()
}

// dropTombstone forgets in the model what reclaim has forgotten.
func (h *history) dropTombstone(k chunk.Key) {
	fresh := chunk.NewMemory()
	for _, o := range h.keys {
		if o == k {
			continue
		}
		copyChunk(h.model, fresh, o)
	}
	h.model = fresh
}

func copyChunk(from, to *chunk.Memory, k chunk.Key) {
	ctx := context.Background()
	info, err := from.Stat(ctx, k)
	if err != nil {
		return
	}
	if info.Deleted {
		_, _ = to.Delete(ctx, k, info.Version)
		return
	}
	c, _ := from.Get(ctx, k, chunk.All)
	_, _ = to.Put(ctx, chunk.Write{Key: k, Version: info.Version, Attrs: info.Attrs, Data: c.Data})
}

func sameKind(a, b error) bool {
	return errs.KindOf(a) == errs.KindOf(b) && (a == nil) == (b == nil)
}

func sameInfo(a, b chunk.Info) bool {
	return a.Key == b.Key && a.Version == b.Version && a.Size == b.Size && a.Sum == b.Sum && a.Deleted == b.Deleted &&
		a.GroupSize == b.GroupSize && bytes.Equal(a.Owner, b.Owner)
}

// checkAll compares everything, by key and by listing.
func (h *history) checkAll() {
	h.note("check all")
	for _, k := range h.keys {
		h.check(k)
	}
	var got, want []chunk.Info
	for s, out := range map[chunk.Lister]*[]chunk.Info{h.d: &got, h.model: &want} {
		var after *chunk.Key
		for {
			page, err := s.List(context.Background(), after, 1+h.rng.IntN(20))
			if err != nil {
				h.fail("List: %v", err)
				return
			}
			if len(page) == 0 {
				break
			}
			*out = append(*out, page...)
			after = &page[len(page)-1].Key
		}
	}
	if len(got) != len(want) {
		h.fail("List has %d chunks, model %d", len(got), len(want))
		return
	}
	var live, dead int64
	for i := range got {
		if !sameInfo(got[i], want[i]) {
			h.fail("List[%d]: %+v, model %+v", i, got[i], want[i])
		}
		if got[i].Deleted {
			dead++
		} else {
			live++
		}
	}
	if st := h.d.Status(); st.Chunks != live || st.Tombstones != dead {
		h.fail("Status counts %d chunks, %d tombstones; there are %d, %d", st.Chunks, st.Tombstones, live, dead)
	}
}

// crash cuts the power: unsynced blocks survive by chance; sometimes the index is
// lost or an old one comes back.
func (h *history) crash() {
	keep := h.rng.IntN(crashKeepMax)
	clone := h.mem.CrashClone(h.rng.Uint64(), keep)
	h.note("crash, keep %d%%", keep)
	_ = h.d.Close() // the old machine; the clone is what is left
	h.mem = clone
	h.faults = vfs.NewFaults(h.rng.Uint64())
	h.cfg.FS = vfs.Faulty(h.mem, h.faults)
	if h.rng.IntN(4) == 0 {
		h.note("index lost")
		if err := h.mem.RemoveAll("/d/index"); err != nil {
			h.t.Fatal(err)
		}
	}
	h.open()
	h.expectNoCorruption()
}

func (h *history) reopen() {
	h.note("reopen")
	if err := h.faults.Set(""); err != nil {
		h.t.Fatal(err)
	}
	if err := h.d.Close(); err != nil {
		h.fail("Close: %v", err)
	}
	h.open()
	h.expectNoCorruption()
}

// expectNoCorruption: crashes and errors are not corruption and must not be
// reported as such.
func (h *history) expectNoCorruption() {
	if n := count[Corruption](h.ev); n > 0 {
		h.fail("%d corruptions reported", n)
	}
}

// fault makes the medium misbehave for the next writes.
func (h *history) fault() {
	rules := []string{
		"sync & name('*.ctr') & times(1) -> EIO",
		"write & name('*.ctr') & times(1) -> EIO",
		"write & name('*.ctr') & times(1) -> torn(5000)",
		"write & name('*.ctr') & times(1) -> ENOSPC",
		"create & name('*.ctr') & times(1) -> ENOSPC",
		"prealloc & times(1) -> ENOSPC",
		"sync & name('*.ctr') & times(2) -> EIO",
		"sync & name('*.ctr') -> EIO",
		"write & name('*.ctr') & times(2) -> torn(4096)",
		"zero -> EIO\nwrite & name('*.ctr') & times(1) -> torn(9000)",
	}
	rule := rules[h.rng.IntN(len(rules))]
	h.note("fault %s", rule)
	if err := h.faults.Set(rule); err != nil {
		h.t.Fatal(err)
	}
	h.writes(1 + h.rng.IntN(3))
	if err := h.faults.Set(""); err != nil {
		h.t.Fatal(err)
	}
	if h.rng.IntN(2) == 0 || h.d.Status().State == StoreErr {
		h.reopen()
	}
}
