package s3

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// Connections that say nothing must not use up what others, or the disks, need.
func TestConnectionsAreBounded(t *testing.T) {
	const most = 3
	bound := connections{max: most}
	counted := make(chan struct{}, 100)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config = NewServer(server.Config.Handler, nil)
	if server.Config.ConnState == nil {
		t.Fatal("the server's connections are not counted")
	}
	server.Config.ConnState = func(c net.Conn, s http.ConnState) {
		bound.track(c, s)
		if s == http.StateClosed {
			counted <- struct{}{}
		}
	}
	server.Start()
	defer server.Close()
	open := func() net.Conn {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		return c
	}
	answers := func(c net.Conn) bool {
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") // refused ones are closed
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		return err == nil && resp.StatusCode == 200
	}
	var held []net.Conn
	for range most {
		c := open()
		if !answers(c) {
			t.Fatalf("connection %d of %d is refused", len(held)+1, most)
		}
		held = append(held, c)
	}
	if answers(open()) {
		t.Errorf("%d connections are served, at most %d", most+1, most)
	}
	<-counted // the one refused
	held[0].Close()
	<-counted
	if !answers(open()) {
		t.Error("a free place is not given out again")
	}
	if n := connectionsMax(); n < 1 || n > ConnectionsMax {
		t.Errorf("connectionsMax %d", n)
	}
}
