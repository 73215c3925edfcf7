package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"torc/chunk"
	"torc/identity"
	"torc/internal/clock"
	"torc/internal/errs"
	"torc/meta"
	"torc/object"
)

// keyring is an Identity in a map.
type keyring map[string]identity.Credential

func (k keyring) Lookup(_ context.Context, id string) (identity.Credential, error) {
	c, ok := k[id]
	if !ok {
		return c, errs.E("test.Lookup", errs.NotFound, "no key %s", id)
	}
	return c, nil
}

// Two accounts; their keys are made up for the tests.
const (
	aliceKey, aliceSecret = "AKIATESTALICE0000001", "alice-secret-of-the-tests-only-0000000001"
	bobKey, bobSecret     = "AKIATESTBOB000000002", "bob-secret-of-the-tests-only-000000000002"
)

func testKeyring() keyring {
	return keyring{
		aliceKey: {
			Key:     identity.AccessKey{ID: aliceKey, Secret: aliceSecret, Account: "100000000001", Active: true},
			Account: identity.Account{ID: "100000000001", Canonical: strings.Repeat("a1", 32), Name: "alice"},
		},
		bobKey: {
			Key:     identity.AccessKey{ID: bobKey, Secret: bobSecret, Account: "100000000002", Active: true},
			Account: identity.Account{ID: "100000000002", Canonical: strings.Repeat("b2", 32), Name: "bob"},
		},
	}
}

// observations collects what a Handler reports.
type observations struct {
	mu   sync.Mutex
	all  []Observation
	more chan struct{} // gets something after a new observation
}

func (o *observations) Observe(x Observation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, x)
	select {
	case o.more <- struct{}{}:
	default:
	}
}

// rig is a server over the real object service in memory.
type rig struct {
	t       testing.TB
	handler *Handler
	server  *httptest.Server
	store   *object.Service
	chunks  *chunk.Faulty
	seen    *observations
	url     string
	client  *http.Client
}

type rigOption func(*Config)

// newRig starts a server for a test. The environment cannot reach the SDKs.
func newRig(t *testing.T, useTLS bool, opts ...rigOption) *rig {
	t.Helper()
	for _, name := range []string{"AWS_CA_BUNDLE", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
		"AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, "")
	}
	r := &rig{t: t, chunks: chunk.NewFaulty(chunk.NewMemory()), seen: &observations{more: make(chan struct{}, 1)}}
	var err error
	r.store, err = object.New(object.Config{
		DB: meta.NewMemory(clock.System{}, object.Handlers()...), Chunks: r.chunks, Clock: clock.System{},
		Log: slog.New(slog.DiscardHandler), Name: "test",
		Policy: object.Policy{Small: chunk.Replicas(3), Large: chunk.EC(4, 2)},
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Objects: r.store, Identity: testKeyring(), Domains: []string{"s3.test"}, Metrics: r.seen}
	for _, o := range opts {
		o(&cfg)
	}
	r.handler = New(cfg)
	r.server = httptest.NewUnstartedServer(r.handler)
	srv := NewServer(r.handler, slog.New(slog.DiscardHandler))
	r.server.Config = srv
	if useTLS {
		r.server.StartTLS()
	} else {
		r.server.Start()
	}
	r.url = r.server.URL
	r.client = &http.Client{Transport: r.transport()}
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		r.server.Close()
		if err := r.store.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if n := r.handler.InFlight(); n != 0 {
			t.Errorf("%d requests still in flight", n)
		}
	})
	return r
}

func (r *rig) transport() *http.Transport {
	tr := &http.Transport{DisableCompression: true}
	if r.server.TLS != nil {
		pool := x509.NewCertPool()
		pool.AddCert(r.server.Certificate())
		tr.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	return tr
}

// sdk is an AWS SDK client of one of the accounts.
func (r *rig) sdk(key, secret string) *awss3.Client {
	return awss3.New(awss3.Options{
		BaseEndpoint: aws.String(r.url), Region: "us-east-1", UsePathStyle: true, HTTPClient: r.client,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}, nil
		}),
		RetryMaxAttempts: 1,
	})
}

func (r *rig) alice() *awss3.Client { return r.sdk(aliceKey, aliceSecret) }
func (r *rig) bob() *awss3.Client   { return r.sdk(bobKey, bobSecret) }

// request is a raw request; header lines are "Name: value".
func (r *rig) request(method, path, body string, headers ...string) *http.Request {
	r.t.Helper()
	q, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			q.Host = value
			continue
		}
		q.Header.Add(name, value)
	}
	return q
}

// send signs a request as alice with an unsigned payload and sends it.
func (r *rig) send(q *http.Request) reply {
	r.t.Helper()
	r.sign(q, aliceKey, aliceSecret)
	return r.sendRaw(q)
}

// sign signs a request, with an unsigned payload if it does not say otherwise.
// The signer is a new one each time: it remembers secrets by access key alone.
func (r *rig) sign(q *http.Request, key, secret string) {
	r.t.Helper()
	payload := q.Header.Get("X-Amz-Content-Sha256")
	if payload == "" {
		payload = "UNSIGNED-PAYLOAD"
		q.Header.Set("X-Amz-Content-Sha256", payload)
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	cred := aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}
	if err := signer.SignHTTP(context.Background(), cred, q, payload, "s3", "us-east-1", time.Now()); err != nil {
		r.t.Fatal(err)
	}
}

// do is send of a request made on the spot.
func (r *rig) do(method, path, body string, headers ...string) reply {
	r.t.Helper()
	return r.send(r.request(method, path, body, headers...))
}

// reply is an answer read to its end.
type reply struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

func (r *rig) sendRaw(q *http.Request) reply {
	r.t.Helper()
	resp, err := r.client.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(b), err}
}

// must sends and requires a status.
func (r *rig) must(status int, method, path, body string, headers ...string) reply {
	r.t.Helper()
	got := r.do(method, path, body, headers...)
	if got.status != status {
		r.t.Fatalf("%s %s: status %d, want %d: %s", method, path, got.status, status, got.body)
	}
	return got
}

// wantError requires an error document.
func (got reply) wantError(t *testing.T, status int, code string) {
	t.Helper()
	if got.status != status || !strings.Contains(got.body, "<Code>"+code+"</Code>") {
		t.Errorf("answer %d %s, want %d %s", got.status, got.body, status, code)
	}
}

func pattern(n int) string {
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "%08d|", b.Len())
	}
	return b.String()[:n]
}
