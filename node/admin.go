package node

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"time"

	"torc/internal/errs"
)

// Limits of the administration API and the status page.
const (
	adminReadTimeout  = 10 * time.Second
	adminWriteTimeout = 5 * time.Minute // locate reads whole objects
	adminHeaderMax    = 16 << 10        // bytes
	adminUser         = "admin"
)

// listenPeople opens the administration socket, for whoever may read the
// server's directory, and the status page, for who knows the password.
func (s *Server) listenPeople(context.Context) error {
	socket := filepath.Join(s.cfg.Dir, adminSocket)
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return errs.E("server", errs.KindOf(err), "%w", err)
	}
	l, err := net.Listen("unix", socket) // safe: the directory's lock is ours
	if err != nil {
		return errs.E("server", errs.Unavailable, "cannot listen on %s: %w", socket, err)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		l.Close()
		return errs.E("server", errs.KindOf(err), "%w", err)
	}
	s.serveHTTP("administration", l, adminServer(s.adminAPI()), false)
	if s.cfg.Portal.Addr == "" {
		return nil
	}
	portal := adminServer(s.authenticated(s.portal()))
	return s.listenHTTP("status page", s.cfg.Portal.Addr, portal, true)
}

func adminServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: adminReadTimeout, ReadTimeout: adminReadTimeout,
		WriteTimeout: adminWriteTimeout, MaxHeaderBytes: adminHeaderMax}
}

// adminAPI is what "torc status" and "torc locate" talk to.
func (s *Server) adminAPI() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]string{"state": "ready"}, s.Ready(r.Context()))
	})
	mux.HandleFunc("GET /api/v1/status", func(w http.ResponseWriter, r *http.Request) {
		answer(w, s.clusterStatus(r.Context()), nil)
	})
	mux.HandleFunc("GET /api/v1/locate", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		loc, err := s.locate(r.Context(), q.Get("bucket"), q.Get("key"))
		answer(w, loc, err)
	})
	// Profiles of the running process: here only, where file permissions guard them.
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	return mux
}

// authenticated asks for the administrator's password. Both comparisons take
// the same time whatever was sent.
func (s *Server) authenticated(next http.Handler) http.Handler {
	want := []byte(s.keys.AdminPassword)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		good := subtle.ConstantTimeCompare([]byte(user), []byte(adminUser)) & subtle.ConstantTimeCompare([]byte(password), want)
		if !ok || good != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="Torc", charset="UTF-8"`)
			answer(w, nil, errs.E("", errs.Permission, "user %s and the password of the keyring are needed", adminUser))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// kindStatus is the administration API's one table from kind to HTTP status.
func kindStatus(k errs.Kind) int {
	switch k {
	case errs.Invalid, errs.OutOfRange, errs.TooLarge:
		return http.StatusBadRequest
	case errs.NotFound:
		return http.StatusNotFound
	case errs.Permission:
		return http.StatusUnauthorized
	case errs.Unavailable, errs.Timeout, errs.Overload, errs.Unknown, errs.Closed:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// answer writes v as JSON, or the error.
func answer(w http.ResponseWriter, v any, err error) {
	status := http.StatusOK
	if err != nil {
		k := errs.KindOf(err)
		status, v = kindStatus(k), apiError{Error: err.Error(), Kind: k}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may have gone: nobody is left to tell
}
