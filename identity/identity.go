package identity

import (
	"context"
	"time"

	"torc/internal/errs"
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

// AccessKey is a long-term credential of an account.
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

// Service answers who a key belongs to.
type Service struct{}

// Lookup returns the credential of an active access key; NotFound otherwise.
func (s *Service) Lookup(ctx context.Context, accessKeyID string) (Credential, error) {
	return Credential{}, errs.Unsupported
}
