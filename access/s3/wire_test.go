package s3

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Tests of what happens on the connection itself: bodies that stall, break off
// or are never sent, and answers that fail half-way.

// conn is a connection that is spoken by hand.
type conn struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func (r *rig) dial() *conn {
	r.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return &conn{r.t, c, bufio.NewReader(c)}
}

// head sends the head of a signed request with exactly these extra header lines.
func (r *rig) head(c *conn, method, path, secret string, lines ...string) {
	r.t.Helper()
	q := r.request(method, path, "")
	r.sign(q, aliceKey, secret)
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, q.Host)
	for name := range q.Header {
		fmt.Fprintf(c, "%s: %s\r\n", name, q.Header.Get(name))
	}
	for _, line := range lines {
		fmt.Fprintf(c, "%s\r\n", line)
	}
	fmt.Fprint(c, "\r\n")
}

func (c *conn) reply() reply {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(b), err}
}

func TestExpectContinue(t *testing.T) {
	r := newRig(t, false)
	r.must(200, "PUT", "/bkt", "")

	c := r.dial()
	r.head(c, "PUT", "/bkt/k", aliceSecret, "Content-Length: 5", "Expect: 100-continue")
	line, err := c.r.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("a good request got %q, %v", line, err)
	}
	if _, err := c.r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "hello")
	if got := c.reply(); got.status != 200 {
		t.Errorf("after 100: %d %s", got.status, got.body)
	}

	for name, tt := range map[string]struct {
		path, secret, length string
		status               int
		code                 string
	}{
		"wrong secret": {"/bkt/k", bobSecret, "1073741824", 403, "SignatureDoesNotMatch"},
		"no bucket":    {"/none/k", aliceSecret, "1073741824", 404, "NoSuchBucket"},
		"too large":    {"/bkt/k", aliceSecret, "5368709121", 400, "EntityTooLarge"},
	} {
		t.Run(name, func(t *testing.T) {
			c := r.dial()
			r.head(c, "PUT", tt.path, tt.secret, "Content-Length: "+tt.length, "Expect: 100-continue")
			got := c.reply() // 100 would be the first answer
			got.wantError(t, tt.status, tt.code)
			if _, err := c.r.ReadByte(); err != io.EOF {
				t.Errorf("the connection is still open: %v", err)
			}
		})
	}
}

func TestBodyWithoutLength(t *testing.T) {
	r := newRig(t, false)
	r.must(200, "PUT", "/bkt", "")
	c := r.dial()
	r.head(c, "PUT", "/bkt/k", aliceSecret)
	c.reply().wantError(t, 411, "MissingContentLength")

	c = r.dial()
	r.head(c, "PUT", "/bkt/chunked", aliceSecret, "Transfer-Encoding: chunked")
	fmt.Fprint(c, "5\r\nhello\r\n0\r\n\r\n")
	if got := c.reply(); got.status != 200 {
		t.Fatalf("chunked: %d %s", got.status, got.body)
	}
	if got := r.must(200, "GET", "/bkt/chunked", ""); got.body != "hello" {
		t.Errorf("stored %q", got.body)
	}
}

func TestBodyThatStalls(t *testing.T) {
	r := newRig(t, false, func(c *Config) { c.BodyIdleTimeout = 50 * time.Millisecond })
	r.must(200, "PUT", "/bkt", "")
	for _, path := range []string{"/bkt/k", "/bkt/k2"} {
		c := r.dial()
		r.head(c, "PUT", path, aliceSecret, "Content-Length: 10")
		fmt.Fprint(c, "hello")
		c.reply().wantError(t, 400, "RequestTimeout")
		r.must(404, "GET", path, "")
	}
	// A body that nobody asked for, and that never comes, holds up nothing.
	for _, framing := range []string{"Transfer-Encoding: chunked", "Content-Length: 10", "Content-Length: 10000000"} {
		c := r.dial()
		r.head(c, "DELETE", "/bkt/k", aliceSecret, framing)
		if got := c.reply(); got.status != 204 {
			t.Errorf("%s: %d %s", framing, got.status, got.body)
		}
	}
	// A stalled document is the same.
	c := r.dial()
	r.head(c, "PUT", "/other", aliceSecret, "Content-Length: 10")
	c.reply().wantError(t, 400, "RequestTimeout")
}

func TestBodyThatBreaksOff(t *testing.T) {
	r := newRig(t, false)
	r.must(200, "PUT", "/bkt", "")
	c := r.dial()
	r.head(c, "PUT", "/bkt/k", aliceSecret, "Content-Length: 10")
	fmt.Fprint(c, "hello")
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.reply().wantError(t, 400, "IncompleteBody")
	r.must(404, "GET", "/bkt/k", "")

	c = r.dial() // and in chunks
	r.head(c, "PUT", "/bkt/k", aliceSecret, "Transfer-Encoding: chunked")
	fmt.Fprint(c, "5\r\nhello\r\n")
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.reply().wantError(t, 400, "IncompleteBody")
	r.must(404, "GET", "/bkt/k", "")
}

func TestHeadersTooLarge(t *testing.T) {
	r := newRig(t, false)
	c := r.dial()
	r.head(c, "GET", "/", aliceSecret, "X-Long: "+strings.Repeat("x", HeaderBytesMax+8192))
	if got := c.reply(); got.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", got.status)
	}
}

func TestBadEscapeInQuery(t *testing.T) {
	r := newRig(t, false)
	c := r.dial()
	fmt.Fprintf(c, "GET /bkt?prefix=%%zz HTTP/1.1\r\nHost: x\r\n\r\n")
	c.reply().wantError(t, 400, "InvalidURI")
	c = r.dial() // net/http refuses a bad escape in the path itself
	fmt.Fprintf(c, "GET /bkt/%%zz HTTP/1.1\r\nHost: x\r\n\r\n")
	if got := c.reply(); got.status != 400 {
		t.Errorf("status %d", got.status)
	}
}

// A client that does not read its answer is cut, so that it cannot hold memory.
func TestClientThatDoesNotRead(t *testing.T) {
	r := newRig(t, false, func(c *Config) { c.WriteIdleTimeout = 50 * time.Millisecond })
	r.must(200, "PUT", "/bkt", "")
	r.must(200, "PUT", "/bkt/k", strings.Repeat("x", 16<<20))
	c := r.dial()
	r.head(c, "GET", "/bkt/k", aliceSecret)
	for r.handler.InFlight() == 0 { // it has begun
		if _, err := c.r.Peek(1); err != nil {
			t.Fatal(err)
		}
	}
	r.seen.wait(t, func(o Observation) bool { return o.Operation == "GetObject" && o.BytesOut < 16<<20 })
}

// wait returns once an observation holds; the test's deadline is the limit.
func (o *observations) wait(t *testing.T, holds func(Observation) bool) {
	t.Helper()
	for seen := 0; ; {
		o.mu.Lock()
		for _, x := range o.all[seen:] {
			if holds(x) {
				o.mu.Unlock()
				return
			}
		}
		seen = len(o.all)
		o.mu.Unlock()
		select {
		case <-t.Context().Done():
			t.Fatal("it was never observed")
		case <-o.more:
		}
	}
}
