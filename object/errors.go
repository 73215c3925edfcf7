package object

import (
	"errors"
	"strings"

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
	NotOwner       Reason = "bucket of another account" // see ActingFor
	NotHeld        Reason = "condition not held"
	// BucketReplaced: the name now means another bucket than when the
	// operation began. Repeating the operation is safe and will see the new one.
	BucketReplaced Reason = "bucket replaced"
	// SessionClosed: the connector's session was closed under it; it opens
	// another by itself and repeating the operation is safe.
	SessionClosed Reason = "session closed"
	// partsChanged makes Complete read the parts again.
	partsChanged Reason = "parts changed"
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

// The network keeps of a handler's error its kind and its text. So every error
// that leaves a handler of this package begins with "reason(...): ". The mark
// comes before anything a user wrote, and only the first one counts, hence a
// key named "reason(x)" cannot forge one.
const (
	reasonOpen  = "reason("
	reasonClose = "): "
)

// toWire marks an error that leaves a handler.
func toWire(err error) error {
	if err == nil {
		return nil
	}
	return errs.E(reasonOpen+string(ReasonOf(err))+")", errs.KindOf(err), "%s", err.Error())
}

// fromWire undoes toWire on whatever text the database wrapped around it. An
// error without a mark did not come from a handler of ours and is returned as
// it is.
func fromWire(op string, err error) error {
	if err == nil {
		return nil
	}
	s := err.Error()
	if i := strings.Index(s, reasonOpen); i >= 0 {
		s = s[i+len(reasonOpen):]
		if j := strings.Index(s, reasonClose); j >= 0 {
			return fail(Reason(s[:j]), errs.KindOf(err), op, "%s", s[j+len(reasonClose):])
		}
	}
	return errs.Wrap(op, err)
}

// decided reports that err is an answer, after which the command certainly has
// no effect now nor later: a handler's own, or the database's word that nothing
// happened.
func decided(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return true
	}
	switch errs.KindOf(err) {
	case errs.Unavailable, errs.Overload, errs.TooLarge, errs.Invalid, errs.Unsupported:
		return true
	}
	return false
}
