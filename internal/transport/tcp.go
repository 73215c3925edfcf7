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

// corkConn lies under TLS and gathers records, so that many go to the kernel in
// one system call: crypto/tls alone makes one call per record of 16 KiB.
type corkConn struct {
	net.Conn
	mu sync.Mutex // crypto/tls may write an alert while the link flushes
	w  *bufio.Writer
}

// Write gathers, once cork has been called; before that, during the handshake
// and the prefaces, each write goes out at once.
func (c *corkConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.w == nil {
		return c.Conn.Write(p)
	}
	return c.w.Write(p)
}

// tlsConn is a TLS connection whose records are sent by Flush.
type tlsConn struct {
	*tls.Conn
	under *corkConn
}

// cork starts gathering up to n bytes.
func (c *tlsConn) cork(n int) {
	c.under.mu.Lock()
	defer c.under.mu.Unlock()
	c.under.w = bufio.NewWriterSize(c.under.Conn, n)
}

// Flush sends what Write has gathered.
func (c *tlsConn) Flush() error {
	c.under.mu.Lock()
	defer c.under.mu.Unlock()
	return c.under.w.Flush()
}

// Close closes the connection at once: no close_notify, which could block on a
// dead peer. Frames carry their own lengths, so truncation is noticed anyway.
func (c *tlsConn) Close() error { return c.under.Conn.Close() }
