package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// TCP is the real network.
type TCP struct{}

// tcpKeepAlive finds dead peers of links on which nobody waits for anything.
const tcpKeepAlive = 15 * time.Second

// Listen implements Network.
func (TCP) Listen(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }

// Dial implements Network. Go sets TCP_NODELAY by itself: frames are gathered
// by the link, and waiting for more in the kernel would only add latency.
func (TCP) Dial(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: tcpKeepAlive}
	return d.DialContext(ctx, "tcp", addr)
}

// corkLen is how many bytes of TLS records go to the kernel, or come from it,
// in one system call. crypto/tls alone makes one call per record of 16 KiB.
const corkLen = 256 << 10

// corkConn lies under TLS and gathers records.
type corkConn struct {
	net.Conn
	r *bufio.Reader

	mu sync.Mutex // crypto/tls may write an alert while the link flushes
	w  *bufio.Writer
}

func newCorkConn(c net.Conn) *corkConn {
	return &corkConn{Conn: c, r: bufio.NewReaderSize(c, corkLen/4)}
}

// cork starts gathering; until then, during the handshake, each write goes out at once.
func (c *corkConn) cork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.w = bufio.NewWriterSize(c.Conn, corkLen)
}

func (c *corkConn) Read(p []byte) (int, error) { return c.r.Read(p) }

func (c *corkConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.w == nil {
		return c.Conn.Write(p)
	}
	return c.w.Write(p)
}

func (c *corkConn) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.w == nil {
		return nil
	}
	return c.w.Flush()
}

// tlsConn is a TLS connection whose records are sent by Flush.
type tlsConn struct {
	*tls.Conn
	cork *corkConn
}

// Flush sends what Write has gathered.
func (c *tlsConn) Flush() error { return c.cork.flush() }

// Close closes the connection at once: no close_notify, which could block on a
// dead peer. Frames carry their own lengths, so truncation is noticed anyway.
func (c *tlsConn) Close() error { return c.cork.Conn.Close() }

func flushConn(c net.Conn) error {
	if f, ok := c.(interface{ Flush() error }); ok {
		return f.Flush()
	}
	return nil
}
