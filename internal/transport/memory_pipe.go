package transport

import (
	"io"
	"net"
	"os"
	"time"
)

// memPipeMax is how many bytes one direction holds before a writer waits, like
// a socket's buffers.
const memPipeMax = 256 << 10

// memPipe is one direction of a connection. Its fields belong to Memory.mu.
type memPipe struct {
	m      *Memory
	dir    direction
	chunks []memChunk
	size   int
	eof    bool  // the writer has closed
	err    error // broken
}

// memChunk is bytes written together, readable from a time on.
type memChunk struct {
	data []byte
	at   time.Time
}

func (p *memPipe) breakWith(err error) {
	if p.err == nil {
		p.err, p.chunks, p.size = err, nil, 0
	}
}

// write appends up to what fits; m.mu is held.
func (p *memPipe) write(b []byte) int {
	n := min(len(b), memPipeMax-p.size)
	c := memChunk{data: append([]byte(nil), b[:n]...)}
	if f := p.m.faults[p.dir]; f != nil {
		if f.delay > 0 {
			c.at = p.m.clock.Now().Add(f.delay)
		}
		if f.flip > 0 {
			if f.flip <= int64(n) {
				c.data[f.flip-1] ^= 0x10
			}
			f.flip = max(f.flip-int64(n), 0)
		}
	}
	p.chunks = append(p.chunks, c)
	p.size += n
	return n
}

// read takes what is due; wait is how long until the next bytes are. m.mu is held.
func (p *memPipe) read(b []byte) (n int, wait time.Duration) {
	for n < len(b) && len(p.chunks) > 0 {
		c := &p.chunks[0]
		if !c.at.IsZero() {
			if wait = c.at.Sub(p.m.clock.Now()); wait > 0 {
				break
			}
		}
		k := copy(b[n:], c.data)
		n += k
		c.data = c.data[k:]
		if len(c.data) == 0 {
			p.chunks = p.chunks[1:]
		}
	}
	p.size -= n
	return n, wait
}

// memConn is one end of a connection.
type memConn struct {
	m             *Memory
	in, out       *memPipe
	local, remote memAddr
	closed        bool
}

// Read implements net.Conn.
func (c *memConn) Read(b []byte) (int, error) {
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case c.in.err != nil:
			return 0, c.in.err
		case len(b) == 0:
			return 0, nil
		}
		if !m.blocked(c.in.dir) {
			n, wait := c.in.read(b)
			if n > 0 {
				m.change.Broadcast()
				return n, nil
			}
			if wait > 0 {
				c.waitFor(wait)
				continue
			}
			if c.in.eof {
				return 0, io.EOF
			}
		}
		m.change.Wait()
	}
}

// waitFor waits for a change or for d to pass.
func (c *memConn) waitFor(d time.Duration) {
	m := c.m
	fired, stop := m.clock.After(d)
	quit := make(chan struct{})
	go func() {
		select {
		case <-fired:
			m.mu.Lock()
			m.change.Broadcast()
			m.mu.Unlock()
		case <-quit:
		}
	}()
	m.change.Wait()
	stop()
	close(quit)
}

// Write implements net.Conn.
func (c *memConn) Write(b []byte) (int, error) {
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	done := 0
	for {
		switch {
		case c.closed:
			return done, net.ErrClosed
		case c.out.err != nil:
			return done, c.out.err
		case done == len(b):
			return done, nil
		}
		if n := c.out.write(b[done:]); n > 0 {
			done += n
			m.change.Broadcast()
			continue
		}
		m.change.Wait()
	}
}

// Close implements net.Conn: the other end reads what is on its way, then EOF;
// what it writes breaks.
func (c *memConn) Close() error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	c.out.eof = true
	c.in.breakWith(errReset)
	delete(c.m.conns, c)
	c.m.change.Broadcast()
	return nil
}

// LocalAddr implements net.Conn.
func (c *memConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *memConn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn: not supported, the transport closes instead.
func (c *memConn) SetDeadline(time.Time) error { return os.ErrNoDeadline }

// SetReadDeadline implements net.Conn.
func (c *memConn) SetReadDeadline(time.Time) error { return os.ErrNoDeadline }

// SetWriteDeadline implements net.Conn.
func (c *memConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }
