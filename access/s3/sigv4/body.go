package sigv4

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"os"
	"strconv"

	"torc/internal/errs"
)

const (
	headerDecodedLength = "X-Amz-Decoded-Content-Length"
	headerTrailer       = "X-Amz-Trailer"
)

// Body is the payload of a verified request, decoded and checked as it is read.
// Not safe for concurrent use.
type Body struct {
	payload payload
	size    int64
	err     error // sticky
}

// payload is one way a body is protected.
type payload interface {
	io.Reader
	trailers() http.Header
}

// Size is the length of the payload in bytes, -1 when the client did not say.
// No more than Size bytes are ever returned, and no fewer before io.EOF.
func (b *Body) Size() int64 { return b.size }

// Read returns payload bytes. io.EOF means that the whole payload has arrived
// and agrees with its hash, its signatures and its declared length; on every
// other error the bytes handed out before must not be used. Errors are sticky.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := b.payload.Read(p)
	b.err = err
	return n, err
}

// Trailers returns the trailing headers, by canonical name, after Read has
// answered io.EOF; nil before, and when the mode has none.
func (b *Body) Trailers() http.Header {
	if b.err != io.EOF {
		return nil
	}
	return b.payload.trailers()
}

// Body returns a reader over r.Body that undoes aws-chunked framing and checks
// what the headers promised. It reads nothing itself, so a refusal costs no
// body. Call it at most once for a request.
func (a *Auth) Body(r *http.Request) (*Body, error) {
	src := io.Reader(r.Body)
	if r.Body == nil {
		src = http.NoBody
	}
	if !a.Mode.trailer() && len(r.Header[headerTrailer]) > 0 {
		return nil, fail(InvalidRequest, "The x-amz-trailer header needs an x-amz-content-sha256 that ends in -TRAILER.")
	}
	if a.Mode.Chunked() {
		return a.chunkedBody(r, src)
	}
	plain := &plainPayload{src: src, size: r.ContentLength}
	if a.Mode == ModeSHA256 {
		plain.want, plain.hash = a.payloadHash, sha256.New()
	}
	return &Body{payload: plain, size: r.ContentLength}, nil
}

func (a *Auth) chunkedBody(r *http.Request, src io.Reader) (*Body, error) {
	size, err := decodedLength(r.Header)
	if err != nil {
		return nil, err
	}
	switch {
	case size < 0 && a.Mode.signed():
		return nil, fail(MissingContentLength, "You must provide the Content-Length HTTP header.")
	case r.ContentLength >= 0 && size > r.ContentLength:
		return nil, incomplete()
	}
	declared, err := declaredTrailers(r.Header)
	if err != nil {
		return nil, err
	}
	c := newChunked(src, size, declared)
	c.withTrailers = a.Mode.trailer()
	if a.Mode.signed() {
		c.chain = newChain(a)
	}
	return &Body{payload: c, size: size}, nil
}

// decodedLength reads x-amz-decoded-content-length; -1 when it is absent.
func decodedLength(h http.Header) (int64, error) {
	value, err := single(h, headerDecodedLength)
	if err != nil || value == "" {
		return -1, err
	}
	n, err := strconv.ParseUint(value, 10, 63)
	if err != nil {
		return 0, fail(InvalidArgument, "Value for x-amz-decoded-content-length header is invalid.").
			with("ArgumentName", "x-amz-decoded-content-length").with("ArgumentValue", value)
	}
	return int64(n), nil
}

// plainPayload is a body without framing: of known or unknown length, hashed or not.
type plainPayload struct {
	src  io.Reader
	size int64 // -1 when unknown
	read int64
	hash hash.Hash // nil when unsigned
	want string    // hex
}

func (b *plainPayload) trailers() http.Header { return nil }

func (b *plainPayload) Read(p []byte) (int, error) {
	n, err := b.src.Read(p)
	b.read += int64(n)
	if b.size >= 0 && b.read > b.size {
		return 0, incomplete()
	}
	if b.hash != nil {
		b.hash.Write(p[:n])
	}
	switch {
	case err == nil:
		return n, nil
	case err != io.EOF:
		return 0, readError(err)
	case b.size >= 0 && b.read != b.size:
		return 0, incomplete()
	}
	if err := b.verify(); err != nil {
		return 0, err
	}
	return n, io.EOF
}

func (b *plainPayload) verify() error {
	if b.hash == nil {
		return nil
	}
	got := b.hash.Sum(nil)
	want, err := hex.DecodeString(b.want)
	if err == nil && subtle.ConstantTimeCompare(got, want) == 1 {
		return nil
	}
	return fail(ContentSHA256Mismatch, "The provided 'x-amz-content-sha256' header does not match what was computed.").
		with("ClientComputedContentSHA256", b.want).with("S3ComputedContentSHA256", hex.EncodeToString(got))
}

// readError says what a failed read of the request's body means. Errors that
// have a kind of their own keep it (a cancelled context, a body over a limit).
func readError(err error) error {
	const op = "sigv4.Body.Read"
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return incomplete()
	case errors.Is(err, os.ErrDeadlineExceeded):
		e := fail(RequestTimeout, "Your socket connection to the server was not read from or written to within the timeout period.")
		e.cause = err
		return e
	case errors.As(err, &tooLarge):
		return errs.E(op, errs.TooLarge, "%w", err)
	case errors.Is(err, context.Canceled), errs.KindOf(err) != errs.Other:
		return errs.Wrap(op, err)
	}
	return errs.E(op, errs.Invalid, "%w", err)
}
