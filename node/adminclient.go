package node

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"

	"torc/internal/errs"
)

// adminSocket is the unix socket of a server's administration API: whoever may
// open the server's directory may use it.
const adminSocket = "admin.sock"

// adminReplyMax bounds an answer of the administration API, in bytes.
const adminReplyMax = 64 << 20

// AdminClient asks a server on this machine, through its directory.
type AdminClient struct {
	socket string
	http   *http.Client
}

// NewAdminClient returns a client for the server whose directory is dir.
func NewAdminClient(dir string) *AdminClient {
	socket := filepath.Join(dir, adminSocket)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &AdminClient{socket: socket, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Ready returns nil when the server would serve a PUT.
func (a *AdminClient) Ready(ctx context.Context) error {
	return a.get(ctx, "/ready", nil)
}

// Status returns the whole cluster's status as this server sees it.
func (a *AdminClient) Status(ctx context.Context) (ClusterStatus, error) {
	var st ClusterStatus
	return st, a.get(ctx, "/api/v1/status", &st)
}

// Locate returns where an object's fragments lie.
func (a *AdminClient) Locate(ctx context.Context, bucket, key string) (Location, error) {
	var l Location
	q := url.Values{"bucket": {bucket}, "key": {key}}
	return l, a.get(ctx, "/api/v1/locate?"+q.Encode(), &l)
}

func (a *AdminClient) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://torc"+path, nil)
	if err != nil {
		return errs.Wrap("admin", err)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return errs.E("admin", errs.Unavailable, "no server answers on %s", a.socket)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, adminReplyMax))
	if err != nil {
		return errs.E("admin", errs.Unavailable, "%w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var e apiError
		if json.Unmarshal(body, &e) != nil || e.Error == "" {
			e = apiError{Error: resp.Status, Kind: errs.Other}
		}
		return errs.E("", e.Kind, "%s", e.Error)
	}
	if into == nil {
		return nil
	}
	return errs.Wrap("admin", json.Unmarshal(body, into))
}

// apiError is the body of every answer that is not 200.
type apiError struct {
	Error string    `json:"error"`
	Kind  errs.Kind `json:"kind"`
}
