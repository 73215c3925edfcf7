package s3

import (
	"log/slog"
	"net/http"
)

// NewServer returns a server with the limits a public endpoint needs. Whole
// requests have no deadline, since an honest upload may take hours: the Handler
// moves a deadline with every read and write instead. HTTP/1.1 only, as S3
// itself: it is the faster protocol for large bodies. The caller
// listens: Serve for HTTP, ServeTLS with a TLSConfig for HTTPS.
//
// At most ConnectionsMax connections are open at a time.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	bound := connections{max: connectionsMax(), log: log}
	s := &http.Server{
		Handler:           h,
		ConnState:         bound.track,
		ReadHeaderTimeout: ReadHeaderTimeout,
		IdleTimeout:       IdleTimeout,
		MaxHeaderBytes:    HeaderBytesMax,
		Protocols:         new(http.Protocols),
	}
	s.Protocols.SetHTTP1(true)
	if log != nil {
		s.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	}
	return s
}
