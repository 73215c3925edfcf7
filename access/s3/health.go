package s3

import (
	"net/http"
)

// serveHealth answers the probes, which are not signed: /live says that the
// process serves, /ready and /_/healthcheck that it can do its work. "live" and
// "ready" are taken only without a query, and can be bucket names in
// virtual-host style alone.
func (h *Handler) serveHealth(w http.ResponseWriter, r *http.Request) bool {
	if r.URL.RawQuery != "" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	if r.Header.Get("Authorization") != "" || bucketOfHost(r.Host, h.cfg.Domains) != "" {
		return false
	}
	ready := false
	switch r.URL.Path {
	case "/live":
	case "/ready", "/_/healthcheck":
		ready = true
	default:
		return false
	}
	status, text := http.StatusOK, `{"status":"ok"}`
	if ready && h.cfg.Ready != nil {
		if err := h.cfg.Ready(r.Context()); err != nil {
			h.cfg.Log.Debug("s3: not ready", "error", err)
			status, text = http.StatusServiceUnavailable, `{"status":"unavailable"}`
		}
	}
	hd := w.Header()
	hd.Set("Content-Type", "application/json")
	hd.Set("Cache-Control", "no-store")
	hd.Set("Server", h.cfg.ServerName)
	hd.Set("Content-Length", itoa(len(text)))
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		_, _ = w.Write([]byte(text)) // a probe that went away needs no answer
	}
	return true
}
