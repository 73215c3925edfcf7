package identity

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"torc/internal/clock"
	"torc/internal/errs"
	"torc/meta"
)

// Config is all that a Service needs. Zero limits take their defaults.
type Config struct {
	DB      meta.DB
	Clock   clock.Clock
	Log     *slog.Logger
	Keyring Keyring

	CacheKeysMax int `default:"10000" help:"looked-up access keys remembered for a second"`
}

// DefaultCacheKeysMax is CacheKeysMax's default.
const DefaultCacheKeysMax = 10000

// accountPageMax bounds one page of accounts.
const accountPageMax = 1000

// Service answers who a key belongs to. Safe for concurrent use.
type Service struct {
	cfg    Config
	sealer *sealer
	hits   *cache
	misses *cache // apart, so that a flood of made-up keys drives out no real one
}

// New returns a Service. It does no I/O.
func New(cfg Config) (*Service, error) {
	if cfg.DB == nil || cfg.Clock == nil || cfg.Log == nil {
		return nil, errs.E("identity.New", errs.Invalid, "DB, Clock and Log are required")
	}
	if cfg.CacheKeysMax <= 0 {
		cfg.CacheKeysMax = DefaultCacheKeysMax
	}
	s, err := newSealer(cfg.Keyring)
	if err != nil {
		return nil, errs.Wrap("identity.New", err)
	}
	return &Service{cfg: cfg, sealer: s, hits: newCache(cfg.CacheKeysMax), misses: newCache(cfg.CacheKeysMax)}, nil
}

// call sends one command and decodes the answer.
func (s *Service) call(ctx context.Context, op string, kind meta.Kind, key []byte, q request) (reply, error) {
	q.Format = format
	var r reply
	body, err := json.Marshal(q)
	if err != nil {
		return r, errs.Wrap(op, err)
	}
	send := s.cfg.DB.Do
	if kind == kindLookup || kind == kindAccountList || kind == kindKeyList {
		send = s.cfg.DB.Query
	}
	b, err := send(ctx, meta.Command{Kind: kind, Key: key, Body: body})
	if err == nil {
		err = decode("reply to "+string(kind), b, &r, &r.Format)
	}
	return r, errs.Wrap(op, err)
}

// Lookup returns the credential of an active access key; NotFound otherwise.
// The answer is at most CacheAge old.
func (s *Service) Lookup(ctx context.Context, accessKeyID string) (Credential, error) {
	const op = "identity.Lookup"
	if len(accessKeyID) == 0 || len(accessKeyID) > NameLenMax {
		return Credential{}, errs.E(op, errs.NotFound, "no access key %.200q", accessKeyID)
	}
	// The age counts from before the question: the answer may be as old as that.
	asked := s.cfg.Clock.Now()
	if c, ok := s.hits.get(accessKeyID, asked); ok {
		return c, nil
	}
	if _, ok := s.misses.get(accessKeyID, asked); ok {
		return Credential{}, errs.E(op, errs.NotFound, "no active access key %q", accessKeyID)
	}
	r, err := s.call(ctx, op, kindLookup, keyKey(accessKeyID), request{Key: keyRecord{ID: accessKeyID}})
	if err != nil {
		if errs.Is(err, errs.NotFound) {
			s.misses.put(accessKeyID, Credential{}, asked)
		}
		return Credential{}, err
	}
	if len(r.Keys) != 1 || len(r.Accounts) != 1 {
		return Credential{}, errs.E(op, errs.Corrupt, "answer of %d keys and %d accounts", len(r.Keys), len(r.Accounts))
	}
	k := r.Keys[0]
	c := Credential{Key: k.key(), Account: r.Accounts[0]}
	if c.Key.Secret, err = s.sealer.open(k.Secret, k.ID, k.Account); err != nil {
		return Credential{}, errs.Wrap(op, err)
	}
	s.hits.put(accessKeyID, c, asked)
	return c, nil
}

func (k keyRecord) key() AccessKey {
	return AccessKey{ID: k.ID, Account: k.Account, Active: k.Active, Created: time.UnixMilli(k.Created).UTC()}
}

// Bootstrap creates the root account with the given key, once in a cluster's
// life, and returns the account; any server may call it at every start. The
// account's id is root.Account, or a random one when that is empty.
func (s *Service) Bootstrap(ctx context.Context, root AccessKey) (Account, error) {
	const op = "identity.Bootstrap"
	if err := validKey(root); err != nil {
		return Account{}, errs.Wrap(op, err)
	}
	a, err := newAccount(root.Account, "root", "")
	if err != nil {
		return Account{}, errs.Wrap(op, err)
	}
	root.Account, root.Active = a.ID, true
	k, err := s.record(root)
	if err != nil {
		return Account{}, errs.Wrap(op, err)
	}
	r, err := s.call(ctx, op, kindBootstrap, []byte{tableRoot}, request{Account: a, Key: k})
	return r.account(err)
}

func (r reply) account(err error) (Account, error) {
	if err != nil || len(r.Accounts) != 1 {
		return Account{}, err
	}
	return r.Accounts[0], nil
}

// newAccount fills in what was not given.
func newAccount(id AccountID, name, email string) (Account, error) {
	const op = "identity: check account"
	var err error
	if id == "" {
		if id, err = newAccountID(); err != nil {
			return Account{}, err
		}
	}
	switch {
	case !validAccountID(id):
		return Account{}, errs.E(op, errs.Invalid, "account id %.50q: %d decimal digits", id, accountDigits)
	case name == "" || len(name) > NameLenMax:
		return Account{}, errs.E(op, errs.Invalid, "account name %.200q: 1 to %d bytes", name, NameLenMax)
	case len(email) > EmailLenMax:
		return Account{}, errs.E(op, errs.Invalid, "e-mail address of %d bytes, at most %d", len(email), EmailLenMax)
	}
	a := Account{ID: id, Name: name, Email: email}
	a.Canonical, err = newCanonical()
	return a, err
}

// record seals a key for the database.
func (s *Service) record(k AccessKey) (keyRecord, error) {
	sealed, err := s.sealer.seal(k.Secret, k.ID, k.Account)
	return keyRecord{Format: format, ID: k.ID, Account: k.Account, Active: k.Active, Secret: sealed}, err
}

// CreateAccount makes an account with a random id. Exists if the name or the
// e-mail address (may be empty) is taken.
func (s *Service) CreateAccount(ctx context.Context, name, email string) (Account, error) {
	const op = "identity.CreateAccount"
	a, err := newAccount("", name, email)
	if err != nil {
		return Account{}, errs.Wrap(op, err)
	}
	r, err := s.call(ctx, op, kindAccountCreate, accountKey(a.ID), request{Account: a})
	return r.account(err)
}

// Accounts lists accounts with ids > after, at most limit, and whether there are more.
func (s *Service) Accounts(ctx context.Context, after AccountID, limit int) ([]Account, bool, error) {
	limit = max(0, min(limit, accountPageMax))
	r, err := s.call(ctx, "identity.Accounts", kindAccountList, accountKey(after), request{After: string(after), Limit: limit})
	return r.Accounts, r.More && limit > 0, err
}

// CreateKey makes an access key for an account. The answer is the only one that
// ever holds its secret.
func (s *Service) CreateKey(ctx context.Context, account AccountID) (AccessKey, error) {
	const op = "identity.CreateKey"
	k, err := GenerateKey()
	if err != nil {
		return AccessKey{}, errs.Wrap(op, err)
	}
	k.Account = account
	rec, err := s.record(k)
	if err != nil {
		return AccessKey{}, errs.Wrap(op, err)
	}
	r, err := s.call(ctx, op, kindKeyCreate, keyKey(k.ID), request{Key: rec})
	if err != nil {
		return AccessKey{}, err
	}
	if len(r.Keys) == 1 {
		k.Created = r.Keys[0].key().Created
	}
	s.drop(k.ID)
	return k, nil
}

// Keys lists an account's access keys, without secrets.
func (s *Service) Keys(ctx context.Context, account AccountID) ([]AccessKey, error) {
	r, err := s.call(ctx, "identity.Keys", kindKeyList, accountKey(account), request{Owner: account})
	var keys []AccessKey
	for _, k := range r.Keys {
		keys = append(keys, k.key())
	}
	return keys, err
}

// SetKeyActive switches a key on or off; connectors follow within CacheAge.
func (s *Service) SetKeyActive(ctx context.Context, accessKeyID string, active bool) error {
	q := request{Key: keyRecord{ID: accessKeyID, Active: active}}
	_, err := s.call(ctx, "identity.SetKeyActive", kindKeySet, keyKey(accessKeyID), q)
	s.drop(accessKeyID)
	return err
}

// DeleteKey removes a key; connectors follow within CacheAge.
func (s *Service) DeleteKey(ctx context.Context, accessKeyID string) error {
	_, err := s.call(ctx, "identity.DeleteKey", kindKeyDelete, keyKey(accessKeyID), request{Key: keyRecord{ID: accessKeyID}})
	s.drop(accessKeyID)
	return err
}

// drop makes this connector forget at once what it changed itself.
func (s *Service) drop(accessKeyID string) {
	s.hits.drop(accessKeyID)
	s.misses.drop(accessKeyID)
}
