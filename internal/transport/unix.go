package transport

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"

	"torc/internal/errs"
)

// Unix is the network between processes of one server: addresses are paths of
// sockets, which only the owning user may open.
type Unix struct{}

// Listen implements Network. A socket that a dead process left behind is
// replaced; one that answers, or a file that is no socket, is left alone (errs.Exists).
func (Unix) Listen(path string) (net.Listener, error) {
	const op = "transport: listen"
	ln, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) {
		st, serr := os.Lstat(path)
		if serr != nil || st.Mode().Type() != os.ModeSocket {
			return nil, errs.E(op, errs.Exists, "%s exists and is not a socket", path)
		}
		if c, derr := net.Dial("unix", path); !errors.Is(derr, syscall.ECONNREFUSED) {
			if derr == nil {
				_ = c.Close()
			}
			return nil, errs.E(op, errs.Exists, "%s is in use", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, errs.Wrap(op, err)
		}
		ln, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, errs.E(op, errs.Unavailable, "%w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = ln.Close()
		return nil, errs.Wrap(op, err)
	}
	return ln, nil
}

// Dial implements Network.
func (Unix) Dial(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}
