package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"torc/internal/clock"
	"torc/internal/errs"
	"torc/meta"
)

var ctx = context.Background()

// flatDB passes errors on as the network does, counts, and shows what it stores.
type flatDB struct {
	meta.DB
	queries atomic.Int64
	bodies  bytes.Buffer
	down    bool
}

func (d *flatDB) Do(ctx context.Context, c meta.Command) ([]byte, error) {
	d.bodies.Write(c.Body)
	b, err := d.DB.Do(ctx, c)
	return b, flatten(err)
}

func (d *flatDB) Query(ctx context.Context, c meta.Command) ([]byte, error) {
	d.queries.Add(1)
	if d.down {
		return nil, errs.E("meta.Query", errs.Unavailable, "no leader")
	}
	b, err := d.DB.Query(ctx, c)
	return b, flatten(err)
}

func flatten(err error) error {
	if err == nil {
		return nil
	}
	return errs.E("meta", errs.KindOf(err), "%s", err.Error())
}

func ring(current string, ids ...string) Keyring {
	r := Keyring{Current: current, Keys: map[string][]byte{}}
	for _, id := range ids {
		r.Keys[id] = bytes.Repeat([]byte(id[:1]), RingKeyLen)
	}
	return r
}

type rig struct {
	t     *testing.T
	clock *clock.Manual
	db    *flatDB
	log   *bytes.Buffer
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, clock: clock.NewManual(time.UnixMilli(1_790_000_000_000)), log: &bytes.Buffer{}}
	r.db = &flatDB{DB: meta.NewMemory(r.clock, Handlers()...)}
	return r
}

func (r *rig) service(k Keyring) *Service {
	r.t.Helper()
	s, err := New(Config{DB: r.db, Clock: r.clock, Log: slog.New(slog.NewTextHandler(r.log, nil)), Keyring: k, CacheKeysMax: 8})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantKind(t *testing.T, err error, k errs.Kind) {
	t.Helper()
	if !errs.Is(err, k) {
		t.Fatalf("error %v, want kind %v", err, k)
	}
}

func TestBootstrapOnce(t *testing.T) {
	r := newRig(t)
	s := r.service(ring("one", "one"))
	root := must[AccessKey](t)(GenerateKey())
	a := must[Account](t)(s.Bootstrap(ctx, root))
	again := must[Account](t)(r.service(ring("one", "one")).Bootstrap(ctx, root))
	if a != again || len(a.ID) != 12 || len(a.Canonical) != 64 || a.Name != "root" {
		t.Fatalf("root %+v, then %+v", a, again)
	}
	c := must[Credential](t)(s.Lookup(ctx, root.ID))
	if c.Key.Secret != root.Secret || c.Account != a || !c.Key.Active || c.Key.Account != a.ID {
		t.Fatalf("credential of %s differs", root.ID)
	}
	// A deleted root key stays deleted whatever a server's configuration says.
	if err := s.DeleteKey(ctx, root.ID); err != nil {
		t.Fatal(err)
	}
	must[Account](t)(s.Bootstrap(ctx, root))
	_, err := s.Lookup(ctx, root.ID)
	wantKind(t, err, errs.NotFound)
	_, err = s.Bootstrap(ctx, AccessKey{ID: "short", Secret: root.Secret})
	wantKind(t, err, errs.Invalid)
	_, err = s.Bootstrap(ctx, AccessKey{ID: root.ID, Secret: "weak"})
	wantKind(t, err, errs.Invalid)
	_, err = s.Bootstrap(ctx, AccessKey{ID: root.ID, Secret: root.Secret, Account: "12"})
	wantKind(t, err, errs.Invalid)
}

func TestGivenRootAccount(t *testing.T) {
	r := newRig(t)
	k := must[AccessKey](t)(GenerateKey())
	k.Account = "000000000042"
	if a := must[Account](t)(r.service(ring("one", "one")).Bootstrap(ctx, k)); a.ID != "000000000042" {
		t.Fatalf("root has id %s", a.ID)
	}
}

func TestGeneratedShapes(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		k := must[AccessKey](t)(GenerateKey())
		if len(k.ID) != 20 || !strings.HasPrefix(k.ID, "AKIA") || len(k.Secret) != 40 || validKey(k) != nil || seen[k.ID] || seen[k.Secret] {
			t.Fatalf("bad or repeated key %s", k.ID)
		}
		seen[k.ID], seen[k.Secret] = true, true
		id := must[AccountID](t)(newAccountID())
		if !validAccountID(id) || id[0] == '0' {
			t.Fatalf("bad account id %s", id)
		}
	}
}

func TestAccounts(t *testing.T) {
	r := newRig(t)
	s := r.service(ring("one", "one"))
	want := map[AccountID]bool{}
	for i := range 7 {
		a := must[Account](t)(s.CreateAccount(ctx, fmt.Sprintf("n%d", i), fmt.Sprintf("N%d@x.org", i)))
		want[a.ID] = true
	}
	_, err := s.CreateAccount(ctx, "n3", "")
	wantKind(t, err, errs.Exists)
	_, err = s.CreateAccount(ctx, "other", "n3@X.org")
	wantKind(t, err, errs.Exists)
	_, err = s.CreateAccount(ctx, "", "")
	wantKind(t, err, errs.Invalid)
	_, err = s.CreateAccount(ctx, "n", strings.Repeat("e", EmailLenMax+1))
	wantKind(t, err, errs.Invalid)
	for _, name := range []string{"x", "y"} { // accounts without an address do not collide
		want[must[Account](t)(s.CreateAccount(ctx, name, "")).ID] = true
	}
	var after AccountID
	for {
		page, more, err := s.Accounts(ctx, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page {
			if !want[a.ID] || a.ID <= after {
				t.Fatalf("unexpected account %s after %s", a.ID, after)
			}
			delete(want, a.ID)
			after = a.ID
		}
		if !more {
			break
		}
	}
	if len(want) != 0 {
		t.Fatalf("not listed: %v", want)
	}
}

func TestKeys(t *testing.T) {
	r := newRig(t)
	s := r.service(ring("one", "one"))
	a := must[Account](t)(s.CreateAccount(ctx, "a", ""))
	k1 := must[AccessKey](t)(s.CreateKey(ctx, a.ID))
	k2 := must[AccessKey](t)(s.CreateKey(ctx, a.ID))
	_, err := s.CreateKey(ctx, "999999999999")
	wantKind(t, err, errs.NotFound)
	keys := must[[]AccessKey](t)(s.Keys(ctx, a.ID))
	if len(keys) != 2 || keys[0].Secret != "" || keys[1].Secret != "" || keys[0].Account != a.ID {
		t.Fatalf("keys %v", keys)
	}
	_, err = s.Keys(ctx, "999999999999")
	wantKind(t, err, errs.NotFound)
	if err := s.SetKeyActive(ctx, k1.ID, false); err != nil {
		t.Fatal(err)
	}
	_, err = s.Lookup(ctx, k1.ID)
	wantKind(t, err, errs.NotFound)
	if err := s.SetKeyActive(ctx, k1.ID, true); err != nil {
		t.Fatal(err)
	}
	if c := must[Credential](t)(s.Lookup(ctx, k1.ID)); c.Key.Secret != k1.Secret {
		t.Fatal("another secret came back")
	}
	if err := s.DeleteKey(ctx, k2.ID); err != nil {
		t.Fatal(err)
	}
	wantKind(t, s.DeleteKey(ctx, k2.ID), errs.NotFound)
	wantKind(t, s.SetKeyActive(ctx, k2.ID, true), errs.NotFound)
	if keys := must[[]AccessKey](t)(s.Keys(ctx, a.ID)); len(keys) != 1 || keys[0].ID != k1.ID {
		t.Fatalf("keys %v", keys)
	}
}

// TestCache: another connector revokes; this one follows within CacheAge, and
// neither hits nor misses ask more often than that.
func TestCache(t *testing.T) {
	r := newRig(t)
	s, other := r.service(ring("one", "one")), r.service(ring("one", "one"))
	a := must[Account](t)(s.CreateAccount(ctx, "a", ""))
	k := must[AccessKey](t)(s.CreateKey(ctx, a.ID))
	lookup := func() error { _, err := s.Lookup(ctx, k.ID); return err }
	for range 3 {
		if err := lookup(); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.db.queries.Load(); n != 1 {
		t.Fatalf("%d queries for three lookups", n)
	}
	if err := other.SetKeyActive(ctx, k.ID, false); err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(CacheAge - 1)
	if err := lookup(); err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(1)
	wantKind(t, lookup(), errs.NotFound)
	wantKind(t, lookup(), errs.NotFound)
	if n := r.db.queries.Load(); n != 2 {
		t.Fatalf("%d queries, want 2: misses are remembered too", n)
	}
	r.clock.Advance(CacheAge)
	r.db.down = true
	wantKind(t, lookup(), errs.Unavailable)
	r.db.down = false
	wantKind(t, lookup(), errs.NotFound)
	for i := range 100 {
		_, err := s.Lookup(ctx, fmt.Sprintf("AKIA%016d", i))
		wantKind(t, err, errs.NotFound)
	}
	if len(s.misses.m) > 8 || len(s.hits.m) > 8 {
		t.Fatalf("cache of %d misses and %d hits, at most 8", len(s.misses.m), len(s.hits.m))
	}
	r.clock.Set(r.clock.Now().Add(-time.Hour)) // an entry from the future is not believed
	before := r.db.queries.Load()
	_ = lookup()
	if r.db.queries.Load() == before {
		t.Fatal("a clock set back made the cache believe for longer")
	}
}

// TestRotation: old records open under the old ring key, new ones need the new.
func TestRotation(t *testing.T) {
	r := newRig(t)
	s := r.service(ring("one", "one"))
	a := must[Account](t)(s.CreateAccount(ctx, "a", ""))
	old := must[AccessKey](t)(s.CreateKey(ctx, a.ID))
	both := r.service(ring("two", "one", "two"))
	young := must[AccessKey](t)(both.CreateKey(ctx, a.ID))
	for _, k := range []AccessKey{old, young} {
		if c := must[Credential](t)(both.Lookup(ctx, k.ID)); c.Key.Secret != k.Secret {
			t.Fatal("another secret came back")
		}
	}
	_, err := s.Lookup(ctx, young.ID)
	wantKind(t, err, errs.Corrupt)
	if !strings.Contains(err.Error(), `"two"`) {
		t.Fatalf("error %v does not name the missing ring key", err)
	}
}

// TestSealBinds: a sealed secret opens only in its own record, whole.
func TestSealBinds(t *testing.T) {
	s, err := newSealer(ring("one", "one"))
	if err != nil {
		t.Fatal(err)
	}
	box, err := s.seal("secret", "AKIA1", "1")
	if err != nil {
		t.Fatal(err)
	}
	for i := range box.Box {
		bad := sealedSecret{box.Ring, bytes.Clone(box.Box)}
		bad.Box[i] ^= 1
		_, err := s.open(bad, "AKIA1", "1")
		wantKind(t, err, errs.Corrupt)
		_, err = s.open(sealedSecret{box.Ring, box.Box[:i]}, "AKIA1", "1")
		wantKind(t, err, errs.Corrupt)
	}
	_, err = s.open(box, "AKIA2", "1")
	wantKind(t, err, errs.Corrupt)
	_, err = s.open(box, "AKIA1", "2")
	wantKind(t, err, errs.Corrupt)
	for _, bad := range []Keyring{{}, {Current: "x"}, {Current: "x", Keys: map[string][]byte{"x": make([]byte, 16)}},
		{Current: "", Keys: map[string][]byte{"": make([]byte, 32)}}} {
		_, err := newSealer(bad)
		wantKind(t, err, errs.Invalid)
	}
}

// TestSecretsStayInside looks for secrets wherever they could leak.
func TestSecretsStayInside(t *testing.T) {
	r := newRig(t)
	keys := ring("one", "one")
	s := r.service(keys)
	root := must[AccessKey](t)(GenerateKey())
	must[Account](t)(s.Bootstrap(ctx, root))
	c := must[Credential](t)(s.Lookup(ctx, root.ID))
	js := must[[]byte](t)(json.Marshal(c))
	out := fmt.Sprintf("%v %+v %#v %s %v %#v %s", c, c, c, c.Key, keys, keys, js)
	s.cfg.Log.Info("x", "key", c.Key, "credential", c, "ring", keys)
	bad := root
	bad.Secret = root.Secret[:39]
	_, err := s.Bootstrap(ctx, bad)
	wantKind(t, err, errs.Invalid)
	out += r.log.String() + r.db.bodies.String() + err.Error()
	for _, secret := range []string{root.Secret, bad.Secret, string(keys.Keys["one"]), "111 111"} {
		if strings.Contains(out, secret) {
			t.Fatalf("%d characters of a secret leaked", len(secret))
		}
	}
	if !strings.Contains(out, root.ID) {
		t.Fatal("the renderings say nothing at all")
	}
}

// FuzzHandlers: no body makes a handler panic, or write after an error.
func FuzzHandlers(f *testing.F) {
	f.Add(0, []byte(`{"v":1}`))
	f.Add(3, []byte(`{"v":1,"key":{"id":"AKIA","account":"1","secret":{"ring":"r","box":"AA=="}}}`))
	f.Add(1, []byte(`{"v":2}`))
	f.Add(2, []byte(`{"v":1,"unknown":1}`))
	hs := Handlers()
	f.Fuzz(func(t *testing.T, i int, body []byte) {
		h := hs[uint(i)%uint(len(hs))]
		db := meta.NewMemory(clock.NewManual(time.UnixMilli(1)), h)
		if h.ReadOnly {
			_, _ = db.Query(ctx, meta.Command{Kind: h.Kind, Body: body})
			return
		}
		_, _ = db.Do(ctx, meta.Command{Kind: h.Kind, Body: body})
	})
}
