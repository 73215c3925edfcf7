package chunk

import (
	"bytes"
	"context"
	"sync"

	"torc/internal/errs"
)

// Op names an operation of a Store, or all of them.
type Op uint8

const (
	OpAny Op = iota
	OpPut
	OpGet
	OpStat
	OpDelete
	OpList

	opCount
)

// Fault is one way to misbehave. The zero Fault does nothing to every call.
// What it asks for happens in the order of the fields.
type Fault struct {
	Op    Op             // which operation it hits
	Match func(Key) bool // which keys; nil hits all (and is the only one to hit List)
	Times int            // how many calls it hits before it is spent; 0: no end

	// Hit is called as a call is hit, before anything happens to it.
	Hit func()
	// Hold keeps the call waiting until Hold is closed or receives, or the call's
	// context ends; nothing has happened to the store yet then.
	Hold <-chan struct{}
	// Err is the answer. Unless Applied, the store is not touched.
	Err     error
	Applied bool // the write takes effect before Err: an outcome not known to the caller
	// Drop acknowledges a Put or Delete and does nothing: a lying disk.
	Drop bool
	// HoldAck keeps the answer back as Hold does, once the effect has taken place.
	HoldAck <-chan struct{}
	// Flip inverts one bit in the middle of the bytes that Get returns: wrong
	// bytes that no checksum below noticed.
	Flip bool
}

// Faulty is a ListStore that misbehaves on request and otherwise passes every
// call on. It is for tests: which call is hit depends on the order of calls
// alone, never on time or chance. Safe for concurrent use.
type Faulty struct {
	inner ListStore

	mu     sync.Mutex
	down   bool
	faults []*armed
	calls  [opCount]int
}

type armed struct {
	Fault
	left int // calls still to hit; < 0: no end
}

// NewFaulty wraps s.
func NewFaulty(s ListStore) *Faulty { return &Faulty{inner: s} }

// Inject adds a fault behind those already there; a call is hit by the first
// that matches. remove takes it away again; calls it holds stay held.
func (f *Faulty) Inject(fault Fault) (remove func()) {
	a := &armed{Fault: fault, left: fault.Times}
	if fault.Times == 0 {
		a.left = -1
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, a)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		a.left = 0
	}
}

// Clear removes all faults and brings the store up.
func (f *Faulty) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults, f.down = nil, false
}

// SetDown makes every call fail with errs.Unavailable, or stops doing so.
// Faults wait while the store is down.
func (f *Faulty) SetDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

// Calls returns how many calls of op (all for OpAny) came in.
func (f *Faulty) Calls(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// arrive counts a call and picks what happens to it.
func (f *Faulty) arrive(op Op, k *Key) (Fault, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[op]++
	f.calls[OpAny]++
	if f.down {
		return Fault{}, errs.E("chunk.Faulty", errs.Unavailable, "the store is down")
	}
	for _, a := range f.faults {
		matches := a.Match == nil || k != nil && a.Match(*k)
		if a.left != 0 && (a.Op == OpAny || a.Op == op) && matches {
			a.left = max(-1, a.left-1)
			return a.Fault, nil
		}
	}
	return Fault{}, nil
}

// before runs the part of a fault that precedes the effect. done means that err
// is the answer and the store stays untouched.
func (f *Faulty) before(ctx context.Context, op Op, k *Key) (fault Fault, done bool, err error) {
	fault, err = f.arrive(op, k)
	if err != nil {
		return fault, true, err
	}
	if fault.Hit != nil {
		fault.Hit()
	}
	if err := hold(ctx, fault.Hold); err != nil {
		return fault, true, err
	}
	if fault.Err != nil && !fault.Applied {
		return fault, true, fault.Err
	}
	return fault, false, nil
}

// after runs the part of a fault that follows the effect.
func (f Fault) after(ctx context.Context, err error) error {
	if held := hold(ctx, f.HoldAck); held != nil {
		return held
	}
	if f.Err != nil {
		return f.Err
	}
	return err
}

func hold(ctx context.Context, c <-chan struct{}) error {
	if c == nil {
		return nil
	}
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return errs.Wrap("chunk.Faulty", ctx.Err())
	}
}

// write runs a Put or Delete through the fault that hits it.
func (f *Faulty) write(ctx context.Context, op Op, k Key, do func() (Receipt, error)) (Receipt, error) {
	fault, done, err := f.before(ctx, op, &k)
	if done {
		return Receipt{}, err
	}
	r := Receipt{Want: 1, Durable: 1}
	if !fault.Drop {
		r, err = do()
	}
	if err = fault.after(ctx, err); err != nil {
		return Receipt{}, err
	}
	return r, nil
}

// Put implements Putter.
func (f *Faulty) Put(ctx context.Context, w Write) (Receipt, error) {
	return f.write(ctx, OpPut, w.Key, func() (Receipt, error) { return f.inner.Put(ctx, w) })
}

// Delete implements Deleter.
func (f *Faulty) Delete(ctx context.Context, k Key, v Version) (Receipt, error) {
	return f.write(ctx, OpDelete, k, func() (Receipt, error) { return f.inner.Delete(ctx, k, v) })
}

// Get implements Getter.
func (f *Faulty) Get(ctx context.Context, k Key, r Range) (*Chunk, error) {
	fault, done, err := f.before(ctx, OpGet, &k)
	if done {
		return nil, err
	}
	c, err := f.inner.Get(ctx, k, r)
	if err = fault.after(ctx, err); err != nil {
		c.Release()
		return nil, err
	}
	if fault.Flip && len(c.Data) > 0 {
		wrong := bytes.Clone(c.Data)
		wrong[len(wrong)/2] ^= 1
		info := c.Info
		c.Release()
		c = NewChunk(info, wrong, nil)
	}
	return c, nil
}

// Stat implements Getter.
func (f *Faulty) Stat(ctx context.Context, k Key) (Info, error) {
	fault, done, err := f.before(ctx, OpStat, &k)
	if done {
		return Info{}, err
	}
	info, err := f.inner.Stat(ctx, k)
	if err = fault.after(ctx, err); err != nil {
		return Info{}, err
	}
	return info, nil
}

// List implements Lister.
func (f *Faulty) List(ctx context.Context, after *Key, limit int) ([]Info, error) {
	fault, done, err := f.before(ctx, OpList, nil)
	if done {
		return nil, err
	}
	infos, err := f.inner.List(ctx, after, limit)
	if err = fault.after(ctx, err); err != nil {
		return nil, err
	}
	return infos, nil
}
