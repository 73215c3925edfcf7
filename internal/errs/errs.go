// Package errs is Torc's one error vocabulary.
//
// An error carries the operation that failed (named first), a Kind out of a
// closed set, a sentence a person understands, and the cause. Code decides by
// Kind; people read the sentence; each protocol edge has one table from Kind to
// its own answer. A Kind is itself an error, so errors.Is(err, errs.NotFound)
// works through any number of wrappings and over the network.
package errs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Kind classifies an error by what a caller can do about it. The values travel
// between servers: append, never renumber.
type Kind uint8

// The closed set of kinds.
const (
	// Other is an internal fault: a bug or an unclassified cause.
	Other Kind = iota
	// Invalid is bad input: retrying the same request cannot succeed.
	Invalid
	// NotFound: the thing named does not exist (or was deleted).
	NotFound
	// Exists: the thing to create is there already.
	Exists
	// Stale: a newer version is stored; nothing was changed.
	Stale
	// Precondition: the caller's condition (If-Match, version) does not hold; nothing was changed.
	Precondition
	// Conflict: a concurrent operation won; the caller may read and retry.
	Conflict
	// Permission: the caller may not do this.
	Permission
	// Corrupt: stored or received bytes fail their checksum or format.
	Corrupt
	// Full: no space; reads and deletes still work.
	Full
	// Unavailable: the peer, disk or quorum cannot serve now and the request had no effect; retry elsewhere or later.
	Unavailable
	// Unknown: the outcome is not known; the request may or may not have taken effect.
	Unknown
	// Timeout: the deadline passed; like Unknown, a write may have taken effect.
	Timeout
	// Canceled: the caller gave up.
	Canceled
	// Moved: the addressed node does not own the key under the current map; refresh and retry.
	Moved
	// TooLarge: a named limit is exceeded.
	TooLarge
	// Overload: a bounded queue is full; slow down and retry.
	Overload
	// Unsupported: the operation is not implemented here.
	Unsupported
	// OutOfRange: the byte range lies outside the data.
	OutOfRange
	// Closed: the component is shutting down or was closed.
	Closed
	kindEnd
)

var kindNames = [kindEnd]string{
	"internal error", "invalid", "not found", "already exists", "stale version",
	"precondition failed", "conflict", "permission denied", "corrupt", "no space",
	"unavailable", "outcome unknown", "timeout", "canceled", "moved", "too large",
	"overloaded", "not supported", "out of range", "closed",
}

// Error makes a Kind usable as the target of errors.Is.
func (k Kind) Error() string { return k.String() }

// String returns the kind's words, for example "not found".
func (k Kind) String() string {
	if k >= kindEnd {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return kindNames[k]
}

// Valid reports whether k is one of the closed set.
func (k Kind) Valid() bool { return k < kindEnd }

// Error is the concrete error of every package in Torc.
type Error struct {
	Op   string // the operation, "package.Func" or "package: verb noun"
	Kind Kind
	Msg  string // what happened, in words, with values and units; may be empty
	Err  error  // cause; may be nil
}

// Error renders "op: kind: message: cause", leaving out what is empty.
func (e *Error) Error() string {
	parts := make([]string, 0, 4)
	if e.Op != "" {
		parts = append(parts, e.Op)
	}
	if e.Msg != "" {
		parts = append(parts, e.Msg)
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	if e.Msg == "" && e.Err == nil {
		parts = append(parts, e.Kind.String())
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is this error's Kind.
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && k == e.Kind
}

// E builds an error of a kind with a formatted message. The message may be
// empty. A %w verb in the message keeps its operand reachable by errors.Is/As.
func E(op string, kind Kind, format string, args ...any) error {
	if format == "" {
		return &Error{Op: op, Kind: kind}
	}
	err := fmt.Errorf(format, args...)
	if errors.Unwrap(err) != nil {
		return &Error{Op: op, Kind: kind, Err: err}
	}
	return &Error{Op: op, Kind: kind, Msg: err.Error()}
}

// Wrap adds an operation to err and keeps its kind. Wrap(op, nil) is nil.
func Wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Kind: KindOf(err), Err: err}
}

// KindOf returns the kind of the outermost *Error or Kind in err's chain, maps
// context and file-system errors, and answers Other for the rest.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	var k Kind
	if errors.As(err, &k) {
		return k
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, fs.ErrNotExist):
		return NotFound
	case errors.Is(err, fs.ErrExist):
		return Exists
	case errors.Is(err, fs.ErrPermission):
		return Permission
	}
	return Other
}

// Is reports whether err is of the kind (also after Kind mapping of context errors).
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }
