package transport

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"torc/internal/errs"
)

func TestUnixSocketCarriesCalls(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.sock")
	nc := netCase{"unix", func(testing.TB) (Network, Network, string, ServerConfig, ClientConfig) {
		return Unix{}, Unix{}, path, ServerConfig{}, ClientConfig{}
	}}
	w := start(t, nc, Mux{methodEcho: echo}, nil)
	for _, n := range []int{0, 4096, 16 << 20} {
		r, err := w.call(t, Request{Method: methodEcho, Body: make([]byte, n)})
		if must(t, r, err); len(r.Body) != n {
			t.Errorf("%d bytes came back as %d", n, len(r.Body))
		}
		r.Release()
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("socket has mode %v, %v; want 0600", st.Mode(), err)
	}
	if _, err := (Unix{}).Listen(path); !errs.Is(err, errs.Exists) {
		t.Errorf("second listener: %v, want Exists", err)
	}
}

func TestUnixReplacesOnlyADeadSocket(t *testing.T) {
	dir := t.TempDir()
	dead, file := filepath.Join(dir, "dead.sock"), filepath.Join(dir, "file")
	ln, err := net.Listen("unix", dead)
	must(t, ln, err)
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = ln.Close()
	again, err := Unix{}.Listen(dead)
	must(t, again, err)
	_ = again.Close()
	if err := os.WriteFile(file, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (Unix{}).Listen(file); !errs.Is(err, errs.Exists) {
		t.Errorf("listening on a file: %v, want Exists", err)
	}
	if b, _ := os.ReadFile(file); string(b) != "data" {
		t.Error("the file was replaced")
	}
}
