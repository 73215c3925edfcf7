package sigv4_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"torc/access/s3/checksum"
	"torc/access/s3/sigv4"
	"torc/identity"
	"torc/internal/clock"
)

type oneKey struct{ id, secret string }

func (k oneKey) Lookup(context.Context, string) (identity.Credential, error) {
	return identity.Credential{Key: identity.AccessKey{ID: k.id, Secret: k.secret, Active: true}}, nil
}

// endpoint is a server that verifies whatever it is sent, by this package and
// by checksum, and remembers what it was.
type endpoint struct {
	*httptest.Server
	key oneKey
	mu  sync.Mutex
	got received
}

type received struct {
	err    error
	body   string
	mode   sigv4.Mode
	expect checksum.Expectation
	result checksum.Result
}

func newEndpoint(t *testing.T, secure bool) *endpoint {
	t.Helper()
	e := &endpoint{key: oneKey{"AKIAEXAMPLE", "example-secret"}}
	v, err := sigv4.New(sigv4.Config{Region: "us-east-1", Clock: clock.System{}, Credentials: e.key})
	if err != nil {
		t.Fatal(err)
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := receive(v, r)
		e.mu.Lock()
		e.got = got
		e.mu.Unlock()
		if got.err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("ETag", `"`+got.result.ETag()+`"`)
	})
	if secure {
		e.Server = httptest.NewTLSServer(h)
	} else {
		e.Server = httptest.NewServer(h)
	}
	t.Cleanup(e.Close)
	return e
}

func receive(v *sigv4.Verifier, r *http.Request) (got received) {
	auth, err := v.Verify(r.Context(), r)
	if err != nil {
		return received{err: err}
	}
	got.mode = auth.Mode
	if got.expect, got.err = checksum.Parse(r.Header); got.err != nil {
		return got
	}
	body, err := auth.Body(r)
	if err != nil {
		return received{err: err}
	}
	sums := checksum.NewReader(body, got.expect)
	var b bytes.Buffer
	if _, got.err = io.Copy(&b, sums); got.err == nil {
		got.result, got.err = sums.Verify(body.Trailers())
	}
	got.body = b.String()
	return got
}

func (e *endpoint) sdk() *s3.Client {
	return s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(e.URL), UsePathStyle: true, HTTPClient: e.Client(), RetryMaxAttempts: 1,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: e.key.id, SecretAccessKey: e.key.secret}, nil
		}),
	})
}

func (e *endpoint) last() received {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.got
}

// check compares what arrived with what was sent.
func (e *endpoint) check(t *testing.T, sent string, mode sigv4.Mode, a checksum.Algorithm) {
	t.Helper()
	got := e.last()
	if got.err != nil || got.body != sent || got.mode != mode || got.expect.Algorithm != a {
		t.Errorf("got %d bytes, mode %v, checksum %v, %v; want %d, %v, %v",
			len(got.body), got.mode, got.expect.Algorithm, got.err, len(sent), mode, a)
	}
}

func TestSDKPuts(t *testing.T) {
	for _, secure := range []bool{false, true} {
		e := newEndpoint(t, secure)
		for _, size := range []int{0, 1, 5000, 3 << 20} {
			for wire, a := range map[types.ChecksumAlgorithm]checksum.Algorithm{
				"": checksum.CRC32, types.ChecksumAlgorithmCrc32: checksum.CRC32, types.ChecksumAlgorithmCrc32c: checksum.CRC32C,
				types.ChecksumAlgorithmCrc64nvme: checksum.CRC64NVME, types.ChecksumAlgorithmSha1: checksum.SHA1, types.ChecksumAlgorithmSha256: checksum.SHA256,
			} {
				content := strings.Repeat("k", size)
				_, err := e.sdk().PutObject(t.Context(), &s3.PutObjectInput{
					Bucket: aws.String("b"), Key: aws.String("a key/ü+%//x"), Body: strings.NewReader(content), ChecksumAlgorithm: wire,
					Metadata: map[string]string{"a": "one  two"},
				})
				if err != nil {
					t.Errorf("%v %d %v: %v", secure, size, wire, err)
				}
				mode := sigv4.ModeSHA256
				if secure && size > 0 {
					mode = sigv4.ModeUnsignedTrailer
				} else if secure {
					mode = e.last().mode // the SDK chooses for an empty body
				}
				e.check(t, content, mode, a)
			}
		}
	}
}

// A stream that cannot be read twice has its checksum in a trailer.
func TestSDKStream(t *testing.T) {
	e := newEndpoint(t, true)
	content := strings.Repeat("k", 1<<20)
	_, err := e.sdk().PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("b"), Key: aws.String("k"), Body: io.LimitReader(strings.NewReader(content), 1<<20), ContentLength: aws.Int64(1 << 20),
	})
	if err != nil {
		t.Error(err)
	}
	e.check(t, content, sigv4.ModeUnsignedTrailer, checksum.CRC32)
}

func TestSDKPresignedPut(t *testing.T) {
	e := newEndpoint(t, false)
	p, err := s3.NewPresignClient(e.sdk()).PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("a b/c")},
		func(o *s3.PresignOptions) { o.Expires = time.Hour })
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), p.Method, p.URL, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range p.SignedHeader {
		r.Header[name] = values
	}
	res, err := e.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	e.check(t, "body", sigv4.ModeUnsigned, e.last().expect.Algorithm)
}

func TestMinioPuts(t *testing.T) {
	modes := map[sigv4.Mode]bool{}
	for _, secure := range []bool{false, true} {
		e := newEndpoint(t, secure)
		c, err := minio.New(strings.TrimPrefix(strings.TrimPrefix(e.URL, "https://"), "http://"), &minio.Options{
			Creds: credentials.NewStaticV4(e.key.id, e.key.secret, ""), Secure: secure, Region: "us-east-1", Transport: e.Client().Transport, TrailingHeaders: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{0, 1, 65536, 300000} {
			for _, opts := range []minio.PutObjectOptions{{}, {SendContentMd5: true}, {DisableContentSha256: true}, {Checksum: minio.ChecksumCRC32C}} {
				content := strings.Repeat("m", size)
				if _, err := c.PutObject(t.Context(), "bucket", "a key/+%//x", strings.NewReader(content), int64(size), opts); err != nil {
					t.Errorf("%v %d %+v: %v (server: %v)", secure, size, opts, err, e.last().err)
				}
				got := e.last()
				e.check(t, content, got.mode, got.expect.Algorithm)
				modes[got.mode] = true
			}
		}
	}
	t.Log("payload modes seen:", modes)
	if !modes[sigv4.ModeStreaming] || !modes[sigv4.ModeUnsigned] && !modes[sigv4.ModeUnsignedTrailer] {
		t.Errorf("minio-go no longer streams: %v", modes)
	}
}
