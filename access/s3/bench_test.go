package s3

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"torc/chunk"
	"torc/internal/clock"
	"torc/meta"
	"torc/object"
)

// nullWriter is an answer that goes nowhere.
type nullWriter struct {
	h      http.Header
	status int
	n      int64
}

func (w *nullWriter) Header() http.Header { return w.h }
func (w *nullWriter) WriteHeader(s int)   { w.status = s }
func (w *nullWriter) Write(p []byte) (int, error) {
	w.n += int64(len(p))
	return len(p), nil
}

// The benchmarks measure the connector and package object over memory, without
// net/http and without the network: what a request costs above them.
func BenchmarkRequests(b *testing.B) {
	store, err := object.New(object.Config{
		DB: meta.NewMemory(clock.System{}, object.Handlers()...), Chunks: chunk.NewMemory(), Clock: clock.System{},
		Log: slog.New(slog.DiscardHandler), Name: "bench", Policy: object.Policy{Small: chunk.Replicas(3), Large: chunk.EC(4, 2)},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close(context.Background())
	h := New(Config{Objects: store, Identity: testKeyring()})
	r := &rig{t: b, url: "http://bench"}
	do := func(q *http.Request, body string, want int) int64 {
		w := &nullWriter{h: http.Header{}}
		q.Body = io.NopCloser(strings.NewReader(body))
		h.ServeHTTP(w, q)
		if w.status != want && (w.status != 0 || want != 200) {
			b.Fatalf("%s %s: status %d", q.Method, q.URL, w.status)
		}
		return w.n
	}
	signed := func(method, path, body string) *http.Request {
		q := r.request(method, path, body)
		q.Host = "bench"
		q.Header.Set("Content-Length", fmt.Sprint(len(body)))
		r.sign(q, aliceKey, aliceSecret)
		return q
	}
	do(signed("PUT", "/bkt", ""), "", 200)
	small := strings.Repeat("x", 4096)
	for i := range 1000 {
		path := fmt.Sprintf("/bkt/folder/of/keys/%08d.jpg", i)
		do(signed("PUT", path, small), small, 200)
	}
	for name, q := range map[string]*http.Request{
		"PUT-4KiB":  signed("PUT", "/bkt/one", small),
		"GET-4KiB":  signed("GET", "/bkt/folder/of/keys/00000007.jpg", ""),
		"HEAD":      signed("HEAD", "/bkt/folder/of/keys/00000007.jpg", ""),
		"LIST-1000": signed("GET", "/bkt?list-type=2&prefix=folder/", ""),
	} {
		b.Run(name, func(b *testing.B) {
			body := ""
			if q.Method == "PUT" {
				body = small
			}
			b.ReportAllocs()
			for b.Loop() {
				do(q, body, 200)
			}
		})
	}
}
