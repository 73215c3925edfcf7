package sigv4

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"testing"
)

func BenchmarkVerify(b *testing.B) {
	v := newVerifier(b, exampleTime())
	r := newRequest(b, "PUT", "http://127.0.0.1:9000/bucket/some/key/of/an/object?x-id=PutObject", "")
	r.Header.Set("Content-Type", "application/octet-stream")
	r.Header.Set("X-Amz-Checksum-Crc32", "AAAAAA==")
	r.Header.Set("X-Amz-Sdk-Checksum-Algorithm", "CRC32")
	got := wire(b, sdkSign(b, r, sha256Hex("")))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), got); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyPresigned(b *testing.B) {
	v := newVerifier(b, exampleTime())
	got := wire(b, sdkPresign(b, newRequest(b, "GET", "http://127.0.0.1:9000/bucket/key", ""), "900"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), got); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkChunked(b *testing.B) {
	const total, chunk = 8 << 20, 64 << 10
	for _, mode := range []Mode{ModeUnsignedTrailer, ModeStreaming} {
		b.Run(mode.String(), func(b *testing.B) {
			a, s := streamAuth(mode)
			chunks := make([]string, total/chunk)
			for i := range chunks {
				chunks[i] = string(bytes.Repeat([]byte{byte(i)}, chunk))
			}
			body := s.body(chunks...)
			if mode.trailer() {
				body += s.trailer(crcTrailer + ":AAAAAA==\n")
			}
			raw, buf := []byte(body), make([]byte, 256<<10)
			b.SetBytes(total)
			b.ReportAllocs()
			for b.Loop() {
				r := streamRequest("", strconv.Itoa(total), trailerOf(mode))
				r.Body = io.NopCloser(bytes.NewReader(raw))
				drain(b, a, r, buf)
			}
		})
	}
}

func drain(b *testing.B, a *Auth, r *http.Request, buf []byte) {
	body, err := a.Body(r)
	for err == nil {
		_, err = body.Read(buf)
	}
	if err != io.EOF {
		b.Fatal(err)
	}
}
