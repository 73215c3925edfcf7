package meta

import (
	"context"

	"torc/internal/clock"
)

// Limits of commands and records, enforced with errs.TooLarge.
const (
	KeyLenMax   = 4096    // bytes of a key
	ValueLenMax = 4 << 20 // bytes of a value
	BodyLenMax  = 8 << 20 // bytes of a command's body or reply
)

// Kind names a command, "package.verb", for example "object.commit".
type Kind string

// Command is one request to the database.
type Command struct {
	Kind Kind
	// Key routes the command: the range holding this key (see LocalKey for
	// local keys) evaluates it.
	Key []byte
	// Body is decoded by the handler. Not retained after Do or Query returns.
	Body []byte
}

// DB is what object, identity and ring consume. Safe for concurrent use.
type DB interface {
	// Do evaluates a command that may write and returns the handler's reply once
	// its writes are durable on a quorum. Retries across leader changes are
	// internal and apply the command at most once.
	Do(ctx context.Context, c Command) ([]byte, error)
	// Query evaluates a read-only command linearizably.
	Query(ctx context.Context, c Command) ([]byte, error)
}

// Handler evaluates the commands of one kind.
type Handler struct {
	Kind Kind
	// ReadOnly handlers serve Query, the others Do. A ReadOnly handler gets a
	// Txn whose Set and Delete panic.
	ReadOnly bool
	// Eval must be a pure function of txn and body. It must not retain body,
	// nor anything read from txn, after it returns.
	Eval func(txn Txn, body []byte) (reply []byte, err error)
}

// Span is the half-open key interval [From, To); nil To means no upper end.
type Span struct{ From, To []byte }

// Reader reads the range's state: the applied state and the command's own writes.
type Reader interface {
	// Get returns the value or nil when absent. The slice is valid until the
	// handler returns.
	Get(key []byte) ([]byte, error)
	// Scan calls fn in ascending key order for each record of span, until fn
	// returns false. Slices are valid during the call only. fn must not write.
	Scan(span Span, fn func(key, value []byte) bool) error
	// Range returns the span of plain keys that this range holds. A scan beyond
	// To sees nothing: a handler that pages must answer where to go on.
	Range() Span
	// Now returns the database's clock: strictly increasing over all commands of
	// the range, over leader changes and restarts, and close to wall time.
	Now() clock.Timestamp
}

// Txn is a Reader that also writes. Nothing is visible to others, or kept,
// unless the handler returns a nil error.
type Txn interface {
	Reader
	// Set stores value under key; both are copied.
	Set(key, value []byte)
	// Delete removes key; absent is fine.
	Delete(key []byte)
}
