package node

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"

	"github.com/dustin/go-humanize"
)

//go:embed portal.html
var portalHTML string

// portal serves the status page, which reloads itself, and the status as JSON.
// It is read-only; the full portal is a later part.
func (s *Server) portal() http.Handler {
	page := template.Must(template.New("portal").Funcs(template.FuncMap{
		"bytes": func(n int64) string { return humanize.IBytes(uint64(max(n, 0))) },
	}).Parse(portalHTML))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		if err := page.Execute(&b, s.clusterStatus(r.Context())); err != nil {
			answer(w, nil, err)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		_, _ = w.Write(b.Bytes())
	})
	mux.HandleFunc("GET /api/v1/status", func(w http.ResponseWriter, r *http.Request) {
		answer(w, s.clusterStatus(r.Context()), nil)
	})
	return mux
}
