package transport

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// BenchmarkHTTP is what we did not choose: the same puts over the standard
// library's HTTP/1.1 with kept-alive connections, one per caller.
func BenchmarkHTTP(b *testing.B) {
	for _, c := range []struct{ size, callers int }{{4 << 10, 64}, {4 << 20, 8}} {
		b.Run(fmt.Sprintf("%dKiB/callers=%d", c.size>>10, c.callers), func(b *testing.B) { benchHTTP(b, c.size, c.callers) })
	}
}

func benchHTTP(b *testing.B, size, callers int) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); err != nil || n != int64(size) {
			b.Errorf("%d bytes, %v", n, err)
		}
		_, _ = w.Write(make([]byte, 13))
	}))
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	defer client.CloseIdleConnections()
	body := randomBytes(1, size)
	b.SetBytes(int64(size))
	cpu := cpuSeconds(b)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range b.N/callers + 1 {
				resp, err := client.Post(srv.URL, "", bytes.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	used := (cpuSeconds(b) - cpu) / float64((b.N/callers+1)*callers)
	b.ReportMetric(used*1e6, "cpu-us/call")
	b.ReportMetric(used*1e9/float64(size), "cpu-ns/B")
}
