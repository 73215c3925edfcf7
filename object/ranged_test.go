package object

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"torc/internal/clock"
	"torc/meta"
)

// ranged is the database as it will be when its key space is split: the tables
// of objects are cut into ranges, a command sees the range that its key routes
// to and may write nothing else of them. The other tables are in every range's
// sight, which openBucket and fence say will have to be so.
type ranged struct {
	db     *meta.Memory
	mu     sync.Mutex
	splits [][]byte // plain keys, ascending
	cur    meta.Span
}

func newRanged(c clock.Clock) *ranged {
	r := &ranged{}
	var hs []meta.Handler
	for _, h := range Handlers() {
		eval := h.Eval
		h.Eval = func(txn meta.Txn, body []byte) ([]byte, error) { return eval(rangedTxn{txn, r.cur}, body) }
		hs = append(hs, h)
	}
	r.db = meta.NewMemory(c, hs...)
	return r
}

// split cuts the range that holds plain in two before it.
func (r *ranged) split(plain []byte) {
	r.splits = append(r.splits, plain)
	slices.SortFunc(r.splits, bytes.Compare)
}

func (r *ranged) route(key []byte) {
	if key[0] < meta.PrefixPlain {
		_, anchor, _, err := meta.SplitLocalKey(key)
		if err != nil {
			panic(err)
		}
		key = anchor
	}
	r.cur = meta.Span{From: []byte{meta.PrefixPlain}}
	for _, s := range r.splits {
		if bytes.Compare(s, key) <= 0 {
			r.cur.From = s
		} else {
			r.cur.To = s
			return
		}
	}
}

func (r *ranged) Do(ctx context.Context, c meta.Command) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.route(c.Key)
	return r.db.Do(ctx, c)
}

func (r *ranged) Query(ctx context.Context, c meta.Command) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.route(c.Key)
	return r.db.Query(ctx, c)
}

type rangedTxn struct {
	meta.Txn
	cur meta.Span
}

func (t rangedTxn) Range() meta.Span { return t.cur }

// check panics when a command touches a key of objects outside its range.
func (t rangedTxn) check(key []byte) {
	span := t.cur
	switch {
	case key[0] < meta.PrefixPlain:
		span = meta.LocalSpan(key[1], t.cur.From, t.cur.To)
	case key[0] != tableObject:
		return
	}
	if bytes.Compare(key, span.From) < 0 || span.To != nil && bytes.Compare(key, span.To) >= 0 {
		panic(fmt.Sprintf("key %q is not in the command's range %q", key, t.cur))
	}
}

func (t rangedTxn) Get(key []byte) ([]byte, error) { t.check(key); return t.Txn.Get(key) }
func (t rangedTxn) Set(key, value []byte)          { t.check(key); t.Txn.Set(key, value) }
func (t rangedTxn) Delete(key []byte)              { t.check(key); t.Txn.Delete(key) }

func (t rangedTxn) Scan(span meta.Span, fn func(key, value []byte) bool) error {
	clip := t.cur
	switch {
	case span.From[0] < meta.PrefixPlain:
		clip = meta.LocalSpan(span.From[1], t.cur.From, t.cur.To)
	case span.From[0] != tableObject:
		return t.Txn.Scan(span, fn)
	}
	if bytes.Compare(span.From, clip.From) < 0 {
		span.From = clip.From
	}
	if span.To == nil || clip.To != nil && bytes.Compare(clip.To, span.To) < 0 {
		span.To = clip.To
	}
	if span.To != nil && bytes.Compare(span.From, span.To) >= 0 {
		return nil
	}
	return t.Txn.Scan(span, fn)
}
