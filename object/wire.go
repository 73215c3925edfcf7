package object

import (
	"context"

	"torc/meta"
)

// empty is the body or reply that says nothing.
type empty struct{}

func (*empty) code(*coder) {}

// ptr lets generic code make a *T that is a message.
type ptr[T any] interface {
	*T
	message
}

// define makes a handler out of a typed function.
func define[Q, R any, PQ ptr[Q], PR ptr[R]](kind meta.Kind, readOnly bool, eval func(meta.Txn, *Q, *R) error) meta.Handler {
	return meta.Handler{Kind: kind, ReadOnly: readOnly, Eval: func(txn meta.Txn, body []byte) ([]byte, error) {
		var (
			q Q
			r R
		)
		if err := decode(string(kind), body, PQ(&q)); err != nil {
			return nil, toWire(err)
		}
		if err := eval(txn, &q, &r); err != nil {
			return nil, toWire(err)
		}
		return encode(PR(&r)), nil
	}}
}

// do sends a command, query a query; both decode the reply into r.
func do(ctx context.Context, db meta.DB, kind meta.Kind, key []byte, q, r message) error {
	b, err := db.Do(ctx, meta.Command{Kind: kind, Key: key, Body: encode(q)})
	return reply(kind, b, err, r)
}

func query(ctx context.Context, db meta.DB, kind meta.Kind, key []byte, q, r message) error {
	b, err := db.Query(ctx, meta.Command{Kind: kind, Key: key, Body: encode(q)})
	return reply(kind, b, err, r)
}

func reply(kind meta.Kind, b []byte, err error, r message) error {
	if err != nil {
		return fromWire(string(kind), err)
	}
	return decode("reply to "+string(kind), b, r)
}

// load reads one record; found is false when there is none.
func load(txn meta.Txn, what string, key []byte, m message) (found bool, err error) {
	v, err := txn.Get(key)
	if err != nil || v == nil {
		return false, err
	}
	return true, decode(what, v, m)
}

func store(txn meta.Txn, key []byte, m message) { txn.Set(key, encode(m)) }
