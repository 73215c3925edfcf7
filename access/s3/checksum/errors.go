package checksum

import (
	"fmt"

	"torc/internal/errs"
)

// Code is an S3 error code. The constants are all that this package returns.
type Code string

// The closed set of codes.
const (
	BadDigest      Code = "BadDigest"
	InvalidDigest  Code = "InvalidDigest"
	InvalidRequest Code = "InvalidRequest"
	InvalidPart    Code = "InvalidPart"
)

// Detail is one further element of the error document.
type Detail struct {
	Name, Value string
}

// Error is a refusal, ready to be answered.
type Error struct {
	Code    Code
	Status  int    // HTTP status: 400 for all of them
	Message string // AWS's text
	Details []Detail
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("checksum: %s: %s", e.Code, e.Message)
}

// Unwrap gives the errs.Kind: Corrupt for bytes that are not what was declared,
// Invalid for a declaration that makes no sense.
func (e *Error) Unwrap() error {
	if e.Code == BadDigest {
		return errs.Corrupt
	}
	return errs.Invalid
}

func fail(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Status: 400, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) with(name, value string) *Error {
	e.Details = append(e.Details, Detail{name, value})
	return e
}
