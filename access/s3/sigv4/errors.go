package sigv4

import (
	"fmt"
	"io"

	"torc/internal/errs"
)

// Code is an S3 error code. The constants are all that this package returns.
type Code string

// The closed set of codes.
const (
	AccessDenied                      Code = "AccessDenied"
	AuthorizationHeaderMalformed      Code = "AuthorizationHeaderMalformed"
	AuthorizationQueryParametersError Code = "AuthorizationQueryParametersError"
	ExpiredToken                      Code = "ExpiredToken"
	IncompleteBody                    Code = "IncompleteBody"
	InvalidAccessKeyID                Code = "InvalidAccessKeyId"
	InvalidArgument                   Code = "InvalidArgument"
	InvalidChunkSize                  Code = "InvalidChunkSizeError"
	InvalidRequest                    Code = "InvalidRequest"
	InvalidToken                      Code = "InvalidToken"
	InvalidURI                        Code = "InvalidURI"
	MalformedTrailer                  Code = "MalformedTrailerError"
	MissingContentLength              Code = "MissingContentLength"
	NotImplemented                    Code = "NotImplemented"
	RequestTimeout                    Code = "RequestTimeout"
	RequestTimeTooSkewed              Code = "RequestTimeTooSkewed"
	SignatureDoesNotMatch             Code = "SignatureDoesNotMatch"
	ContentSHA256Mismatch             Code = "XAmzContentSHA256Mismatch"
)

// properties gives each code its HTTP status and our kind.
func (c Code) properties() (status int, kind errs.Kind) {
	switch c {
	case AccessDenied, InvalidAccessKeyID, RequestTimeTooSkewed, SignatureDoesNotMatch:
		return 403, errs.Permission
	case InvalidChunkSize:
		return 403, errs.Invalid
	case MissingContentLength:
		return 411, errs.Invalid
	case NotImplemented:
		return 501, errs.Unsupported
	case ContentSHA256Mismatch:
		return 400, errs.Corrupt
	case RequestTimeout:
		return 400, errs.Timeout
	}
	return 400, errs.Invalid
}

// Detail is one further element of the error document, in AWS's order.
type Detail struct {
	Name, Value string
}

// Error is a refusal, ready to be answered. It never carries a secret or a
// signing key; StringToSign and CanonicalRequest, which AWS returns too, are
// made of what the client sent.
type Error struct {
	Code    Code
	Status  int      // HTTP status
	Message string   // AWS's text
	Details []Detail // further elements for the XML answer; may be nil
	cause   error
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("sigv4: %s: %s", e.Code, e.Message)
}

// Unwrap gives the errs.Kind, so that errs.KindOf and errors.Is work, and the
// cause if there is one (io.ErrUnexpectedEOF for a body that ends early).
func (e *Error) Unwrap() []error {
	_, kind := e.Code.properties()
	if e.cause != nil {
		return []error{kind, e.cause}
	}
	return []error{kind}
}

func fail(code Code, format string, args ...any) *Error {
	status, _ := code.properties()
	return &Error{Code: code, Status: status, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) with(name, value string) *Error {
	e.Details = append(e.Details, Detail{name, value})
	return e
}

// incomplete is a body with fewer (or more) bytes than its headers declare.
func incomplete() *Error {
	e := fail(IncompleteBody, "You did not provide the number of bytes specified by the Content-Length HTTP header.")
	e.cause = io.ErrUnexpectedEOF
	return e
}

func malformedTrailer() *Error {
	return fail(MalformedTrailer, "The request contained trailing data that was not well-formed or did not conform to our published schema.")
}
