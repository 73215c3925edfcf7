package identity

import (
	"fmt"
	"log/slog"
	"time"
)

// CacheAge bounds how long a connector may believe a looked-up key.
const CacheAge = time.Second

// AccountID is 12 decimal digits.
type AccountID string

// Account is a tenant.
type Account struct {
	ID        AccountID
	Canonical string // 64 hex digits: the owner id that S3 shows
	Name      string
	Email     string
	Created   time.Time
}

// AccessKey is a long-term credential of an account. However it is printed or
// logged, its secret is not.
type AccessKey struct {
	ID      string // 20 characters, "AKIA..."
	Secret  string // 40 characters; empty when listed
	Account AccountID
	Active  bool
	Created time.Time
}

// Credential is what verifying a signature needs.
type Credential struct {
	Key     AccessKey
	Account Account
}

// String implements fmt.Stringer without the secret.
func (k AccessKey) String() string {
	state := "active"
	if !k.Active {
		state = "inactive"
	}
	return fmt.Sprintf("access key %s of account %s (%s)", k.ID, k.Account, state)
}

// GoString implements fmt.GoStringer without the secret.
func (k AccessKey) GoString() string { return k.String() }

// LogValue implements slog.LogValuer without the secret.
func (k AccessKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText implements encoding.TextMarshaler without the secret: a structure
// that holds a key cannot be encoded by accident.
func (k AccessKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Limits of names, in bytes.
const (
	NameLenMax  = 128
	EmailLenMax = 254 // RFC 5321, 4.5.3.1.3, less the angle brackets
)
