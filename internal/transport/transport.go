package transport

import (
	"context"
	"net"

	"torc/internal/buf"
)

// Network is the seam under the transport: TCP for real, Memory in tests.
type Network interface {
	// Listen opens addr ("host:port"; port 0 picks one, see the listener's Addr).
	Listen(addr string) (net.Listener, error)
	// Dial connects to addr within ctx's deadline.
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// Method numbers a call. Each package that serves calls owns a block:
// 0x01xx chunk/remote, 0x02xx meta, 0x03xx ring, 0x04xx node. The numbers are
// part of the wire format: append, never renumber.
type Method uint16

// Request is one call. Head is a small encoded message (at most HeadLenMax);
// Body is bulk bytes (at most BodyLenMax), moved without re-encoding.
type Request struct {
	Method Method
	Head   []byte
	Body   []byte
	// ReplyLen is how many bytes of reply body the caller expects at most; it
	// steers bulk off the link for small calls and does not travel. 0: few.
	ReplyLen int
}

// Reply is the answer to a call. On the client its Head and Body are valid
// until Release; on the server the transport calls Release once the reply has
// been written, so a handler may lend it pooled memory.
type Reply struct {
	Head    []byte
	Body    []byte
	release func()
	bufs    [2]*buf.Buffer // on the client: the memory of Head and Body
}

// NewReply makes a Reply whose Release calls release (which may be nil).
func NewReply(head, body []byte, release func()) *Reply {
	return &Reply{Head: head, Body: body, release: release}
}

// Release gives the memory back; further calls, and calls on nil, do nothing.
func (r *Reply) Release() {
	if r == nil {
		return
	}
	f, bufs := r.release, r.bufs
	r.release, r.bufs = nil, [2]*buf.Buffer{}
	r.Head, r.Body = nil, nil
	bufs[0].Release()
	bufs[1].Release()
	if f != nil {
		f()
	}
}

// Peer is the authenticated other end of a call.
type Peer struct {
	Server  string // server id from the peer's certificate; "" on a network without TLS
	Cluster string // cluster id from the peer's certificate
	Addr    string
}

// Handler serves one Method. req's memory belongs to the transport and is valid
// until the handler returns. ctx carries the caller's deadline and ends when the
// caller cancels or the connection breaks. A returned error travels with its
// kind (internal/errs) and its text; the reply is then ignored. A panic becomes
// errs.Other on the caller's side and is logged.
type Handler func(ctx context.Context, peer Peer, req Request) (*Reply, error)

// Mux is the explicit table of what a server serves.
type Mux map[Method]Handler

// Caller makes calls: *Client, or a stand-in in tests.
type Caller interface {
	// Call sends req to the server at addr and waits for its reply. The caller
	// keeps Head and Body unchanged until Call returns. Errors keep the remote
	// kind. When the transport itself fails: Unavailable if the request cannot
	// have reached a handler, Unknown if it may have, Timeout or Canceled by ctx.
	Call(ctx context.Context, addr string, req Request) (*Reply, error)
	// Send is a call without a reply: it returns when the request is queued on a
	// connection, and delivery is not certain. Requests sent to one addr through
	// Send arrive in order unless the connection breaks between them.
	Send(ctx context.Context, addr string, req Request) error
}

// Limits of one call, enforced with errs.TooLarge.
const (
	HeadLenMax = 64 << 10 // bytes
	BodyLenMax = 16<<20 + 64<<10
)
