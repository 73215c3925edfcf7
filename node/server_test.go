package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"torc/internal/errs"
	"torc/object"
)

// freeAddrs returns n addresses that nobody listens on now.
func freeAddrs(t *testing.T, n int) []string {
	t.Helper()
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out = append(out, l.Addr().String())
	}
	return out
}

// newCluster makes and formats a cluster of one server with three small disks.
func newCluster(t *testing.T) Config {
	t.Helper()
	dir, err := os.MkdirTemp("", "torc") // unix socket paths are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	a := freeAddrs(t, 5)
	base := Default()
	base.Storage = StorageConfig{ContainerMiB: 8, CacheMiB: 8}
	base.Policy.Data, base.Policy.Parity = 2, 1
	spec := ClusterSpec{Dir: dir, Base: base, Servers: []ServerSpec{{
		Member: Member{ID: "s1", Addr: a[0], Gossip: a[1], Nodes: 3, Weight: 1}, HTTP: a[2], HTTPS: a[3], Portal: a[4],
		Disks: []string{filepath.Join(dir, "d1"), filepath.Join(dir, "d2"), filepath.Join(dir, "d3")},
	}}}
	cfgs, err := CreateCluster(spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := Format(cfgs[0], false); !errs.Is(err, errs.NotFound) {
		t.Fatalf("format of disks that are not mounted: %v", err)
	}
	if err := Format(cfgs[0], true); err != nil {
		t.Fatal(err)
	}
	return cfgs[0]
}

func startServer(t *testing.T, c Config) *Server {
	t.Helper()
	s, err := Start(t.Context(), c, Options{Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	admin := NewAdminClient(c.Dir)
	for admin.Ready(ctx) != nil {
		if ctx.Err() != nil {
			t.Fatalf("not ready: %v", s.Ready(ctx))
		}
		time.Sleep(10 * time.Millisecond) // another process's readiness cannot be waited for otherwise
	}
	return s
}

func closeServer(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func put(t *testing.T, s *Server, key string, data []byte) {
	t.Helper()
	_, err := s.objects.Put(t.Context(), object.PutRequest{Bucket: "bkt", Key: key, Body: object.Body{
		Reader: bytes.NewReader(data), Size: int64(len(data)), Seal: func() (object.Seal, error) { return object.Seal{ETag: "x"}, nil }}})
	if err != nil {
		t.Fatal(err)
	}
}

// One server, stopped and started again: its data, its account and its status are there.
func TestServerKeepsDataOverRestart(t *testing.T) {
	cfg := newCluster(t)
	s := startServer(t, cfg)
	if _, err := s.objects.CreateBucket(t.Context(), "bkt", "000000000001", "us-east-1"); err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	put(t, s, "small", data[:1000])
	put(t, s, "large", data)
	if _, err := Start(t.Context(), cfg, Options{Log: slog.New(slog.DiscardHandler)}); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("a second process on the directory: %v", err)
	}
	closeServer(t, s)

	s = startServer(t, cfg)
	defer closeServer(t, s)
	_, o, err := s.objects.Stat(t.Context(), "bkt", "large")
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := s.objects.WriteRange(t.Context(), &got, o, 0, o.Size); err != nil || !bytes.Equal(got.Bytes(), data) {
		t.Fatalf("after the restart: %d bytes, %v", got.Len(), err)
	}
	if _, err := s.identity.Lookup(t.Context(), s.keys.RootAccessKey); err != nil {
		t.Errorf("root's key: %v", err)
	}
	admin := NewAdminClient(cfg.Dir)
	loc, err := admin.Locate(t.Context(), "bkt", "large")
	if err != nil {
		t.Fatal(err)
	}
	if sound, all := loc.Sound(); sound != 3 || all != 3 {
		t.Errorf("%d of %d fragments sound", sound, all)
	}
	if _, err := admin.Locate(t.Context(), "bkt", "none"); !errs.Is(err, errs.NotFound) {
		t.Errorf("locate of nothing: %v", err)
	}
	st, err := admin.Status(t.Context())
	if err != nil || st.State != "RUN" || len(st.Servers) != 1 || len(st.Servers[0].Nodes) != 3 {
		t.Errorf("status %+v, %v", st, err)
	}
}

// A disk that is not what the configuration says is left alone, and said so.
func TestServerLeavesWrongDisksAlone(t *testing.T) {
	cfg := newCluster(t)
	if err := os.Rename(cfg.Disks[0].Path, cfg.Disks[0].Path+".away"); err != nil {
		t.Fatal(err)
	}
	cfg.Disks[1].UUID = newID()
	s := startServer(t, cfg)
	defer closeServer(t, s)
	st := s.localStatus()
	for i, n := range st.Nodes {
		bad := n.Disks[0].State != "OK" && n.Disks[0].Reason != ""
		if bad != (i < 2) {
			t.Errorf("disk %d: %s %q", i+1, n.Disks[0].State, n.Disks[0].Reason)
		}
	}
	if _, err := os.Stat(cfg.Disks[0].Path); !errors.Is(err, os.ErrNotExist) {
		t.Error("the missing disk's directory was made")
	}
	if err := Format(cfg, true); err == nil {
		t.Error("format accepts a disk that holds data")
	}
}

// Disks whose order in the configuration has changed would belong to other nodes.
func TestServerRefusesReorderedDisks(t *testing.T) {
	cfg := newCluster(t)
	good := cfg.Disks
	for name, disks := range map[string][]Disk{
		"swapped": {good[1], good[0], good[2]},
		"removed": {good[1], good[2], {Path: good[0].Path + "new", UUID: newID()}},
	} {
		cfg.Disks = disks
		if s, err := Start(t.Context(), cfg, Options{Log: slog.New(slog.DiscardHandler)}); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "keep the order") {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				closeServer(t, s)
			}
		}
	}
	cfg.Disks = []Disk{good[0], {Path: good[1].Path + "new", UUID: newID()}, good[2]} // one replaced in place: not formatted, so left out
	closeServer(t, startServer(t, cfg))
}

// The status page is for who knows the password, over TLS, and runs no script.
func TestPortalNeedsThePassword(t *testing.T) {
	cfg := newCluster(t)
	s := startServer(t, cfg)
	defer closeServer(t, s)
	pem, err := os.ReadFile(cfg.TLS.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer tr.CloseIdleConnections()
	get := func(path, user, password string) (int, string, http.Header) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+cfg.Portal.Addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			req.SetBasicAuth(user, password)
		}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body), resp.Header
	}
	for _, c := range [][2]string{{"", ""}, {"admin", "wrong"}, {"root", s.keys.AdminPassword}, {"admin", ""}} {
		for _, path := range []string{"/", "/api/v1/status", "/debug/pprof/", "/ready"} {
			if code, body, _ := get(path, c[0], c[1]); code != 401 || strings.Contains(body, cfg.Cluster) {
				t.Errorf("%s as %q: %d", path, c[0], code)
			}
		}
	}
	code, body, h := get("/", "admin", s.keys.AdminPassword)
	if code != 200 || !strings.Contains(body, "s1n1") || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("the page: %d\n%s", code, body)
	}
	code, body, _ = get("/api/v1/status", "admin", s.keys.AdminPassword)
	var st ClusterStatus
	if err := json.Unmarshal([]byte(body), &st); code != 200 || err != nil || st.Cluster != cfg.Cluster {
		t.Errorf("the status: %d %v", code, err)
	}
	if code, _, _ := get("/debug/pprof/", "admin", s.keys.AdminPassword); code != 404 {
		t.Errorf("profiles are reachable over the network: %d", code)
	}
}
