package meta

import (
	"bytes"

	"torc/internal/clock"
	"torc/internal/errs"
)

// txn is the Txn of one evaluation. A misuse that the interface cannot report
// (a key out of range in Set) is kept in err and fails the command.
type txn struct {
	over     *overlay
	span     Span // the range's plain keys
	readOnly bool
	tick     func() clock.Timestamp // called at most once
	now      clock.Timestamp
	err      error
}

func (t *txn) Get(key []byte) ([]byte, error) {
	if err := t.check(key); err != nil {
		return nil, err
	}
	return t.over.get(key)
}

func (t *txn) Scan(s Span, fn func(key, value []byte) bool) error {
	if len(s.From) == 0 || s.From[0] == prefixSystem {
		s.From = []byte{prefixLocal}
	}
	return t.over.scan(s, fn)
}

func (t *txn) Range() Span { return t.span }

func (t *txn) Now() clock.Timestamp {
	if t.now == 0 {
		t.now = t.tick()
	}
	return t.now
}

func (t *txn) Set(key, value []byte) {
	if t.mayWrite(key, value) {
		t.over.write(op{key: bytes.Clone(key), value: append(make([]byte, 0, len(value)), value...)})
	}
}

func (t *txn) Delete(key []byte) {
	if t.mayWrite(key, nil) {
		t.over.write(op{key: bytes.Clone(key), del: true})
	}
}

func (t *txn) mayWrite(key, value []byte) bool {
	if t.readOnly {
		panic("meta: a read-only handler writes")
	}
	if t.err == nil {
		t.err = checkWrite(key, value)
	}
	if t.err == nil {
		t.err = t.check(key)
	}
	return t.err == nil
}

// check refuses keys that this range does not hold.
func (t *txn) check(key []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if t.span.To == nil && len(t.span.From) == 1 && t.span.From[0] == PrefixPlain {
		return nil // the range of everything
	}
	at, err := anchorOf(key)
	if err != nil {
		return err
	}
	if !t.span.holds(at) {
		return errs.E("meta.Txn", errs.Invalid, "key %.64x lies outside the command's range", key)
	}
	return nil
}

// checkKey refuses what is not a key for commands.
func checkKey(key []byte) error {
	switch {
	case len(key) > KeyLenMax:
		return errs.E("meta.Txn", errs.TooLarge, "key of %d bytes; at most %d", len(key), KeyLenMax)
	case len(key) == 0 || key[0] == prefixSystem:
		return errs.E("meta.Txn", errs.Invalid, "key %.64x is not a plain or local key", key)
	}
	return nil
}

func checkWrite(key, value []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if len(value) > ValueLenMax {
		return errs.E("meta.Txn", errs.TooLarge, "value of %d bytes; at most %d", len(value), ValueLenMax)
	}
	return nil
}

// anchorOf returns the plain key that decides which range holds key.
func anchorOf(key []byte) ([]byte, error) {
	if len(key) > 0 && key[0] == prefixLocal {
		_, anchor, _, err := SplitLocalKey(key)
		return anchor, err
	}
	return key, nil
}

// holds reports whether the plain key lies in s. A local key's anchor may be
// empty or below the plain keys; such anchors belong to the first range.
func (s Span) holds(plain []byte) bool {
	first := len(s.From) == 0 || (len(s.From) == 1 && s.From[0] == PrefixPlain)
	return (first || bytes.Compare(plain, s.From) >= 0) && (s.To == nil || bytes.Compare(plain, s.To) < 0)
}
