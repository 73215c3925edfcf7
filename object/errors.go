package object

import (
	"errors"

	"torc/internal/errs"
)

// Reason refines an error's kind where callers must tell causes apart. It
// travels as text inside errors returned by meta handlers; ReasonOf finds it.
type Reason string

// The reasons.
const (
	NoBucket       Reason = "no such bucket"
	NoKey          Reason = "no such key"
	NoUpload       Reason = "no such upload"
	BucketExists   Reason = "bucket exists"
	BucketNotEmpty Reason = "bucket not empty"
	InvalidPart    Reason = "invalid part"
	PartOrder      Reason = "part order"
	PartTooSmall   Reason = "part too small"
	KeyTooLong     Reason = "key too long"
	BodyTooShort   Reason = "body shorter than declared"
	BodyTooLong    Reason = "body longer than declared"
	SizeTooLarge   Reason = "size too large"
	NotHeld        Reason = "condition not held"
)

// Error is an error with a Reason.
type Error struct {
	Reason Reason
	Err    error // an *errs.Error
}

// Error implements error.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ReasonOf returns the reason in err's chain, or "".
func ReasonOf(err error) Reason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// fail builds an Error.
func fail(r Reason, kind errs.Kind, op, format string, args ...any) error {
	return &Error{Reason: r, Err: errs.E(op, kind, format, args...)}
}
