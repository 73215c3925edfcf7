package identity

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"strings"

	"torc/internal/errs"
)

// Shapes of generated identifiers; those of AWS, because clients check them.
const (
	accountDigits  = 12
	canonicalBytes = 32 // 64 hex digits
	keyPrefix      = "AKIA"
	keyRandomBytes = 10 // 16 characters of base32
	secretBytes    = 30 // 40 characters of base64
	secretLen      = 40
)

func randomBytes(n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := rand.Read(b)
	return b, errs.Wrap("identity: read random bytes", err)
}

// newAccountID returns 12 decimal digits, the first of them not zero.
func newAccountID() (AccountID, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(9e11))
	if err != nil {
		return "", errs.Wrap("identity: read random bytes", err)
	}
	return AccountID(n.Add(n, big.NewInt(1e11)).String()), nil
}

func newCanonical() (string, error) {
	b, err := randomBytes(canonicalBytes)
	return hex.EncodeToString(b), err
}

// GenerateKey makes an access key id and a secret from crypto/rand: for the root
// account of a new cluster, which Bootstrap then creates.
func GenerateKey() (AccessKey, error) {
	id, err := randomBytes(keyRandomBytes)
	if err != nil {
		return AccessKey{}, err
	}
	secret, err := randomBytes(secretBytes)
	if err != nil {
		return AccessKey{}, err
	}
	return AccessKey{
		ID:     keyPrefix + base32.StdEncoding.EncodeToString(id),
		Secret: base64.StdEncoding.EncodeToString(secret),
		Active: true,
	}, nil
}

func validAccountID(id AccountID) bool {
	return len(id) == accountDigits && strings.Trim(string(id), "0123456789") == ""
}

// validKey checks a key given from outside. Secrets of other clusters may be
// imported, so only the length counts.
func validKey(k AccessKey) error {
	const op = "identity: check key"
	if len(k.ID) < 16 || len(k.ID) > NameLenMax || strings.Trim(k.ID, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
		return errs.E(op, errs.Invalid, "access key id %.200q: 16 to %d capitals and digits", k.ID, NameLenMax)
	}
	if len(k.Secret) < secretLen || len(k.Secret) > NameLenMax {
		return errs.E(op, errs.Invalid, "the secret of %s has %d characters, want %d to %d", k.ID, len(k.Secret), secretLen, NameLenMax)
	}
	return nil
}
