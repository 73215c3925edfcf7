package ring

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/zeebo/xxh3"
	"go.uber.org/goleak"

	"torc/chunk"
	"torc/internal/clock"
	"torc/internal/errs"
	"torc/meta"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// newDB returns a database with one handler more: what a change of epoch will do.
func newDB() *meta.Memory {
	set := meta.Handler{Kind: "test.head.set", Eval: func(txn meta.Txn, body []byte) ([]byte, error) {
		txn.Set(headKey(), body)
		return nil, nil
	}}
	return meta.NewMemory(clock.System{}, append(Handlers(), set)...)
}

func newTestKeeper(db meta.DB, file string) *Keeper {
	return NewKeeper(KeeperConfig{DB: db, File: file, Clock: clock.NewManual(time.Unix(1, 0)), Log: quiet()})
}

// downDB is a database without a quorum.
type downDB struct{}

func (downDB) Do(context.Context, meta.Command) ([]byte, error)    { return nil, errs.Unavailable }
func (downDB) Query(context.Context, meta.Command) ([]byte, error) { return nil, errs.Unavailable }

// withEpoch returns m under another epoch.
func withEpoch(t testing.TB, m *Map, e chunk.Epoch) *Map {
	t.Helper()
	out, err := newMap(e, m.bits, m.listLen, m.members, m.lists)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func publish(t *testing.T, db meta.DB, m *Map) {
	t.Helper()
	b := m.Encode()
	h := head{m.Epoch(), uint64(len(b)), xxh3.Hash(b)}
	key := pageKey(h.sum, 0)
	for _, c := range []meta.Command{
		{Kind: kindPagePut, Key: key, Body: append(bytes.Clone(key), b...)},
		{Kind: "test.head.set", Key: headKey(), Body: h.encode()},
	} {
		if _, err := db.Do(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
}

func TestInitIsOnceForAll(t *testing.T) {
	db := newDB()
	if err := newTestKeeper(db, "").Refresh(t.Context()); !errs.Is(err, errs.NotFound) {
		t.Fatalf("refresh of an empty database: %v", err)
	}
	var wg sync.WaitGroup
	maps := make([]*Map, 4)
	for i := range maps {
		wg.Go(func() { // each server thinks of another membership
			m, err := newTestKeeper(db, "").Init(context.Background(), grid(1, 1, 3, 2+i))
			if err != nil {
				t.Error(err)
			}
			maps[i] = m
		})
	}
	wg.Wait()
	for _, m := range maps[1:] {
		if m == nil || !bytes.Equal(m.Encode(), maps[0].Encode()) {
			t.Fatal("servers hold different first maps")
		}
	}
	if _, err := newTestKeeper(newDB(), "").Init(t.Context(), Members{}); !errs.Is(err, errs.Invalid) {
		t.Errorf("init of nothing: %v", err)
	}
}

func TestMapOfManyPages(t *testing.T) {
	db := newDB()
	m, err := newTestKeeper(db, "").Init(t.Context(), grid(1, 1, 100, 6))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(m.Encode()); n <= 2*pageLen {
		t.Fatalf("%d bytes are not many pages", n)
	}
	again := newTestKeeper(db, "")
	if err := again.Refresh(t.Context()); err != nil || !bytes.Equal(again.Map().Encode(), m.Encode()) {
		t.Fatalf("another server reads another map: %v", err)
	}
}

func TestKeeperStartsFromItsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ringmap")
	db := newDB()
	m, err := newTestKeeper(db, file).Init(t.Context(), grid(1, 1, 3, 2))
	if err != nil {
		t.Fatal(err)
	}
	k := newTestKeeper(downDB{}, file)
	if k.Map() == nil || !bytes.Equal(k.Map().Encode(), m.Encode()) {
		t.Fatal("a restart without a quorum has no map")
	}
	if err := k.Refresh(t.Context()); !errs.Is(err, errs.Unavailable) || k.Epoch() != 1 {
		t.Errorf("refresh without a quorum: %v, epoch %d", err, k.Epoch())
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if k := newTestKeeper(downDB{}, file); k.Map() != nil {
		t.Fatal("a damaged file was believed")
	}
	k = newTestKeeper(db, file)
	if err := k.Refresh(t.Context()); err != nil || k.Epoch() != 1 {
		t.Fatalf("a damaged file stands in the way: %v", err)
	}
	if k = newTestKeeper(downDB{}, file); k.Epoch() != 1 {
		t.Fatal("the damaged file was not replaced")
	}
	if left, _ := filepath.Glob(file + ".tmp*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestKeeperFollowsEpochs(t *testing.T) {
	defer goleak.VerifyNone(t)
	db := newDB()
	k := newTestKeeper(db, "")
	m, err := k.Init(t.Context(), grid(1, 1, 3, 2))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	changed := k.Changed()
	publish(t, db, withEpoch(t, m, 5))
	k.Hint(1) // old news
	k.Hint(5)
	<-changed // the manual clock never ticks: only the hint can have done it
	if k.Epoch() != 5 {
		t.Errorf("epoch %d, want 5", k.Epoch())
	}
	publish(t, db, withEpoch(t, m, 4)) // never back
	if err := k.Loop().Step(ctx); err != nil || k.Epoch() != 5 {
		t.Errorf("step: %v, epoch %d, want 5", err, k.Epoch())
	}
	cancel()
	if err := <-done; !errs.Is(err, errs.Canceled) {
		t.Errorf("Run: %v", err)
	}
}

// TestStoredMapBeatsTheFile: a cache file of a former ring has the same epoch.
func TestStoredMapBeatsTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ringmap")
	if _, err := newTestKeeper(newDB(), file).Init(t.Context(), grid(1, 1, 3, 2)); err != nil {
		t.Fatal(err)
	}
	db := newDB()
	want, err := newTestKeeper(db, "").Init(t.Context(), grid(1, 1, 4, 2))
	if err != nil {
		t.Fatal(err)
	}
	k := newTestKeeper(db, file)
	if err := k.Refresh(t.Context()); err != nil || len(k.Map().Nodes()) != len(want.Nodes()) {
		t.Fatalf("%v, %d nodes, want %d", err, len(k.Map().Nodes()), len(want.Nodes()))
	}
}

// TestRefreshTo asks only when it has to, and gives up with its context.
func TestRefreshTo(t *testing.T) {
	k := newTestKeeper(newDB(), "")
	if _, err := k.Init(t.Context(), grid(1, 1, 3, 2)); err != nil {
		t.Fatal(err)
	}
	k.cfg.DB = downDB{}
	if err := k.RefreshTo(t.Context(), 1); err != nil {
		t.Errorf("asked for an epoch that it has: %v", err)
	}
	if err := k.RefreshTo(t.Context(), 2); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a newer epoch without a quorum: %v", err)
	}
	k.busy <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.RefreshTo(ctx, 2); !errs.Is(err, errs.Canceled) {
		t.Errorf("waiting beyond its context: %v", err)
	}
}

func TestDamagedStoreIsRefused(t *testing.T) {
	db := newDB()
	k := newTestKeeper(db, "")
	m, err := k.Init(t.Context(), grid(1, 1, 3, 2))
	if err != nil {
		t.Fatal(err)
	}
	next := withEpoch(t, m, 2).Encode()
	h := head{2, uint64(len(next)), xxh3.Hash(next)}
	bad := bytes.Clone(next)
	bad[40] ^= 1
	key := pageKey(h.sum, 0)
	for name, c := range map[string]struct {
		page []byte
		want errs.Kind
	}{"no page": {nil, errs.NotFound}, "flipped bit": {bad, errs.Corrupt}, "short page": {next[:len(next)-1], errs.NotFound}, "long page": {append(bytes.Clone(next), 0), errs.Corrupt}} {
		db := newDB()
		if c.page != nil {
			if _, err := db.Do(t.Context(), meta.Command{Kind: kindPagePut, Key: key, Body: append(bytes.Clone(key), c.page...)}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := db.Do(t.Context(), meta.Command{Kind: "test.head.set", Key: headKey(), Body: h.encode()}); err != nil {
			t.Fatal(err)
		}
		k.cfg.DB = db
		if err := k.Refresh(t.Context()); !errs.Is(err, c.want) || k.Epoch() != 1 {
			t.Errorf("%s: %v, want %v; epoch %d", name, err, c.want, k.Epoch())
		}
	}
}

func TestHandlersRefuseBadBodies(t *testing.T) {
	db := newDB()
	for _, c := range []meta.Command{
		{Kind: kindPagePut}, {Kind: kindPagePut, Body: pageKey(1, 1)}, {Kind: kindPagePut, Body: bytes.Repeat([]byte{9}, 40)},
		{Kind: kindPagePut, Body: append(pageKey(1, 1), make([]byte, pageLen+1)...)},
		{Kind: kindMapInit}, {Kind: kindMapInit, Body: make([]byte, headLen)}, {Kind: kindMapInit, Body: head{1, uint64(MapLenMax) + 1, 0}.encode()},
	} {
		if _, err := db.Do(t.Context(), c); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s with %d bytes: %v", c.Kind, len(c.Body), err)
		}
	}
	if _, err := db.Query(t.Context(), meta.Command{Kind: kindPageGet, Body: []byte("x")}); !errs.Is(err, errs.Invalid) {
		t.Errorf("page get: %v", err)
	}
}
