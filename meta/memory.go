package meta

import (
	"bytes"
	"context"
	"sort"
	"sync"

	"torc/internal/clock"
	"torc/internal/errs"
)

// Memory is a DB of one range in a sorted slice: the model that the replicated
// database is compared with, and the database of other packages' tests.
type Memory struct {
	mu       sync.Mutex
	handlers map[Kind]Handler
	hlc      *clock.HLC
	recs     []record
}

type record struct{ key, value []byte }

// NewMemory returns an empty database serving handlers.
func NewMemory(c clock.Clock, handlers ...Handler) *Memory {
	m := &Memory{handlers: map[Kind]Handler{}, hlc: clock.NewHLC(c, 0)}
	for _, h := range handlers {
		m.handlers[h.Kind] = h
	}
	return m
}

// Do implements DB.
func (m *Memory) Do(ctx context.Context, c Command) ([]byte, error) { return m.eval(ctx, c, false) }

// Query implements DB.
func (m *Memory) Query(ctx context.Context, c Command) ([]byte, error) { return m.eval(ctx, c, true) }

func (m *Memory) eval(ctx context.Context, c Command, readOnly bool) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, errs.Wrap("meta.Memory", err)
	}
	if err := checkCommand(c); err != nil {
		return nil, err
	}
	h, ok := m.handlers[c.Kind]
	if !ok || h.ReadOnly != readOnly {
		return nil, errs.E("meta.Memory", errs.Unsupported, "no handler for %s", c.Kind)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	txn := &memTxn{recs: m.recs, now: m.hlc.Now(), readOnly: readOnly}
	reply, err := safeEval(h, txn, c.Body)
	if err == nil {
		err = txn.err
	}
	if err != nil {
		return nil, err
	}
	m.recs = txn.recs
	return reply, nil
}

// memTxn works on a private copy of the slice header; writes copy the slice.
type memTxn struct {
	recs     []record
	now      clock.Timestamp
	readOnly bool
	copied   bool
	err      error // of a write that could not report it; fails the command
}

func (t *memTxn) find(key []byte) (int, bool) {
	i := sort.Search(len(t.recs), func(i int) bool { return bytes.Compare(t.recs[i].key, key) >= 0 })
	return i, i < len(t.recs) && bytes.Equal(t.recs[i].key, key)
}

func (t *memTxn) Get(key []byte) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if i, ok := t.find(key); ok {
		return t.recs[i].value, nil
	}
	return nil, nil
}

func (t *memTxn) Scan(span Span, fn func(key, value []byte) bool) error {
	i, _ := t.find(span.From)
	for ; i < len(t.recs); i++ {
		if span.To != nil && bytes.Compare(t.recs[i].key, span.To) >= 0 {
			return nil
		}
		if !fn(t.recs[i].key, t.recs[i].value) {
			return nil
		}
	}
	return nil
}

func (t *memTxn) Range() Span { return Span{From: []byte{PrefixPlain}} }

func (t *memTxn) Now() clock.Timestamp { return t.now }

func (t *memTxn) Set(key, value []byte) {
	if !t.write(key, value) {
		return
	}
	r := record{bytes.Clone(key), append([]byte{}, value...)}
	i, ok := t.find(key)
	if ok {
		t.recs[i] = r
		return
	}
	t.recs = append(t.recs, record{})
	copy(t.recs[i+1:], t.recs[i:])
	t.recs[i] = r
}

func (t *memTxn) Delete(key []byte) {
	if !t.write(key, nil) {
		return
	}
	if i, ok := t.find(key); ok {
		t.recs = append(t.recs[:i], t.recs[i+1:]...)
	}
}

// write prepares for a write; false when the command has failed.
func (t *memTxn) write(key, value []byte) bool {
	if t.readOnly {
		panic("meta: a read-only handler writes")
	}
	if t.err == nil {
		t.err = checkWrite(key, value)
	}
	if !t.copied {
		t.recs = append([]record(nil), t.recs...)
		t.copied = true
	}
	return t.err == nil
}
