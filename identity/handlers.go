package identity

import (
	"bytes"
	"encoding/json"
	"strings"

	"torc/internal/errs"
	"torc/meta"
)

// The kinds of commands, as they travel.
const (
	kindBootstrap     meta.Kind = "identity.bootstrap"
	kindAccountCreate meta.Kind = "identity.account.create"
	kindAccountList   meta.Kind = "identity.account.list"
	kindKeyCreate     meta.Kind = "identity.key.create"
	kindKeySet        meta.Kind = "identity.key.set"
	kindKeyDelete     meta.Kind = "identity.key.delete"
	kindKeyList       meta.Kind = "identity.key.list"
	kindLookup        meta.Kind = "identity.lookup"
)

// Plain tables, by first byte; docs/formats/records.md is the register.
const (
	tableAccount = 'a' // a | account id -> accountRecord
	tableName    = 'A' // A | 'n' name, 'e' e-mail in lower case -> account id
	tableRoot    = 'i' // i -> the root account's id
	tableKey     = 'k' // k | access key id -> keyRecord
	tableOwned   = 'K' // K | account id | access key id -> nothing
)

// format is the version in every record and message of this package.
const format = 1

func accountKey(id AccountID) []byte     { return append([]byte{tableAccount}, id...) }
func keyKey(id string) []byte            { return append([]byte{tableKey}, id...) }
func ownedPrefix(id AccountID) []byte    { return append([]byte{tableOwned}, id...) }
func nameKey(kind byte, s string) []byte { return append([]byte{tableName, kind}, s...) }

// accountRecord is an account as it is stored.
type accountRecord struct {
	Format int `json:"v"`
	Account
}

// keyRecord is an access key as it is stored: its secret sealed.
type keyRecord struct {
	Format  int          `json:"v"`
	ID      string       `json:"id"`
	Account AccountID    `json:"account"`
	Active  bool         `json:"active"`
	Created int64        `json:"created"` // milliseconds since 1970
	Secret  sealedSecret `json:"secret"`
}

// request is the body of every command of this package, reply every answer: a
// small vocabulary, rarely spoken, so JSON and one shape for all.
type request struct {
	Format  int       `json:"v"`
	Account Account   `json:"account,omitzero"`
	Key     keyRecord `json:"key,omitzero"`
	Owner   AccountID `json:"owner,omitempty"`
	After   string    `json:"after,omitempty"`
	Limit   int       `json:"limit,omitempty"`
}

type reply struct {
	Format   int         `json:"v"`
	Accounts []Account   `json:"accounts,omitempty"`
	Keys     []keyRecord `json:"keys,omitempty"`
	More     bool        `json:"more,omitempty"`
}

// Handlers returns what the database must evaluate for this package. All its
// records lie in one range today; when ranges split, the tables of this package
// stay together in the range that holds their interval.
func Handlers() []meta.Handler {
	define := func(kind meta.Kind, readOnly bool, eval func(meta.Txn, request) (reply, error)) meta.Handler {
		return meta.Handler{Kind: kind, ReadOnly: readOnly, Eval: func(txn meta.Txn, body []byte) ([]byte, error) {
			var q request
			if err := decode(string(kind), body, &q, &q.Format); err != nil {
				return nil, err
			}
			r, err := eval(txn, q)
			if err != nil {
				return nil, err
			}
			r.Format = format
			return json.Marshal(r)
		}}
	}
	return []meta.Handler{
		define(kindBootstrap, false, evalBootstrap),
		define(kindAccountCreate, false, evalAccountCreate),
		define(kindAccountList, true, evalAccountList),
		define(kindKeyCreate, false, evalKeyCreate),
		define(kindKeySet, false, evalKeySet),
		define(kindKeyDelete, false, evalKeyDelete),
		define(kindKeyList, true, evalKeyList),
		define(kindLookup, true, evalLookup),
	}
}

// decode reads strictly: an unknown field is a newer writer's meaning that this
// build would lose.
func decode(what string, b []byte, v any, version *int) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errs.E("identity: decode "+what, errs.Corrupt, "%v", err)
	}
	if *version != format {
		return errs.E("identity: decode "+what, errs.Corrupt, "format version %d, this build reads %d", *version, format)
	}
	return nil
}

func save(txn meta.Txn, key []byte, v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		txn.Set(key, b)
	}
	return errs.Wrap("identity: encode", err)
}

func loadAccount(txn meta.Txn, id AccountID) (accountRecord, error) {
	var a accountRecord
	v, err := txn.Get(accountKey(id))
	if err == nil && v == nil {
		err = errs.E("identity.account", errs.NotFound, "no account %q", id)
	}
	if err != nil {
		return a, err
	}
	return a, decode("account", v, &a, &a.Format)
}

func loadKey(txn meta.Txn, id string) (keyRecord, error) {
	var k keyRecord
	v, err := txn.Get(keyKey(id))
	if err == nil && v == nil {
		err = errs.E("identity.key", errs.NotFound, "no access key %q", id)
	}
	if err != nil {
		return k, err
	}
	return k, decode("access key", v, &k, &k.Format)
}

// evalBootstrap creates the root account and its key once in a cluster's life;
// later calls change nothing, also when that key was deleted since.
func evalBootstrap(txn meta.Txn, q request) (reply, error) {
	root, err := txn.Get([]byte{tableRoot})
	if err != nil {
		return reply{}, err
	}
	if root != nil {
		a, err := loadAccount(txn, AccountID(root))
		return reply{Accounts: []Account{a.Account}}, err
	}
	r, err := evalAccountCreate(txn, q)
	if err != nil {
		return reply{}, err
	}
	if _, err := evalKeyCreate(txn, q); err != nil {
		return reply{}, err
	}
	txn.Set([]byte{tableRoot}, []byte(q.Account.ID))
	return r, nil
}

func evalAccountCreate(txn meta.Txn, q request) (reply, error) {
	const op = "identity.account"
	a := q.Account
	taken := [][2]string{{string(accountKey(a.ID)), "id " + string(a.ID)}, {string(nameKey('n', a.Name)), "name " + a.Name}}
	if a.Email != "" {
		taken = append(taken, [2]string{string(nameKey('e', strings.ToLower(a.Email))), "e-mail address " + a.Email})
	}
	for _, t := range taken {
		v, err := txn.Get([]byte(t[0]))
		if err != nil {
			return reply{}, err
		}
		if v != nil {
			return reply{}, errs.E(op, errs.Exists, "an account with %s exists", t[1])
		}
	}
	a.Created = txn.Now().Time()
	if err := save(txn, accountKey(a.ID), accountRecord{format, a}); err != nil {
		return reply{}, err
	}
	for _, t := range taken[1:] {
		txn.Set([]byte(t[0]), []byte(a.ID))
	}
	return reply{Accounts: []Account{a}}, nil
}

func evalAccountList(txn meta.Txn, q request) (r reply, err error) {
	var bad error
	span := meta.Span{From: append(accountKey(AccountID(q.After)), 0), To: []byte{tableAccount + 1}}
	err = txn.Scan(span, func(_, v []byte) bool {
		if len(r.Accounts) >= q.Limit {
			r.More = true
			return false
		}
		var a accountRecord
		bad = decode("account", v, &a, &a.Format)
		r.Accounts = append(r.Accounts, a.Account)
		return bad == nil
	})
	if err == nil {
		err = bad
	}
	return r, err
}

// keysMax bounds the access keys of one account.
const keysMax = 1000

func evalKeyCreate(txn meta.Txn, q request) (reply, error) {
	const op = "identity.key"
	k := q.Key
	if _, err := loadAccount(txn, k.Account); err != nil {
		return reply{}, err
	}
	if v, err := txn.Get(keyKey(k.ID)); err != nil || v != nil {
		if err == nil {
			err = errs.E(op, errs.Exists, "access key %s exists", k.ID)
		}
		return reply{}, err
	}
	n := 0
	span := meta.Span{From: ownedPrefix(k.Account), To: meta.PrefixEnd(ownedPrefix(k.Account))}
	if err := txn.Scan(span, func(_, _ []byte) bool { n++; return n < keysMax }); err != nil {
		return reply{}, err
	}
	if n >= keysMax {
		return reply{}, errs.E(op, errs.TooLarge, "account %s has %d access keys, the most it can have", k.Account, keysMax)
	}
	k.Format, k.Created = format, txn.Now().Time().UnixMilli()
	txn.Set(append(ownedPrefix(k.Account), k.ID...), []byte{})
	return reply{Keys: []keyRecord{k}}, save(txn, keyKey(k.ID), k)
}

func evalKeySet(txn meta.Txn, q request) (reply, error) {
	k, err := loadKey(txn, q.Key.ID)
	if err != nil {
		return reply{}, err
	}
	k.Active = q.Key.Active
	return reply{}, save(txn, keyKey(k.ID), k)
}

func evalKeyDelete(txn meta.Txn, q request) (reply, error) {
	k, err := loadKey(txn, q.Key.ID)
	if err != nil {
		return reply{}, err
	}
	txn.Delete(keyKey(k.ID))
	txn.Delete(append(ownedPrefix(k.Account), k.ID...))
	return reply{}, nil
}

// evalKeyList lists an account's keys without their sealed secrets.
func evalKeyList(txn meta.Txn, q request) (reply, error) {
	if _, err := loadAccount(txn, q.Owner); err != nil {
		return reply{}, err
	}
	var ids []string
	prefix := ownedPrefix(q.Owner)
	err := txn.Scan(meta.Span{From: prefix, To: meta.PrefixEnd(prefix)}, func(k, _ []byte) bool {
		ids = append(ids, string(k[len(prefix):]))
		return len(ids) < keysMax
	})
	if err != nil {
		return reply{}, err
	}
	var r reply
	for _, id := range ids {
		k, err := loadKey(txn, id)
		if err != nil {
			return reply{}, err
		}
		k.Secret = sealedSecret{}
		r.Keys = append(r.Keys, k)
	}
	return r, nil
}

func evalLookup(txn meta.Txn, q request) (reply, error) {
	k, err := loadKey(txn, q.Key.ID)
	if err != nil {
		return reply{}, err
	}
	if !k.Active {
		return reply{}, errs.E("identity.key", errs.NotFound, "access key %q is not active", q.Key.ID)
	}
	a, err := loadAccount(txn, k.Account)
	return reply{Accounts: []Account{a.Account}, Keys: []keyRecord{k}}, err
}
