package sigv4

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// sdkSortsAlike reports whether the SDK's order of a query (by decoded name)
// is the documented one (by encoded name): it differs for a few bytes.
func sdkSortsAlike(query []param) bool {
	return slices.IsSortedFunc(query, func(a, b param) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
}

// FuzzCanonical signs by the SDK whatever path, query and header the fuzzer
// makes, sends it over the wire and verifies it. It then changes one byte of
// what was signed, which must not verify.
func FuzzCanonical(f *testing.F) {
	for _, target := range differentialURLs() {
		u, err := url.Parse(target)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(u.Path, u.RawQuery, " a  b ", u.Host)
	}
	f.Fuzz(func(t *testing.T, path, query, header, host string) {
		r := fuzzRequest(t, path, query, header, host)
		params, err := parseQuery(r.URL.RawQuery)
		if err != nil || !sdkSortsAlike(params) || has(params, "X-Amz-Algorithm") || has(params, "X-Amz-Credential") ||
			has(params, "X-Amz-Signature") || has(params, "Signature") || has(params, "AWSAccessKeyId") || has(params, "X-Amz-Security-Token") {
			t.Skip()
		}
		v := newVerifier(t, exampleTime())
		got := wire(t, sdkSign(t, r, unsignedPayload))
		mustVerify(t, v, got)
		got.URL.Path += "x"
		got.URL.RawPath = ""
		if _, err := v.Verify(t.Context(), got); err == nil {
			t.Error("a longer path verifies")
		}
	})
}

func fuzzRequest(t *testing.T, path, query, header, host string) *http.Request {
	t.Helper()
	bad := func(r rune) bool { return r == unicode.ReplacementChar || r < ' ' || r > '~' }
	if strings.ContainsFunc(host+header+query, bad) || strings.ContainsAny(host, " /?#@%\\\"<>^`{|}[]") || host == "" || strings.Contains(query, "#") {
		t.Skip()
	}
	r := newRequest(t, "GET", "http://h/", "")
	if _, err := url.ParseQuery(query); err != nil {
		t.Skip()
	}
	r.Host, r.URL.Path, r.URL.RawQuery = host, "/"+path, query
	r.Header.Set("X-Amz-Meta-F", header)
	var b strings.Builder
	if r.Write(&b) != nil {
		t.Skip()
	}
	return r
}

// FuzzClaim feeds raw queries and Authorization values: never a panic,
// never accepted.
func FuzzClaim(f *testing.F) {
	f.Add("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=9&X-Amz-SignedHeaders=host&X-Amz-Signature=0", "", "")
	f.Add("", exampleAuth+"host,Signature=00", unsignedPayload)
	f.Add("a=b;c&%zz", "AWS a:b", streamingPayload)
	f.Fuzz(func(t *testing.T, query, authorization, payload string) {
		r := &http.Request{Method: "GET", Host: "h", URL: &url.URL{Path: "/b", RawQuery: query}, Header: http.Header{headerDate: {"20130524T000000Z"}}}
		if authorization != "" {
			r.Header[headerAuthorization] = []string{authorization}
		}
		if payload != "" {
			r.Header[headerContentSHA256] = []string{payload}
		}
		if a, err := newVerifier(t, exampleTime()).Verify(t.Context(), r); err == nil && !a.Anonymous {
			t.Error("a request signed by nobody verifies")
		}
	})
}

// FuzzChunked reads arbitrary framing: never a panic, never more than the
// declared length, and a signed stream only when it is the one that was signed.
func FuzzChunked(f *testing.F) {
	for mode, body := range goodStreams() {
		f.Add(body, int64(2*ChunkSizeMin+4), uint8(mode))
		f.Add(body[:300], int64(10), uint8(mode))
	}
	f.Add("0\r\n"+crcTrailer+":AAAAAA==\n\r\n\r\n", int64(0), uint8(ModeUnsignedTrailer))
	f.Add("3\r\nabc\r\n0\r\n"+crcTrailer+":AAAAAA==\r\n\r\n", int64(3), uint8(ModeUnsignedTrailer))
	good := goodStreams()
	f.Fuzz(func(t *testing.T, body string, size int64, m uint8) {
		mode := Mode(m)
		if !mode.Chunked() || size < 0 {
			t.Skip()
		}
		a, _ := streamAuth(mode)
		c := newChunked(strings.NewReader(body), size, []string{crcTrailer}[:btoi(mode.trailer())])
		c.withTrailers = mode.trailer()
		if mode.signed() {
			c.chain = newChain(a)
		}
		got, err := io.ReadAll(&Body{payload: c, size: size})
		if int64(len(got)) > size {
			t.Errorf("%d bytes out of a declared %d", len(got), size)
		}
		if err != nil {
			return
		}
		if int64(len(got)) != size {
			t.Errorf("ended after %d bytes of %d", len(got), size)
		}
		if mode.signed() && normal(body) != normal(good[mode]) {
			t.Errorf("a forged stream was accepted:\n%q", body)
		}
	})
}

// normal removes what a signed stream may vary in without changing its meaning:
// the spelling of sizes, and white space around trailers.
func normal(body string) string {
	keep := func(r rune) rune {
		if strings.ContainsRune("\r\n\t 0", r) {
			return -1
		}
		return unicode.ToLower(r)
	}
	return strings.Map(keep, body)
}
