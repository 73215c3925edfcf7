package object

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"torc/chunk"
	"torc/internal/errs"
	"torc/meta"
)

// short answers every write as this receipt says; puts and deletes take effect.
type short struct {
	chunk.Store
	mu      sync.Mutex
	receipt chunk.Receipt
	puts    int
}

func (s *short) answer(r chunk.Receipt) chunk.Receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts++
	if s.receipt.Want > 0 {
		return s.receipt
	}
	return r
}

func (s *short) set(r chunk.Receipt) { s.mu.Lock(); s.receipt = r; s.mu.Unlock() }

func (s *short) Put(ctx context.Context, w chunk.Write) (chunk.Receipt, error) {
	r, err := s.Store.Put(ctx, w)
	return s.answer(r), err
}

func (s *short) Delete(ctx context.Context, k chunk.Key, v chunk.Version) (chunk.Receipt, error) {
	r, err := s.Store.Delete(ctx, k, v)
	return s.answer(r), err
}

// TestPurger: grace, homes that are away, backoff, figures, inactivity.
func TestPurger(t *testing.T) {
	r := newRig(t)
	r.bucket("b")
	r.put("b", "k", random(300))
	if err := r.svc.Delete(ctx, "b", DeleteItem{Key: "k"}); err != nil {
		t.Fatal(err)
	}
	store := &short{Store: r.chunks}
	active := false
	p := NewPurger(PurgerConfig{DB: r.db, Chunks: store, Clock: r.clock, Log: r.cfg.Log, Grace: 10 * time.Minute,
		Active: func() bool { return active }})
	step(t, p)
	if st := p.Status(); st.Active || st.Entries != 0 {
		t.Fatalf("inactive: %+v", st)
	}
	active = true
	r.clock.Advance(9 * time.Minute)
	step(t, p)
	if st := p.Status(); st.Entries != 1 || st.Bytes != 300 || st.Oldest < 9*time.Minute || store.puts != 0 {
		t.Fatalf("within the grace: %+v, %d deletes", st, store.puts)
	}
	store.set(chunk.Receipt{Want: 6, Durable: 5})
	r.clock.Advance(time.Minute)
	step(t, p)
	step(t, p) // put off: not tried again yet
	if st := p.Status(); st.Retries != 1 || st.Purged != 0 || store.puts != 5 {
		t.Fatalf("a home is away: %+v, %d deletes", st, store.puts)
	}
	store.set(chunk.Receipt{})
	r.clock.Advance(DefaultPurgeBackoffMin)
	step(t, p)
	step(t, p)
	if st := p.Status(); st.Purged != 1 || st.Freed != 300 || st.Entries != 0 {
		t.Fatalf("all homes back: %+v", st)
	}
	if n, _ := r.live(); n != 0 {
		t.Fatalf("%d chunks live", n)
	}
	if p.backoff(0) != 30*time.Second || p.backoff(3) != 4*time.Minute || p.backoff(100) != time.Hour {
		t.Fatal("the backoff does not double up to its bound")
	}
}

// TestDebt: what a receipt lacks is owed before the ack, summed, and settled
// only by a whole receipt.
func TestDebt(t *testing.T) {
	store := &short{}
	r := newRig(t, func(c *Config) { store.Store = c.Chunks; c.Chunks = store })
	r.bucket("b")
	store.set(chunk.Receipt{Want: 6, Durable: 5, Handoff: 2})
	r.put("b", "k", random(150))
	want := DebtSummary{Extents: 1, Stripes: 3, Missing: 3, Misplaced: 6, Bytes: 150, Oldest: r.clock.Now().UTC()}
	if sum, err := r.svc.Debt(ctx); err != nil || sum != want {
		t.Fatalf("owed %+v, %v, want %+v", sum, err, want)
	}
	rep := NewRepairer(RepairerConfig{DB: r.db, Chunks: store, Clock: r.clock, Log: r.cfg.Log})
	store.set(chunk.Receipt{Want: 6, Durable: 6, Handoff: 1})
	step(t, rep)
	if sum, _ := r.svc.Debt(ctx); sum.Missing != 0 || sum.Misplaced != 3 || sum.Stripes != 3 {
		t.Fatalf("still misplaced, but owed %+v", sum)
	}
	if st := rep.Status(); st.Failed != 3 || st.Owed.Stripes != 3 {
		t.Fatalf("%+v", st)
	}
	before := store.puts
	step(t, rep)
	if store.puts != before {
		t.Fatal("no pause after a walk that repaired nothing")
	}
	store.set(chunk.Receipt{})
	r.clock.Advance(repairBackoffMin)
	step(t, rep)
	if sum, _ := r.svc.Debt(ctx); sum != (DebtSummary{}) {
		t.Fatalf("repaired, but owed %+v", sum)
	}
	store.set(chunk.Receipt{Want: 6, Durable: 5})
	r.put("b", "k", random(200))
	if err := r.svc.Delete(ctx, "b", DeleteItem{Key: "k"}); err != nil {
		t.Fatal(err)
	}
	if sum, _ := r.svc.Debt(ctx); sum != (DebtSummary{}) {
		t.Fatalf("deleted, but owed %+v", sum)
	}
}

// TestSweepWaits: a session is forgotten only when all servers reported, a store
// that cannot be enumerated reports nothing, the grace is kept.
func TestSweepWaits(t *testing.T) {
	r := newRig(t)
	r.bucket("b")
	if err := r.svc.Close(ctx); err != nil {
		t.Fatal(err)
	}
	servers := []string{"one", "two"}
	var down error
	sweeper := func(name string) *Sweeper {
		return NewSweeper(SweeperConfig{DB: r.db, Clock: r.clock, Log: r.cfg.Log, Server: name, Grace: time.Hour,
			Servers: func() []string { return servers },
			Stores:  func() ([]chunk.ListStore, error) { return []chunk.ListStore{r.chunks}, down }})
	}
	one, two := sweeper("one"), sweeper("two")
	sessions := func() []Session {
		all, err := Sessions(ctx, r.db)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	step(t, one)
	if all := sessions(); len(all) != 1 || len(all[0].Swept) != 0 || all[0].Closed.IsZero() {
		t.Fatalf("within the grace: %+v", all)
	}
	r.clock.Advance(time.Hour)
	if down = errs.E("test", errs.Unavailable, "disk 3 is away"); !errs.Is(one.Step(ctx), errs.Unavailable) {
		t.Fatal("a missing store is no error")
	}
	down = nil
	step(t, one)
	if all := sessions(); len(all) != 1 || len(all[0].Swept) != 1 {
		t.Fatalf("one of two has swept: %+v", all)
	}
	step(t, two)
	if all := sessions(); len(all) != 0 {
		t.Fatalf("both have swept: %+v", all)
	}
}

// TestOverload: a body that finds no memory is told so and nothing is read of it.
func TestOverload(t *testing.T) {
	r := newRig(t, func(c *Config) { c.BodyBytesMax = 128 })
	r.bucket("b")
	first, second := r.svc.mem, make(chan error)
	g, err := first.enter(ctx, 100)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := r.svc.Put(ctx, PutRequest{Bucket: "b", Key: "k", Body: Body{Size: 64, Reader: panicReader{}}})
		second <- err
	}()
	wantKind(t, <-second, errs.Overload, "")
	g.leave()
	o := r.put("b", "k", random(1000)) // more stripes than memory: one at a time
	if err := r.svc.WriteRange(ctx, io.Discard, o, 0, 1000); err != nil {
		t.Fatal(err)
	}
}

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("read") }

// TestConcurrent: many writers, readers and deleters of few keys under the race
// detector; every read is one whole value.
func TestConcurrent(t *testing.T) {
	r := newRig(t)
	r.bucket("b")
	values := map[string]bool{}
	for i := range 8 {
		values[etag(random(100+i*37))] = true
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			data := random(100 + i*37)
			for n := range 30 {
				key := string(rune('a' + (i+n)%3))
				if _, err := r.svc.Put(ctx, PutRequest{Bucket: "b", Key: key, Body: body(data)}); err != nil {
					t.Error(err)
				}
				if got, err := r.read("b", key); err == nil && !values[etag(got)] {
					t.Errorf("%d bytes of no one's", len(got))
				} else if err != nil && !errors.Is(err, errs.NotFound) {
					t.Error(err)
				}
				if n%5 == 0 {
					_ = r.svc.Delete(ctx, "b", DeleteItem{Key: key})
				}
			}
		}()
	}
	wg.Wait()
	if err := r.svc.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestLostReply: a commit whose reply is lost is found out to have happened.
func TestLostReply(t *testing.T) {
	r := newRig(t)
	r.bucket("b")
	up := r.upload("k")
	db := &losing{DB: r.db}
	r.svc.db = db
	for _, kind := range []meta.Kind{kindPut, kindPartPut, kindComplete} {
		db.kind = kind
		var (
			err error
			got Object
		)
		switch kind {
		case kindPut:
			got, err = r.svc.Put(ctx, PutRequest{Bucket: "b", Key: "k", Body: body(random(150))})
			if _, o, _ := r.svc.Stat(ctx, "b", "k"); !o.Modified.Equal(got.Modified) || o.ETag != got.ETag {
				t.Fatalf("put answers %+v, stored is %+v", got, o)
			}
		case kindPartPut:
			p := r.part(up, 1, random(200))
			if page, _ := r.svc.Parts(ctx, "b", "k", up.ID, 0, 9); len(page.Parts) != 1 || page.Parts[0].ETag != p.ETag || p.Size != 200 {
				t.Fatalf("part answers %+v, stored is %+v", p, page.Parts)
			}
		case kindComplete:
			got, err = r.complete(up, Part{Number: 1, ETag: etag(random(200))})
		}
		if err != nil || db.lost != 1 {
			t.Fatalf("%s: %v, %d replies lost", kind, err, db.lost)
		}
		db.lost = 0
	}
	if r.svc.sessions.cur.doubts != 0 {
		t.Fatal("the session is in doubt without need")
	}
	db.kind, db.deaf = kindPut, true // now the question gets no answer either
	_, err := r.svc.Put(ctx, PutRequest{Bucket: "b", Key: "k", Body: body(random(150))})
	wantKind(t, err, errs.Unknown, "")
	if r.svc.sessions.cur.doubts != 1 {
		t.Fatal("the session is not in doubt")
	}
	db.deaf, db.kind = false, ""
	if got, err := r.read("b", "k"); err != nil || len(got) != 150 {
		t.Fatalf("the bytes of a commit in doubt: %d, %v", len(got), err)
	}
	first := r.svc.sessions.cur.id
	r.clock.Advance(DefaultRotateAfter)
	if err := r.svc.Maintain(ctx); err != nil {
		t.Fatal(err)
	}
	if o := r.put("b", "k2", random(150)); o.Parts[0].Extent.Base.Volume == first {
		t.Fatal("the session in doubt is still in use")
	}
}

// losing executes commands of a kind and loses the first reply; deaf, it loses
// the references' too.
type losing struct {
	meta.DB
	kind meta.Kind
	lost int
	deaf bool
}

func (l *losing) Do(ctx context.Context, c meta.Command) ([]byte, error) {
	b, err := l.DB.Do(ctx, c)
	if c.Kind == l.kind && l.lost == 0 {
		l.lost++
		return nil, errs.E("meta.Do", errs.Unknown, "the reply is lost")
	}
	return b, err
}

func (l *losing) Query(ctx context.Context, c meta.Command) ([]byte, error) {
	if l.deaf && c.Kind == kindRefs {
		return nil, errs.E("meta.Query", errs.Unavailable, "no leader")
	}
	return l.DB.Query(ctx, c)
}
