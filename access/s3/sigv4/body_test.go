package sigv4

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"torc/internal/errs"
)

// streamAuth is the Auth of a verified streaming request, and the hand signer
// that continues its chain.
func streamAuth(mode Mode) (*Auth, *byHand) {
	key := deriveKey(exampleSecret, "20130524", exampleRegion, "s3")
	a := &Auth{
		Mode: mode, scope: exampleScope, date: "20130524T000000Z", signature: strings.Repeat("5", 64),
		key: func() *signingKey { return key },
	}
	return a, &byHand{previous: a.signature, withTrailers: mode.trailer(), unsigned: !mode.signed()}
}

// streamRequest is a request with a body of unknown framed length.
func streamRequest(body, decoded, trailer string) *http.Request {
	r := &http.Request{Header: http.Header{}, ContentLength: -1, Body: io.NopCloser(strings.NewReader(body))}
	if decoded != "" {
		r.Header.Set(headerDecodedLength, decoded)
	}
	if trailer != "" {
		r.Header.Set(headerTrailer, trailer)
	}
	return r
}

func big(c string) string { return strings.Repeat(c, ChunkSizeMin) }

const crcTrailer = "x-amz-checksum-crc32"

// goodStreams are a well-formed body of each streaming mode.
func goodStreams() map[Mode]string {
	out := map[Mode]string{}
	for _, mode := range []Mode{ModeStreaming, ModeStreamingTrailer, ModeUnsignedTrailer} {
		_, s := streamAuth(mode)
		body := s.body(big("a"), big("b"), "tail")
		if mode.trailer() {
			body += s.trailer(crcTrailer + ":AAAAAA==\n")
		}
		out[mode] = body
	}
	return out
}

func goodSize() string { return strconv.Itoa(2*ChunkSizeMin + 4) }

func trailerOf(mode Mode) string {
	if mode.trailer() {
		return crcTrailer
	}
	return ""
}

func TestStreams(t *testing.T) {
	for mode, body := range goodStreams() {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "half": iotest.HalfReader,
			"one byte": iotest.OneByteReader, "data with EOF": iotest.DataErrReader,
		} {
			a, _ := streamAuth(mode)
			r := streamRequest("", goodSize(), trailerOf(mode))
			r.Body = io.NopCloser(wrap(strings.NewReader(body)))
			got, trailers, err := readAll(t, a, r)
			if err != nil || got != big("a")+big("b")+"tail" {
				t.Errorf("%v, %s: %d bytes, %v", mode, name, len(got), err)
			}
			if mode.trailer() && trailers.Get(crcTrailer) != "AAAAAA==" {
				t.Errorf("%v, %s: trailers %v", mode, name, trailers)
			}
		}
	}
}

// Every proper prefix is a truncation and every flipped bit of a signed stream
// a forgery; neither may ever end in io.EOF.
func TestTruncatedStreams(t *testing.T) {
	for mode, body := range goodStreams() {
		for cut := 0; cut < len(body); cut += 1 + 97*btoi(cut > 200 && cut < len(body)-300) {
			a, _ := streamAuth(mode)
			_, _, err := readAll(t, a, streamRequest(body[:cut], goodSize(), trailerOf(mode)))
			wantCode(t, err, IncompleteBody)
			if !errors.Is(err, io.ErrUnexpectedEOF) || !errs.Is(err, errs.Invalid) {
				t.Fatalf("%v cut at %d: %v", mode, cut, err)
			}
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestFlippedStreams(t *testing.T) {
	for mode, body := range goodStreams() {
		if !mode.signed() {
			continue
		}
		for i := 0; i < len(body); i += 1 + 211*btoi(i > 200 && i < len(body)-300) {
			b := []byte(body)
			b[i] ^= 1
			a, _ := streamAuth(mode)
			if got, _, err := readAll(t, a, streamRequest(string(b), goodSize(), trailerOf(mode))); err == nil {
				// Hex digits of a size may change case, and nothing else.
				t.Fatalf("%v: byte %d of %d flipped, %d bytes accepted", mode, i, len(body), len(got))
			}
		}
	}
}

func TestTamperedStreams(t *testing.T) {
	good := goodStreams()
	for _, c := range []struct {
		name      string
		mode      Mode
		old, with string
		want      Code
	}{
		{"chunk data", ModeStreaming, "bbb", "bxb", SignatureDoesNotMatch},
		{"no signature", ModeStreaming, ";chunk-signature=", ";x=", InvalidRequest},
		{"no extension", ModeStreaming, ";", "", InvalidRequest},
		{"size negative", ModeStreaming, "2000;", "-2000;", InvalidRequest},
		{"size plus", ModeStreaming, "2000;", "+2000;", InvalidRequest},
		{"size 0x", ModeStreaming, "2000;", "0x2000;", InvalidRequest},
		{"size empty", ModeStreaming, "2000;", ";", InvalidRequest},
		{"size junk", ModeStreaming, "2000;", "20g0;", InvalidRequest},
		{"size underscore", ModeStreaming, "2000;", "20_00;", InvalidRequest},
		{"size 2^63", ModeStreaming, "2000;", "8000000000000000;", InvalidChunkSize},
		{"size 2^64-1", ModeStreaming, "2000;", "ffffffffffffffff;", InvalidChunkSize},
		{"size 2^64+", ModeStreaming, "2000;", "12000000000000000;", InvalidRequest},
		{"size over the declared length", ModeStreaming, "2000;", "5000;", IncompleteBody},
		{"size smaller than the chunk", ModeStreaming, "2000;", "1fff;", InvalidRequest},
		{"header without CR", ModeStreaming, "\r\n", "\n", InvalidRequest},
		{"header endless", ModeStreaming, "2000;", "2000;" + strings.Repeat("x", 5000), InvalidRequest},
		{"unsigned size 2^63", ModeUnsignedTrailer, "2000\r", "8000000000000000\r", InvalidChunkSize},
		{"unsigned size negative", ModeUnsignedTrailer, "2000\r", "-1\r", InvalidRequest},
		{"unsigned with extension", ModeUnsignedTrailer, "2000\r", "2000;x=y\r", InvalidRequest},
		{"trailer value", ModeStreamingTrailer, "AAAAAA==", "BAAAAA==", SignatureDoesNotMatch},
		{"trailer name", ModeStreamingTrailer, crcTrailer, "x-amz-checksum-sha1", MalformedTrailer},
		{"trailer signature", ModeStreamingTrailer, "trailer-signature:", "trailer-signature:0", SignatureDoesNotMatch},
		{"trailer signature missing", ModeStreamingTrailer, "x-amz-trailer-signature", crcTrailer, MalformedTrailer},
		{"trailer after signature", ModeStreamingTrailer, "\r\n\r\n", "\r\na:b\r\n\r\n", MalformedTrailer},
		{"trailer repeated", ModeUnsignedTrailer, crcTrailer, crcTrailer + ":AAAAAA==\r\n" + crcTrailer, MalformedTrailer},
		{"trailer missing", ModeUnsignedTrailer, crcTrailer + ":AAAAAA==\r\n", "", MalformedTrailer},
		{"trailer undeclared", ModeUnsignedTrailer, crcTrailer, "x-amz-meta-a:b\r\n" + crcTrailer, MalformedTrailer},
		{"trailer without colon", ModeUnsignedTrailer, crcTrailer + ":", crcTrailer, MalformedTrailer},
		{"trailer with control character", ModeUnsignedTrailer, "AAAAAA==", "AA\x00AAA==", MalformedTrailer},
		{"trailer endless", ModeUnsignedTrailer, "AAAAAA==", strings.Repeat("A", 5000), InvalidRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := replace(t, good[c.mode], c.old, c.with)
			if c.name == "trailer after signature" { // the last empty line, not the first
				i := strings.LastIndex(good[c.mode], c.old)
				body = good[c.mode][:i] + c.with
			}
			a, _ := streamAuth(c.mode)
			_, _, err := readAll(t, a, streamRequest(body, goodSize(), trailerOf(c.mode)))
			wantCode(t, err, c.want)
		})
	}
}

func TestTrailingJunk(t *testing.T) {
	for mode, body := range goodStreams() {
		for _, junk := range []string{"x", "0\r\n\r\n", "\r\n\r\n\r\n"} {
			a, _ := streamAuth(mode)
			_, _, err := readAll(t, a, streamRequest(body+junk, goodSize(), trailerOf(mode)))
			wantCode(t, err, InvalidRequest)
		}
	}
}

func TestChunksReordered(t *testing.T) {
	_, s := streamAuth(ModeStreaming)
	one, two, end := s.chunk(big("a")), s.chunk(big("b")), s.chunk("")+"\r\n"
	for name, body := range map[string]string{"swapped": two + one + end, "dropped": one + end, "repeated": one + one + end} {
		a, _ := streamAuth(ModeStreaming)
		if _, _, err := readAll(t, a, streamRequest(body, strconv.Itoa(2*ChunkSizeMin), "")); err == nil {
			t.Errorf("%s: accepted", name)
		} else if name != "dropped" {
			wantCode(t, err, SignatureDoesNotMatch)
		}
	}
}

func TestWrongChunkSignature(t *testing.T) {
	body := goodStreams()[ModeStreaming]
	for _, from := range []int{0, strings.LastIndex(body, ";chunk")} { // the first chunk's, the last one's
		i := from + strings.Index(body[from:], "=") + 1
		for _, forged := range []string{strings.Repeat("0", 64), strings.ToUpper(body[i : i+64])} {
			a, _ := streamAuth(ModeStreaming)
			_, _, err := readAll(t, a, streamRequest(body[:i]+forged+body[i+64:], goodSize(), ""))
			wantCode(t, err, SignatureDoesNotMatch)
		}
	}
}

// The read that would complete a forged chunk returns none of it.
func TestForgedChunkIsNeverComplete(t *testing.T) {
	a, _ := streamAuth(ModeStreaming)
	body, err := a.Body(streamRequest(replace(t, goodStreams()[ModeStreaming], "aaa", "axa"), goodSize(), ""))
	if err != nil {
		t.Fatal(err)
	}
	buf, total := make([]byte, 1000), 0
	for err == nil {
		var n int
		n, err = body.Read(buf)
		total += n
	}
	wantCode(t, err, SignatureDoesNotMatch)
	if total >= ChunkSizeMin {
		t.Errorf("%d bytes of a forged chunk of %d handed out", total, ChunkSizeMin)
	}
	if _, again := body.Read(buf); !errors.Is(again, err) {
		t.Errorf("error is not sticky: %v", again)
	}
}

func TestSmallChunks(t *testing.T) {
	a, s := streamAuth(ModeStreaming)
	_, _, err := readAll(t, a, streamRequest(s.body("aa", "b"), "3", ""))
	if e := wantCode(t, err, InvalidChunkSize); detail(e, "Chunk") != "1" || detail(e, "BadChunkSize") != "2" || e.Status != 403 {
		t.Errorf("%+v", e)
	}
	a, s = streamAuth(ModeUnsignedTrailer)
	got, _, err := readAll(t, a, streamRequest(s.body("aa", "b")+"\r\n", "3", ""))
	if got != "aab" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestDecodedLength(t *testing.T) {
	for mode, body := range goodStreams() {
		for _, lie := range []string{"0", "16387", "16389", "9223372036854775807"} {
			a, _ := streamAuth(mode)
			got, _, err := readAll(t, a, streamRequest(body, lie, trailerOf(mode)))
			wantCode(t, err, IncompleteBody)
			if n, _ := strconv.ParseInt(lie, 10, 64); int64(len(got)) > n {
				t.Errorf("%d bytes handed out of %s", len(got), lie)
			}
		}
		for _, junk := range []string{"-1", "9223372036854775808", "1e3", "0x10", "undefined"} {
			a, _ := streamAuth(mode)
			_, _, err := readAll(t, a, streamRequest(body, junk, trailerOf(mode)))
			wantCode(t, err, InvalidArgument)
		}
		a, _ := streamAuth(mode)
		r := streamRequest(body, goodSize(), trailerOf(mode))
		r.ContentLength = 2 * ChunkSizeMin
		_, _, err := readAll(t, a, r)
		wantCode(t, err, IncompleteBody)

		a, _ = streamAuth(mode)
		_, _, err = readAll(t, a, streamRequest(body, "", trailerOf(mode)))
		if mode.signed() {
			wantCode(t, err, MissingContentLength)
		} else if err != nil {
			t.Errorf("%v without a decoded length: %v", mode, err)
		}
	}
}

func TestTrailerDeclarations(t *testing.T) {
	for _, declared := range []string{",", "a b", "x-amz-trailer-signature", crcTrailer + "," + crcTrailer, strings.Repeat("a,", 20) + "b", "a:b"} {
		a, _ := streamAuth(ModeUnsignedTrailer)
		_, err := a.Body(streamRequest("", "0", declared))
		wantCode(t, err, InvalidRequest)
	}
	for _, mode := range []Mode{ModeUnsigned, ModeSHA256, ModeStreaming} {
		a, _ := streamAuth(mode)
		_, err := a.Body(streamRequest("", "0", crcTrailer))
		wantCode(t, err, InvalidRequest)
	}
}

func TestPlainBodies(t *testing.T) {
	for _, c := range []struct {
		name   string
		mode   Mode
		hash   string
		length int64
		want   Code
	}{
		{"unsigned", ModeUnsigned, "", 4, ""},
		{"unsigned of unknown length", ModeUnsigned, "", -1, ""},
		{"unsigned too short", ModeUnsigned, "", 5, IncompleteBody},
		{"unsigned too long", ModeUnsigned, "", 3, IncompleteBody},
		{"hashed", ModeSHA256, sha256Hex("body"), 4, ""},
		{"hashed in upper case", ModeSHA256, strings.ToUpper(sha256Hex("body")), 4, ""},
		{"hashed of unknown length", ModeSHA256, sha256Hex("body"), -1, ""},
		{"hashed wrongly", ModeSHA256, sha256Hex("bodY"), 4, ContentSHA256Mismatch},
		{"hashed of unknown length wrongly", ModeSHA256, sha256Hex(""), -1, ContentSHA256Mismatch},
	} {
		for _, wrap := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.DataErrReader} {
			a := &Auth{Mode: c.mode, payloadHash: c.hash}
			r := &http.Request{ContentLength: c.length, Body: io.NopCloser(wrap(strings.NewReader("body")))}
			got, trailers, err := readAll(t, a, r)
			if c.want != "" {
				wantCode(t, err, c.want)
			} else if err != nil || got != "body" || trailers != nil {
				t.Errorf("%s: %q, %v, %v", c.name, got, trailers, err)
			}
		}
	}
	a := &Auth{Mode: ModeSHA256, payloadHash: sha256Hex("")}
	if got, _, err := readAll(t, a, &http.Request{}); got != "" || err != nil {
		t.Errorf("no body: %q, %v", got, err)
	}
}

func TestReadErrors(t *testing.T) {
	for _, mode := range []Mode{ModeUnsigned, ModeStreaming} {
		for cause, want := range map[error]errs.Kind{
			context.Canceled: errs.Canceled, os.ErrDeadlineExceeded: errs.Timeout,
			&http.MaxBytesError{Limit: 1}: errs.TooLarge, errors.New("malformed chunked encoding"): errs.Invalid,
			io.ErrUnexpectedEOF: errs.Invalid, errs.Overload: errs.Overload,
		} {
			a, _ := streamAuth(mode)
			r := streamRequest("", "1", "")
			r.Body = io.NopCloser(iotest.ErrReader(cause))
			if _, _, err := readAll(t, a, r); errs.KindOf(err) != want || !errors.Is(err, cause) {
				t.Errorf("%v, %v: got %v (%v), want %v", mode, cause, err, errs.KindOf(err), want)
			}
		}
	}
}
