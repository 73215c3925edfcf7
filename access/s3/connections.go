package s3

import (
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
)

// connections bounds the connections of one server. A flood of them, which
// needs no credentials, would otherwise use up the file descriptors of the whole
// process: its disks' and its database's too.
type connections struct {
	max  int64
	open atomic.Int64
	log  *slog.Logger // may be nil
}

// connectionsMax is ConnectionsMax, or a quarter of the file descriptors that
// the process may have if that is less: HTTP and HTTPS together take half.
func connectionsMax() int64 {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return ConnectionsMax
	}
	return int64(min(ConnectionsMax, r.Cur/4))
}

// track is http.Server's ConnState. A connection beyond the limit is closed
// before a byte of it is read; its client may try another server.
func (c *connections) track(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		n := c.open.Add(1)
		if n <= c.max {
			return
		}
		if n == c.max+1 && c.log != nil {
			c.log.Warn("s3: connections are refused", "open", c.max)
		}
		_ = conn.Close() // the server finds it closed and counts it out
	case http.StateClosed, http.StateHijacked:
		c.open.Add(-1)
	}
}
