package sigv4

import (
	"io"
	"net/http"
)

// Body is the payload of a verified request, decoded and checked as it is read.
// Not safe for concurrent use.
type Body struct {
	payload payload
	size    int64
	err     error // sticky
}

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
// what the headers promised. It must be called at most once for a request.
func (a *Auth) Body(r *http.Request) (*Body, error) {
	return nil, fail(NotImplemented, "not yet")
}
