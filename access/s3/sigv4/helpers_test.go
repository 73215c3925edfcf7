package sigv4

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"torc/identity"
	"torc/internal/clock"
	"torc/internal/errs"
)

// AWS's documented example credentials and date.
const (
	exampleKey    = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	exampleRegion = "us-east-1"
)

func exampleTime() time.Time { return time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC) }

// fakeKeys is a credential store of one active and one inactive key.
type fakeKeys struct{}

func (fakeKeys) Lookup(_ context.Context, id string) (identity.Credential, error) {
	switch id {
	case exampleKey:
		return identity.Credential{
			Key:     identity.AccessKey{ID: id, Secret: exampleSecret, Active: true},
			Account: identity.Account{ID: "123456789012"},
		}, nil
	case "AKIAINACTIVE":
		return identity.Credential{Key: identity.AccessKey{ID: id, Secret: exampleSecret}}, nil
	case "AKIAOUTAGE":
		return identity.Credential{}, errs.E("fake", errs.Unavailable, "no quorum")
	}
	return identity.Credential{}, errs.NotFound
}

func newVerifier(t testing.TB, at time.Time) *Verifier {
	t.Helper()
	v, err := New(Config{Region: exampleRegion, Clock: clock.NewManual(at), Credentials: fakeKeys{}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wire sends a client's request through HTTP's text form, as a server gets it.
func wire(t testing.TB, r *http.Request) *http.Request {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return parse(t, b.String())
}

func parse(t testing.TB, text string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return r
}

func newRequest(t testing.TB, method, rawURL, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, rawURL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func sdkSigner() *v4.Signer {
	return v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
}

func sdkCredentials() aws.Credentials {
	return aws.Credentials{AccessKeyID: exampleKey, SecretAccessKey: exampleSecret}
}

// sdkSign signs r by the AWS SDK for its body, in place.
func sdkSign(t testing.TB, r *http.Request, payload string) *http.Request {
	t.Helper()
	r.Header.Set(headerContentSHA256, payload)
	if err := sdkSigner().SignHTTP(t.Context(), sdkCredentials(), r, payload, "s3", exampleRegion, exampleTime()); err != nil {
		t.Fatal(err)
	}
	return r
}

// sdkPresign returns r as the AWS SDK presigns it.
func sdkPresign(t testing.TB, r *http.Request, expires string) *http.Request {
	t.Helper()
	q := r.URL.Query()
	q.Set("X-Amz-Expires", expires)
	r.URL.RawQuery = q.Encode()
	signed, headers, err := sdkSigner().PresignHTTP(t.Context(), sdkCredentials(), r, unsignedPayload, "s3", exampleRegion, exampleTime())
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	out := r.Clone(t.Context())
	out.URL, out.Header = u, headers
	out.Header.Del("Host")
	out.Header.Del("Content-Length")
	return out
}

func mustVerify(t testing.TB, v *Verifier, r *http.Request) *Auth {
	t.Helper()
	a, err := v.Verify(t.Context(), r)
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			t.Fatalf("%v\n%q", err, e.Details)
		}
		t.Fatal(err)
	}
	return a
}

// wantCode fails unless err is a refusal with the code, and returns it.
func wantCode(t testing.TB, err error, code Code) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want %s", err, code)
	}
	if e.Code != code {
		t.Fatalf("got %v %q, want %s", e, e.Details, code)
	}
	if strings.Contains(e.Message, exampleSecret) {
		t.Fatalf("secret in %q", e.Message)
	}
	return e
}

func detail(e *Error, name string) string {
	for _, d := range e.Details {
		if d.Name == name {
			return d.Value
		}
	}
	return ""
}

func readAll(t testing.TB, a *Auth, r *http.Request) (string, http.Header, error) {
	t.Helper()
	body, err := a.Body(r)
	if err != nil {
		return "", nil, err
	}
	b, err := io.ReadAll(body)
	if err != nil && body.Trailers() != nil {
		t.Error("trailers of a body that failed")
	}
	return string(b), body.Trailers(), err
}

// byHand signs like AWS documents, for what no client does: written apart from
// the verifier, short enough to be read against the documentation.
type byHand struct {
	previous string
	withTrailers,
	unsigned bool
}

const exampleScope = "20130524/us-east-1/s3/aws4_request"

func (s *byHand) sign(kind, payload string) string {
	key := []byte("AWS4" + exampleSecret)
	for part := range strings.SplitSeq(exampleScope, "/") {
		sum := mac(key, part)
		key = sum[:]
	}
	middle := s.previous + "\n"
	if kind == "PAYLOAD" {
		middle += sha256Hex("") + "\n"
	}
	sum := mac(key, "AWS4-HMAC-SHA256-"+kind+"\n20130524T000000Z\n"+exampleScope+"\n"+middle+sha256Hex(payload))
	s.previous = hex.EncodeToString(sum[:])
	return s.previous
}

func (s *byHand) chunk(data string) string {
	header := strconv.FormatInt(int64(len(data)), 16)
	if !s.unsigned {
		header += ";chunk-signature=" + s.sign("PAYLOAD", data)
	}
	if data == "" {
		return header + "\r\n"
	}
	return header + "\r\n" + data + "\r\n"
}

func (s *byHand) body(chunks ...string) string {
	var b strings.Builder
	for _, c := range chunks {
		b.WriteString(s.chunk(c))
	}
	b.WriteString(s.chunk(""))
	if !s.withTrailers {
		b.WriteString("\r\n")
	}
	return b.String()
}

func (s *byHand) trailer(text string) string {
	if s.unsigned {
		return strings.ReplaceAll(text, "\n", "\r\n") + "\r\n"
	}
	return text + "\r\nx-amz-trailer-signature:" + s.sign("TRAILER", text) + "\r\n\r\n"
}

// sha256Hasher gives minio-go's signer the type it wants.
type sha256Hasher struct{ hash.Hash }

func (sha256Hasher) Close() {}

func newSHA256() hash.Hash { return sha256.New() }
