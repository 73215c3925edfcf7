package sigv4

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"torc/identity"
	"torc/internal/clock"
)

// A changed secret must miss the cache, and the cache must not grow.
func TestKeyCache(t *testing.T) {
	var c keyCache
	derived := 0
	get := func(id keyID) *signingKey {
		return c.get(id, func() *signingKey { derived++; return &signingKey{} })
	}
	old := keyID{accessKeyID: "a", date: "20130524", secret: [32]byte{1}}
	first := get(old)
	if get(old) != first || derived != 1 {
		t.Errorf("derived %d times", derived)
	}
	changed := old
	changed.secret[0] = 2
	if get(changed) == get(old) {
		t.Error("a changed secret finds the old key")
	}
	for i := range 2 * keyCacheMax {
		get(keyID{accessKeyID: strconv.Itoa(i)})
	}
	if len(c.keys) != keyCacheMax {
		t.Errorf("%d keys kept", len(c.keys))
	}
}

// rotating answers with whatever secret it holds now.
type rotating struct{ secret string }

func (r *rotating) Lookup(_ context.Context, id string) (identity.Credential, error) {
	return identity.Credential{Key: identity.AccessKey{ID: id, Secret: r.secret, Active: true}}, nil
}

func TestRotatedSecretIsRefusedAtOnce(t *testing.T) {
	store := &rotating{exampleSecret}
	v, err := New(Config{Region: exampleRegion, Clock: clock.NewManual(exampleTime()), Credentials: store})
	if err != nil {
		t.Fatal(err)
	}
	s := signedText(t)
	if err := verifyText(t, v, s); err != nil {
		t.Fatal(err)
	}
	store.secret = "another"
	wantCode(t, verifyText(t, v, s), SignatureDoesNotMatch)
}

func TestNothingPrintsTheKey(t *testing.T) {
	a := mustVerify(t, newVerifier(t, exampleTime()), parse(t, signedText(t)))
	key := a.key().b
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, value := range []any{a, *a, struct{ a *Auth }{a}, struct{ a Auth }{*a}, a.LogValue()} {
			out := fmt.Sprintf(format, value)
			for _, secret := range []string{exampleSecret, fmt.Sprintf("%v", key), fmt.Sprintf("%x", key), string(key[:])} {
				if strings.Contains(out, secret) || strings.Contains(out, strings.Trim(fmt.Sprintf("%#v", key), "[]32uint8{} ")) {
					t.Errorf("%s of %T prints the key", format, value)
				}
			}
		}
	}
}
