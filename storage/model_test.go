package storage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
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
	historySteps = 16
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
	trap  *trap
	log   []string
	drops int // tombstones forgotten
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
	var seen coverage
	for i := range uint64(n) {
		runHistory(t, start+i, &seen)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d histories: %+v", n, seen)
	if n > 1 && (seen.Torn == 0 || seen.Quarantined == 0 || seen.Freed == 0 || seen.Rebuilt == 0 || seen.Forgotten == 0) {
		t.Errorf("the histories leave something untested: %+v", seen)
	}
	if now := buf.InUse(); now != before {
		t.Errorf("%d pooled buffers leaked", now-before)
	}
}

// coverage counts what the histories met.
type coverage struct{ Torn, Quarantined, Freed, Rebuilt, Forgotten, Unknown, Full, StoreErr int }

func (c *coverage) add(h *history) {
	c.Torn += count[TornBatch](h.ev)
	c.Quarantined += count[Quarantined](h.ev)
	c.Freed += count[Freed](h.ev)
	c.Forgotten += h.drops
	for _, e := range h.ev.list {
		switch e := e.(type) {
		case Recovered:
			if e.Rebuilt {
				c.Rebuilt++
			}
		case StateChanged:
			if e.To == Full {
				c.Full++
			}
			if e.To == StoreErr {
				c.StoreErr++
			}
		}
	}
	for _, ws := range h.maybe {
		c.Unknown += len(ws)
	}
}

func runHistory(t *testing.T, seed uint64, seen *coverage) {
	rng := rand.New(rand.NewPCG(seed, 42))
	h := &history{t: t, rng: rng, mem: vfs.NewMem(), model: chunk.NewMemory(),
		maybe: map[chunk.Key][]chunk.Write{}, ev: &events{}, next: 1}
	for i := range historyKeys {
		h.keys = append(h.keys, chunk.NewKey(chunk.Payload{Object: uint64(i), Service: chunk.ServiceS3}, chunk.Replicas(1)))
	}
	h.cfg = testConfig(nil)
	h.setFaults()
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
	seen.add(h)
	if t.Failed() {
		t.Logf("seed %d, steps:", seed)
		for _, l := range h.log {
			t.Log(l)
		}
		t.Logf("events:\n%s", h.ev)
	}
}

func (h *history) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

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
	for _, k := range h.keys {
		h.learn(k) // before reclaim can forget a delete of unknown outcome
	}
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
		h.forgotten()
	case p < 86:
		h.crash()
	case p < 91:
		h.crashDuring()
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
	fill(w.Data, h.rng.Uint64())
	w.GroupSize = int64(h.rng.IntN(1 << 20))
	w.Owner = make([]byte, h.rng.IntN(3)*h.rng.IntN(200))
	return w, false
}

// fill makes b look random, cheaply.
func fill(b []byte, x uint64) {
	for ; len(b) >= 8; b = b[8:] {
		x = x*6364136223846793005 + 1442695040888963407
		binary.LittleEndian.PutUint64(b, x)
	}
	for i := range b {
		b[i] = byte(x >> (8 * i))
	}
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

// forgotten takes note of tombstones that reclaim has dropped. A drop is final: a
// crash must not bring it back.
func (h *history) forgotten() {
	for _, k := range h.keys {
		info, err := h.model.Stat(context.Background(), k)
		_, derr := h.d.Stat(context.Background(), k)
		if err == nil && info.Deleted && errors.Is(derr, errs.NotFound) {
			h.note("%s tombstone v%d forgotten", k.String()[:6], uint64(info.Version))
			h.drops++
			h.dropTombstone(k)
		}
	}
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

// crash cuts the power between two steps.
func (h *history) crash() {
	clone := h.clone()
	_ = h.d.Close() // the old machine; the clone is what is left
	h.restart(clone)
}

// clone is the file system as a power cut now leaves it.
func (h *history) clone() *vfs.Mem { return h.powerCut()() }

// powerCut decides by chance which unsynced blocks survive, and returns what makes
// the clone: any goroutine may call that.
func (h *history) powerCut() func() *vfs.Mem {
	keep := h.rng.IntN(crashKeepMax)
	if h.rng.IntN(2) == 0 {
		keep = keep/3 + 60 // much arrives, not all: torn batches
	}
	h.note("crash, keep %d%%", keep)
	seed, mem := h.rng.Uint64(), h.mem
	return func() *vfs.Mem { return mem.CrashClone(seed, keep) }
}

// restart goes on with what a power cut left; sometimes the index is lost too.
func (h *history) restart(clone *vfs.Mem) {
	h.mem = clone
	h.setFaults()
	if h.rng.IntN(4) == 0 {
		h.note("index lost")
		if err := h.mem.RemoveAll("/d/index"); err != nil {
			h.t.Fatal(err)
		}
	}
	h.open()
	h.expectNoCorruption()
}

func (h *history) setFaults() {
	h.faults = vfs.NewFaults(h.rng.Uint64())
	h.trap = &trap{}
	h.faults.Before = h.trap.before
	h.cfg.FS = vfs.Faulty(h.mem, h.faults)
}

// trap springs on the file system operation that makes left 0.
type trap struct {
	only   vfs.Op // count only these; empty: all
	left   atomic.Int64
	spring func()
	sprung atomic.Bool
}

func (tr *trap) before(op vfs.Op, _ string) {
	if tr.left.Load() > 0 && (tr.only == "" || tr.only == op) && tr.left.Add(-1) == 0 {
		tr.sprung.Store(true) // before the clone is made: who still reads false was done before it
		tr.spring()
	}
}

// crashDuring cuts the power before some file system operation of a few writes, a
// reclaim pass or a recovery.
func (h *history) crashDuring() {
	var clone *vfs.Mem
	ready := make(chan struct{})
	cut := h.powerCut()
	h.trap.spring = func() { clone = cut(); close(ready) }
	what := h.rng.IntN(4)
	h.note("crash during %d", what)
	h.trap.only = ""
	if what == 0 {
		h.trap.only = vfs.OpSync // written, not synced
	}
	h.trap.left.Store(1 + h.rng.Int64N([]int64{2, 8, 30, 60}[what]))
	switch what {
	case 0, 1:
		h.writesUntilCrash(1 + h.rng.IntN(8))
	case 2:
		_ = h.d.Reclaim().Step(context.Background())
	case 3:
		_ = h.d.Close()
		if d, err := Open(h.cfg); err == nil {
			h.d = d
		}
	}
	if h.trap.left.Swap(0) > 0 {
		clone = cut() // too few operations: it dies right after
	} else {
		<-ready
	}
	_ = h.d.Close()
	h.restart(clone)
	h.forgotten() // reclaim may have got so far
}

// writesUntilCrash makes up to n writes at once, some of which the crash overtakes:
// their outcome is unknown.
func (h *history) writesUntilCrash(n int) {
	perm := h.rng.Perm(len(h.keys))
	var wg sync.WaitGroup
	errList := make([]error, n)
	ws, dels := make([]chunk.Write, n), make([]bool, n)
	d, trap := h.d, h.trap
	for i := range n {
		ws[i], dels[i] = h.random(h.keys[perm[i]])
	}
	for i := range n {
		wg.Go(func() {
			errList[i] = write(d, ws[i], dels[i])
			if trap.sprung.Load() {
				errList[i] = errs.E("test", errs.Unknown, "the crash came first")
			}
		})
	}
	wg.Wait()
	for i := range n {
		h.settle(ws[i], dels[i], errList[i])
	}
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
