package object

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"torc/chunk"
	"torc/internal/errs"
	"torc/meta"
)

// life is one process of a connector: its view of the database and of the
// chunks, both of which it loses for good when it dies. Faults are drawn from rng.
type life struct {
	h    *history
	name int
	dead bool
	fuse int // calls until it dies; negative: it lives
	svc  *Service
}

// fate decides about one call: whether it takes effect and what is answered.
func (l *life) fate() (effect bool, err error) {
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	if l.dead {
		return false, errs.E("test", errs.Unavailable, "the process is dead")
	}
	if l.fuse--; l.fuse == 0 {
		l.dead = true
		return l.h.rng.IntN(2) == 0, errs.E("test", errs.Unknown, "the process died")
	}
	if !l.h.faults {
		return true, nil
	}
	switch l.h.rng.IntN(40) {
	case 0:
		return true, errs.E("test", errs.Unknown, "the reply is lost")
	case 1:
		return false, errs.E("test", errs.Timeout, "the request is lost")
	case 2:
		return false, errs.E("test", errs.Unavailable, "no leader")
	}
	return true, nil
}

func (l *life) Do(ctx context.Context, c meta.Command) (b []byte, err error) {
	effect, lost := l.fate()
	if effect {
		b, err = l.h.db.Do(ctx, c)
	}
	if lost != nil {
		return nil, lost
	}
	return b, err
}

func (l *life) Query(ctx context.Context, c meta.Command) ([]byte, error) {
	if _, err := l.fate(); err != nil {
		return nil, err
	}
	return l.h.db.Query(ctx, c)
}

func (l *life) Put(ctx context.Context, w chunk.Write) (r chunk.Receipt, err error) {
	effect, lost := l.fate()
	if effect {
		r, err = l.h.chunks.Put(ctx, w)
	}
	if lost != nil {
		return chunk.Receipt{}, lost
	}
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	delete(l.h.short, w.Key)
	if err == nil && l.h.faults && l.h.rng.IntN(10) == 0 {
		l.h.short[w.Key] = true
		return chunk.Receipt{Want: 3, Durable: 2 + l.h.rng.IntN(2), Handoff: 1}, nil
	}
	return r, err
}

func (l *life) Delete(ctx context.Context, k chunk.Key, v chunk.Version) (r chunk.Receipt, err error) {
	effect, lost := l.fate()
	if effect {
		r, err = l.h.chunks.Delete(ctx, k, v)
	}
	if lost != nil {
		return chunk.Receipt{}, lost
	}
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	if err == nil && l.h.faults && l.h.rng.IntN(10) == 0 {
		return chunk.Receipt{Want: 3, Durable: 2}, nil
	}
	return r, err
}

func (l *life) Get(ctx context.Context, k chunk.Key, r chunk.Range) (*chunk.Chunk, error) {
	if _, err := l.fate(); err != nil {
		return nil, err
	}
	return l.h.chunks.Get(ctx, k, r)
}

func (l *life) Stat(ctx context.Context, k chunk.Key) (chunk.Info, error) {
	return l.h.chunks.Stat(ctx, k)
}

// history is a random run of several connectors against a model: for each key
// the values it may have. More than one only after an unknown outcome.
type history struct {
	*rig
	mu      sync.Mutex
	rng     *rand.Rand
	faults  bool
	short   map[chunk.Key]bool // stripes whose last put was short of something
	lives   []*life
	model   map[string][][]byte // nil is "absent"
	purge   *Purger
	sweep   []*Sweeper
	workers *life
	puts    int
	zombies bool // sessions are closed under connectors that still run
}

func (h *history) birth(i int) *life {
	l := &life{h: h, name: i, fuse: -1}
	cfg := h.cfg
	cfg.DB, cfg.Chunks, cfg.Name, cfg.RotateAfter = flatDB{l}, l, fmt.Sprintf("s%d", i), time.Nanosecond
	cfg.Policy.Large = chunk.Replicas(2)
	l.svc = h.service(cfg)
	return l
}

// fullEvery keeps full sweeps out of the histories that must do without.
func (h *history) fullEvery() time.Duration {
	if h.zombies {
		return 6 * time.Hour
	}
	return 1 << 62
}

func (h *history) reborn() {
	h.purge = NewPurger(PurgerConfig{DB: flatDB{h.workers}, Chunks: h.workers, Clock: h.clock, Log: h.cfg.Log, StripesStep: 1 + h.rng.IntN(20)})
	h.sweep = nil
	for _, s := range []string{"one", "two"} { // both look at the same store: the second finds less to do
		h.sweep = append(h.sweep, NewSweeper(SweeperConfig{DB: flatDB{h.workers}, Clock: h.clock, Log: h.cfg.Log, Server: s,
			KeysStep: 1 + h.rng.IntN(30), FullEvery: h.fullEvery(), RefsBatch: 1 + h.rng.IntN(5),
			Servers: func() []string { return []string{"one", "two"} },
			Stores:  func() ([]chunk.ListStore, error) { return []chunk.ListStore{h.chunks}, nil }}))
	}
}

// settle updates the model after a write of value under key.
func (h *history) settle(key string, value []byte, err error) {
	switch {
	case err == nil:
		h.model[key] = [][]byte{value}
	case errs.Is(err, errs.Unknown), errs.Is(err, errs.Timeout), errs.Is(err, errs.Canceled):
		h.model[key] = append(h.model[key], value)
	}
}

func (h *history) check(svc *Service, key string) {
	var got []byte
	_, o, err := svc.Stat(ctx, "b", key)
	if err == nil {
		var w bytes.Buffer
		err = svc.WriteRange(ctx, &w, o, 0, o.Size)
		got = append([]byte{}, w.Bytes()...)
	}
	switch ReasonOf(err) {
	case NoKey:
		got, err = nil, nil
	}
	if err != nil {
		if h.faults || !h.faults && errs.Is(err, errs.Unavailable) {
			return
		}
		h.t.Fatalf("reading %q: %v", key, err)
	}
	same := func(v []byte) bool { return bytes.Equal(v, got) && (v == nil) == (got == nil) }
	if !slices.ContainsFunc(h.model[key], same) {
		h.t.Fatalf("%q has %d bytes (nil %v), none of the %d possible values", key, len(got), got == nil, len(h.model[key]))
	}
	h.model[key] = [][]byte{got}
}

func (h *history) step() {
	i := h.rng.IntN(len(h.lives))
	l := h.lives[i]
	key := string(rune('a' + h.rng.IntN(6)))
	switch n := h.rng.IntN(20); {
	case n < 6:
		value := random(h.rng.IntN(400))
		h.puts++
		bd := body(value)
		if h.rng.IntN(2) == 0 {
			bd.Size = -1
		}
		if seal := bd.Seal; h.rng.IntN(6) == 0 {
			bd.Seal = func() (Seal, error) { h.disturb(l); return seal() }
		}
		if h.rng.IntN(8) == 0 {
			bd.Seal = func() (Seal, error) { return Seal{}, errs.E("seal", errs.Invalid, "no") }
		}
		_, err := l.svc.Put(ctx, PutRequest{Bucket: "b", Key: key, Body: bd})
		h.settle(key, value, err)
	case n < 8:
		h.settle(key, nil, l.svc.Delete(ctx, "b", DeleteItem{Key: key}))
	case n < 11:
		h.check(l.svc, key)
	case n < 13:
		h.multipart(l, l.svc, key)
	case n < 14:
		l.fuse = 1 + h.rng.IntN(8) // it will die in the middle of something
	case n < 15: // the next process of the same connector; the last one may still be there
		l.dead = !h.zombies || h.rng.IntN(2) == 0
		h.lives[i] = h.birth(l.name)
		_ = h.lives[i].svc.Start(ctx)
		if !l.dead {
			h.lives = append(h.lives, l)
		}
	case n < 16:
		_ = l.svc.Maintain(ctx)
	case n < 18:
		_ = h.purge.Step(ctx)
	case n < 19:
		_ = h.sweep[h.rng.IntN(2)].Step(ctx)
	default:
		h.clock.Advance(time.Minute)
		h.reborn()
	}
	h.bury()
}

// disturb lets the world go on in the middle of l's operation: its session is
// closed by a successor, the workers do many passes, a queue is written to.
func (h *history) disturb(l *life) {
	if h.zombies && h.rng.IntN(2) == 0 {
		next := h.birth(l.name)
		_ = next.svc.Start(ctx)
		h.lives = append(h.lives, next)
	}
	if h.rng.IntN(2) == 0 {
		h.clock.Advance(time.Hour)
		for range 20 {
			_ = h.sweep[0].Step(ctx)
			_ = h.sweep[1].Step(ctx)
		}
	}
	if h.rng.IntN(2) == 0 {
		_ = h.purge.Step(ctx)
	}
}

// bury replaces the dead, but for those whose successor lives already.
func (h *history) bury() {
	h.lives = slices.DeleteFunc(h.lives, func(l *life) bool { return l.dead && len(h.lives) > 3 })
	for i, l := range h.lives {
		if l.dead {
			h.lives[i] = h.birth(l.name)
		}
	}
}

func (h *history) multipart(l *life, svc *Service, key string) {
	up, err := svc.CreateUpload(ctx, UploadRequest{Bucket: "b", Key: key})
	if err != nil {
		return
	}
	value := random(h.rng.IntN(300))
	var p Part
	for range 1 + h.rng.IntN(3) { // again and again: replaced parts
		p, err = svc.PutPart(ctx, PartRequest{Bucket: "b", Key: key, Upload: up.ID, Number: 3, Body: body(value)})
	}
	if err != nil {
		return
	}
	if h.rng.IntN(3) == 0 {
		_, _ = svc.PutPart(ctx, PartRequest{Bucket: "b", Key: key, Upload: up.ID, Number: 4, Body: body(random(100))})
	}
	h.disturb(l)
	if h.rng.IntN(4) == 0 {
		_ = svc.Abort(ctx, "b", key, up.ID)
		return
	}
	_, err = svc.Complete(ctx, CompleteRequest{Bucket: "b", Key: key, Upload: up.ID, Seal: sealAll,
		Parts: []CompletedPart{{3, p.ETag}}})
	h.settle(key, value, err)
}

// finish ends every session, lets the workers run dry and compares what is
// stored with what is referred to.
func (h *history) finish() {
	h.mu.Lock()
	h.faults = false
	h.mu.Unlock()
	for _, l := range h.lives {
		if l.fuse = -1; !l.dead {
			if err := l.svc.Close(ctx); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	for i := range 3 { // whatever the dead left open
		l := h.birth(i)
		if err := firstError(l.svc.Start(ctx), l.svc.Close(ctx)); err != nil {
			h.t.Fatal(err)
		}
	}
	page, err := h.svc.Uploads(ctx, UploadsRequest{Bucket: "b", Limit: ListLimitMax})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, u := range page.Uploads {
		if err := h.svc.Abort(ctx, "b", u.Key, u.ID); err != nil {
			h.t.Fatal(err)
		}
	}
	h.debt()
	h.drain()
	want := map[chunk.Key]bool{}
	for key := range h.model {
		h.check(h.svc, key)
		_, o, err := h.svc.Stat(ctx, "b", key)
		if err != nil {
			continue
		}
		for _, p := range o.Parts {
			for n := range p.Extent.stripes() {
				want[StripeKey(p.Extent.Base, n, p.Extent.Protection)] = true
			}
		}
	}
	if _, live := h.live(); fmt.Sprint(live) != fmt.Sprint(want) {
		h.t.Fatalf("%d chunks live, %d referred to", len(live), len(want))
	}
}

// debt checks that every referred stripe that is short is owed, and repairs.
func (h *history) debt() {
	owed := map[chunk.Key]bool{}
	for from := []byte(nil); ; {
		page, next, err := Debts(ctx, h.db, from)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, d := range page {
			for _, x := range d.Stripes {
				owed[StripeKey(d.Extent.Base, x.Stripe, d.Extent.Protection)] = true
			}
		}
		if from = next; len(from) == 0 {
			break
		}
	}
	for key := range h.model {
		_, o, err := h.svc.Stat(ctx, "b", key)
		if err != nil {
			continue
		}
		for _, p := range o.Parts {
			for n := range p.Extent.stripes() {
				if k := StripeKey(p.Extent.Base, n, p.Extent.Protection); h.short[k] != owed[k] {
					h.t.Fatalf("stripe %d of %q: short %v, owed %v", n, key, h.short[k], owed[k])
				}
			}
		}
	}
	rep := NewRepairer(RepairerConfig{DB: h.db, Chunks: h.workers, Clock: h.clock, Log: h.cfg.Log, StripesStep: 2})
	for range 200 {
		step(h.t, rep)
	}
	sum, err := h.svc.Debt(ctx)
	if err != nil || sum.Extents != 0 {
		h.t.Fatalf("%+v still owed, %v", sum, err)
	}
}

func (h *history) drain() {
	h.workers.fuse = -1
	h.reborn()
	begun := h.clock.Now()
	for i := 0; ; i++ {
		h.clock.Advance(2 * time.Hour)
		step(h.t, h.purge)
		step(h.t, h.sweep[0])
		step(h.t, h.sweep[1])
		all, err := Sessions(ctx, h.db)
		if err != nil {
			h.t.Fatal(err)
		}
		// What a connector wrote after its session was swept needs a full walk, which
		// takes as many steps as there are keys.
		done := !h.zombies || h.sweep[0].lastFull.After(begun) && h.sweep[1].lastFull.After(begun)
		if done && h.purge.from == nil && h.purge.Status().Entries == 0 && len(all) == 0 {
			return
		}
		if i > 5000 {
			h.t.Fatalf("the workers do not run dry: %+v, sessions %+v", h.purge.Status(), all)
		}
	}
}

// TestHistory: connectors that die, lose replies and see half-failing stores;
// workers that are interrupted. At the end every object has its value and the
// chunks stored are exactly those referred to.
func TestHistory(t *testing.T) {
	puts := 0
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			h := &history{rig: newRig(t), rng: rand.New(rand.NewPCG(seed, 9)), short: map[chunk.Key]bool{}, model: map[string][][]byte{}, zombies: seed%4 > 1}
			b := h.bucket("b")
			if err := h.svc.Close(ctx); err != nil {
				t.Fatal(err)
			}
			if seed%2 == 0 {
				h.ranges.split(objectKey(b.ID, "c"))
				h.ranges.split(objectKey(b.ID, "e"))
			}
			h.workers = &life{h: h, fuse: -1}
			for i := range 3 {
				h.lives = append(h.lives, h.birth(i))
			}
			for key := 'a'; key < 'a'+6; key++ {
				h.model[string(key)] = [][]byte{nil}
			}
			h.reborn()
			h.faults = true
			for range 250 {
				h.step()
			}
			h.finish()
			puts += h.puts
		})
	}
	t.Logf("%d puts", puts)
}
