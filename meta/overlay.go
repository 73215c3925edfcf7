package meta

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/btree"
)

// overlay is a range's applied state with the writes of a group of commands on
// top of it, so that later commands of the group see earlier ones' writes.
// rollback takes back what was written since mark. Not safe for concurrent use.
type overlay struct {
	base   pebble.Reader
	writes *btree.BTreeG[op]
	undo   []undo
	bytes  int // of the ops in writes
}

type undo struct {
	was     op // key only, when there was none
	present bool
}

// overlayDegree is the B-tree's node size.
const overlayDegree = 16

func newOverlay(base pebble.Reader) *overlay {
	less := func(a, b op) bool { return bytes.Compare(a.key, b.key) < 0 }
	return &overlay{base: base, writes: btree.NewG(overlayDegree, less)}
}

// mark begins a command: rollback undoes to here.
func (o *overlay) mark() { o.undo = o.undo[:0] }

func (o *overlay) rollback() {
	for i := len(o.undo) - 1; i >= 0; i-- {
		u := o.undo[i]
		if u.present {
			old, _ := o.writes.ReplaceOrInsert(u.was)
			o.bytes += u.was.size() - old.size()
		} else if old, ok := o.writes.Delete(u.was); ok {
			o.bytes -= old.size()
		}
	}
	o.undo = o.undo[:0]
}

// write takes ownership of w's slices.
func (o *overlay) write(w op) {
	old, had := o.writes.ReplaceOrInsert(w)
	o.bytes += w.size()
	if had {
		o.bytes -= old.size()
		o.undo = append(o.undo, undo{was: old, present: true})
		return
	}
	o.undo = append(o.undo, undo{was: op{key: w.key}})
}

// dirty reports whether anything was written since mark.
func (o *overlay) dirty() bool { return len(o.undo) > 0 }

// ops returns the group's writes in key order.
func (o *overlay) ops() []op {
	out := make([]op, 0, o.writes.Len())
	o.writes.Ascend(func(w op) bool {
		out = append(out, w)
		return true
	})
	return out
}

func (w op) size() int { return len(w.key) + len(w.value) }

// get returns the value under key, or nil; a present empty value is not nil.
func (o *overlay) get(key []byte) ([]byte, error) {
	if o.writes.Len() > 0 {
		if w, ok := o.writes.Get(op{key: key}); ok {
			return w.value, nil // nil when deleted
		}
	}
	return get(o.base, dataKey(key))
}

// scan merges the writes into the base's records, in key order.
func (o *overlay) scan(s Span, fn func(key, value []byte) bool) (err error) {
	if s.To != nil && bytes.Compare(s.From, s.To) >= 0 {
		return nil
	}
	lower, upper := dataSpan(s)
	it, err := o.base.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := it.Close(); err == nil {
			err = cerr
		}
	}()
	valid, stopped := it.First(), false
	// below passes on the base's records under end; nil end means all.
	below := func(end []byte) {
		for valid && !stopped && (end == nil || bytes.Compare(it.Key()[1:], end) < 0) {
			stopped = !fn(it.Key()[1:], it.Value())
			valid = !stopped && it.Next()
		}
	}
	merge := func(w op) bool {
		if below(w.key); stopped {
			return false
		}
		if valid && bytes.Equal(it.Key()[1:], w.key) {
			valid = it.Next()
		}
		if !w.del {
			stopped = !fn(w.key, w.value)
		}
		return !stopped
	}
	if s.To == nil {
		o.writes.AscendGreaterOrEqual(op{key: s.From}, merge)
	} else {
		o.writes.AscendRange(op{key: s.From}, op{key: s.To}, merge)
	}
	if !stopped {
		below(nil)
	}
	return it.Error()
}
