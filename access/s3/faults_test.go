package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"torc/chunk"
	"torc/internal/clock"
	"torc/internal/errs"
	"torc/object"
)

// hooked is the real service with some methods replaced.
type hooked struct {
	Objects
	stat       func() error
	writeRange func(w io.Writer) error
	complete   func() error
}

func (h *hooked) Stat(ctx context.Context, b object.BucketName, key string) (object.Bucket, object.Object, error) {
	if h.stat != nil {
		if err := h.stat(); err != nil {
			return object.Bucket{}, object.Object{}, err
		}
	}
	return h.Objects.Stat(ctx, b, key)
}

func (h *hooked) WriteRange(ctx context.Context, w io.Writer, o object.Object, off, n int64) error {
	if h.writeRange != nil {
		if err := h.writeRange(w); err != nil {
			return err
		}
	}
	return h.Objects.WriteRange(ctx, w, o, off, n)
}

func (h *hooked) Complete(ctx context.Context, r object.CompleteRequest) (object.Object, error) {
	if h.complete != nil {
		if err := h.complete(); err != nil {
			return object.Object{}, err
		}
	}
	return h.Objects.Complete(ctx, r)
}

func newHookedRig(t *testing.T, h *hooked, opts ...rigOption) *rig {
	opts = append(opts, func(c *Config) {
		h.Objects = c.Objects
		c.Objects = h
	})
	return newRig(t, false, opts...)
}

// Every kind of failure of what is below has an answer, and none says that
// something is not there when it is.
func TestKindsOfFailure(t *testing.T) {
	h := &hooked{}
	r := newHookedRig(t, h)
	r.must(200, "PUT", "/bkt", "")
	r.must(200, "PUT", "/bkt/k", "hello")
	for _, tt := range []struct {
		kind   errs.Kind
		status int
		code   string
	}{
		{errs.Other, 500, "InternalError"},
		{errs.Invalid, 400, "InvalidRequest"},
		{errs.NotFound, 500, "InternalError"},
		{errs.Exists, 500, "InternalError"},
		{errs.Stale, 409, "ConditionalRequestConflict"},
		{errs.Precondition, 412, "PreconditionFailed"},
		{errs.Conflict, 409, "ConditionalRequestConflict"},
		{errs.Permission, 403, "AccessDenied"},
		{errs.Corrupt, 500, "InternalError"},
		{errs.Full, 507, "InsufficientStorage"},
		{errs.Unavailable, 503, "ServiceUnavailable"},
		{errs.Unknown, 503, "ServiceUnavailable"},
		{errs.Timeout, 503, "ServiceUnavailable"},
		{errs.Canceled, 503, "ServiceUnavailable"},
		{errs.Moved, 503, "ServiceUnavailable"},
		{errs.TooLarge, 400, "EntityTooLarge"},
		{errs.Overload, 503, "SlowDown"},
		{errs.Unsupported, 501, "NotImplemented"},
		{errs.OutOfRange, 416, "InvalidRange"},
		{errs.Closed, 503, "ServiceUnavailable"},
	} {
		h.stat = func() error { return errs.E("test", tt.kind, "as told") }
		got := r.do("GET", "/bkt/k", "")
		got.wantError(t, tt.status, tt.code)
		if strings.Contains(got.body, "as told") {
			t.Errorf("%v: the inner message is shown: %s", tt.kind, got.body)
		}
		if (tt.status == 503) != (got.header.Get("Retry-After") == "1") {
			t.Errorf("%v: Retry-After %q", tt.kind, got.header.Get("Retry-After"))
		}
		if got := r.do("HEAD", "/bkt/k", ""); got.status != tt.status || got.body != "" {
			t.Errorf("%v: HEAD answers %d %q", tt.kind, got.status, got.body)
		}
	}
}

func TestPanicIsAnswered(t *testing.T) {
	h := &hooked{stat: func() error { panic("a bug") }}
	var log bytes.Buffer
	r := newHookedRig(t, h, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	r.must(200, "PUT", "/bkt", "")
	r.do("GET", "/bkt/k", "").wantError(t, 500, "InternalError")
	if !strings.Contains(log.String(), "a bug") || !strings.Contains(log.String(), "faults_test.go") {
		t.Errorf("log: %s", log.String())
	}
	h.stat = nil
	r.must(200, "PUT", "/bkt/k", "hello")
	h.complete = func() error { panic("another bug") }
	up := r.must(200, "POST", "/bkt/m?uploads", "")
	id := uploadElement.FindStringSubmatch(up.body)[1]
	r.do("POST", "/bkt/m?uploadId="+id, `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>`).
		wantError(t, 500, "InternalError")
}

// A read that fails after its first byte never looks whole.
func TestReadThatFailsHalfWay(t *testing.T) {
	for name, fail := range map[string]func(w io.Writer) error{
		"error": func(w io.Writer) error {
			w.Write([]byte("he"))
			return errs.E("test", errs.Corrupt, "")
		},
		"panic": func(w io.Writer) error {
			w.Write([]byte("he"))
			panic("a bug")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newHookedRig(t, &hooked{writeRange: fail})
			r.must(200, "PUT", "/bkt", "")
			r.must(200, "PUT", "/bkt/k", "hello")
			q := r.request("GET", "/bkt/k", "")
			got := func() reply {
				defer func() { r.client.CloseIdleConnections() }()
				r.sign(q, aliceKey, aliceSecret)
				resp, err := r.client.Do(q)
				if err != nil { // nothing of it had left the server: as good
					return reply{err: err}
				}
				defer resp.Body.Close()
				b, err := io.ReadAll(resp.Body)
				return reply{resp.StatusCode, resp.Header, string(b), err}
			}()
			if got.err == nil {
				t.Errorf("answered %d %q as if whole", got.status, got.body)
			}
		})
	}
}

func TestReadThatFailsAtOnce(t *testing.T) {
	r := newRig(t, false)
	r.must(200, "PUT", "/bkt", "")
	r.must(200, "PUT", "/bkt/k", pattern(100000))
	down := r.chunks.Inject(chunk.Fault{Op: chunk.OpGet, Err: errs.E("test", errs.Unavailable, "down")})
	got := r.do("GET", "/bkt/k", "")
	got.wantError(t, 503, "ServiceUnavailable")
	if got.header.Get("Etag") != "" || got.header.Get("Accept-Ranges") != "" {
		t.Errorf("headers of an object on an error: %v", got.header)
	}
	down()
	// Bytes that are gone while the record is there are our fault.
	r.chunks.Inject(chunk.Fault{Op: chunk.OpGet, Err: errs.E("test", errs.NotFound, "gone")})
	r.do("GET", "/bkt/k", "").wantError(t, 500, "InternalError")
}

// An object that is replaced between Stat and the first byte is read again.
func TestReadOfReplacedObject(t *testing.T) {
	h := &hooked{}
	r := newHookedRig(t, h)
	r.must(200, "PUT", "/bkt", "")
	r.must(200, "PUT", "/bkt/k", "old")
	once := false
	h.writeRange = func(io.Writer) error {
		if once {
			return nil
		}
		once = true
		r.must(200, "PUT", "/bkt/k", "newer")
		return errs.E("test", errs.NotFound, "purged")
	}
	if got := r.must(200, "GET", "/bkt/k", ""); got.body != "newer" || got.header.Get("Content-Length") != "5" {
		t.Errorf("read %q", got.body)
	}
}

func TestWriteThatFails(t *testing.T) {
	r := newRig(t, false)
	r.must(200, "PUT", "/bkt", "")
	down := r.chunks.Inject(chunk.Fault{Op: chunk.OpPut, Err: errs.E("test", errs.Full, "full")})
	r.do("PUT", "/bkt/k", pattern(100000)).wantError(t, 507, "InsufficientStorage")
	down()
	r.must(404, "GET", "/bkt/k", "")
	if got := r.must(200, "GET", "/bkt?list-type=2", ""); !strings.Contains(got.body, "<KeyCount>0</KeyCount>") {
		t.Errorf("left behind: %s", got.body)
	}
}

func TestOverload(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	h := &hooked{}
	r := newHookedRig(t, h, func(c *Config) { c.RequestsMax = 1 })
	r.must(200, "PUT", "/bkt", "")
	h.stat = func() error {
		close(entered)
		<-leave
		return nil
	}
	done := make(chan reply)
	first := r.request("GET", "/bkt/none", "")
	go func() { done <- r.send(first) }()
	<-entered
	got := r.do("GET", "/bkt", "")
	got.wantError(t, 503, "SlowDown")
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if got := r.sendRaw(r.request("GET", "/live", "")); got.status != 200 {
		t.Errorf("/live under load: %d", got.status)
	}
	close(leave)
	if got := <-done; got.status != 404 {
		t.Errorf("the first request: %d %s", got.status, got.body)
	}
	r.must(200, "GET", "/bkt", "")
}

// A completion that takes long keeps the connection alive, and tells its error
// inside the 200 that has begun.
func TestSlowCompletion(t *testing.T) {
	for name, outcome := range map[string]error{"success": nil, "failure": errs.E("test", errs.Unavailable, "")} {
		t.Run(name, func(t *testing.T) {
			h := &hooked{}
			manual := clock.NewManual(time.Now())
			r := newHookedRig(t, h, func(c *Config) { c.Clock = manual })
			r.must(200, "PUT", "/bkt", "")
			id := uploadElement.FindStringSubmatch(r.must(200, "POST", "/bkt/k?uploads", "").body)[1]
			part := r.must(200, "PUT", "/bkt/k?partNumber=1&uploadId="+id, "hello")
			tick := make(chan struct{})
			h.complete = func() error {
				for range 3 {
					tick <- struct{}{}
				}
				return outcome
			}
			done := make(chan reply)
			q := r.request("POST", "/bkt/k?uploadId="+id, `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>`+
				part.header.Get("Etag")+`</ETag></Part></CompleteMultipartUpload>`)
			go func() { done <- r.send(q) }()
			for range 3 {
				for manual.Waiters() == 0 {
					runtime.Gosched() // until the handler waits on its timer
				}
				manual.Advance(SlowAnswerInterval)
				<-tick
			}
			got := <-done
			if got.status != 200 || !strings.HasPrefix(got.body, xmlHeader) || got.err != nil {
				t.Fatalf("%d %q %v", got.status, got.body, got.err)
			}
			if !strings.HasPrefix(strings.TrimPrefix(got.body, xmlHeader), " ") {
				t.Errorf("no white space: %q", got.body)
			}
			want := "<CompleteMultipartUploadResult"
			if outcome != nil {
				want = "<Error><Code>ServiceUnavailable</Code>"
			}
			if !strings.HasPrefix(strings.TrimSpace(strings.TrimPrefix(got.body, xmlHeader)), want) {
				t.Errorf("body %q", got.body)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	var ready error
	r := newRig(t, false, func(c *Config) { c.Ready = func(context.Context) error { return ready } })
	for _, tt := range []struct {
		path         string
		up, whenDown int
	}{{"/live", 200, 200}, {"/ready", 200, 503}, {"/_/healthcheck", 200, 503}} {
		ready = nil
		if got := r.sendRaw(r.request("GET", tt.path, "")); got.status != tt.up || got.body != `{"status":"ok"}` {
			t.Errorf("%s: %d %s", tt.path, got.status, got.body)
		}
		ready = errors.New("disk on fire")
		if got := r.sendRaw(r.request("GET", tt.path, "")); got.status != tt.whenDown || strings.Contains(got.body, "fire") {
			t.Errorf("%s when down: %d %s", tt.path, got.status, got.body)
		}
	}
	// A bucket may be called "live": signed requests reach it.
	r.must(200, "PUT", "/live", "")
	if got := r.must(200, "GET", "/live", ""); !strings.Contains(got.body, "<Name>live</Name>") {
		t.Errorf("bucket live: %s", got.body)
	}
}

func TestObservationsAndAccessLog(t *testing.T) {
	var log bytes.Buffer
	r := newRig(t, false, func(c *Config) { c.AccessLog = slog.New(slog.NewTextHandler(&log, nil)) })
	r.must(200, "PUT", "/bkt", "")
	r.must(200, "PUT", "/bkt/k", "hello")
	r.must(200, "GET", "/bkt/k", "")
	r.must(404, "GET", "/bkt/none", "")
	r.sendRaw(r.request("GET", "/bkt/k", ""))
	r.client.CloseIdleConnections()
	r.server.Close() // every observation is in
	want := []Observation{
		{Operation: "CreateBucket", Status: 200},
		{Operation: "PutObject", Status: 200, BytesIn: 5},
		{Operation: "GetObject", Status: 200, BytesOut: 5},
		{Operation: "GetObject", Status: 404, Code: "NoSuchKey"},
		{Operation: "Unknown", Status: 403, Code: "AccessDenied"},
	}
	if len(r.seen.all) != len(want) {
		t.Fatalf("%d observations: %+v", len(r.seen.all), r.seen.all)
	}
	for i, got := range r.seen.all {
		if got.Duration <= 0 {
			t.Errorf("observation %d took %v", i, got.Duration)
		}
		if got.Duration = 0; got.Code != "" {
			got.BytesOut = 0
		}
		if got != want[i] {
			t.Errorf("observation %d: %+v, want %+v", i, got, want[i])
		}
	}
	for _, s := range []string{"operation=PutObject", "bucket=bkt", "key=k", "status=200", "bytes_in=5", "access_key=" + aliceKey, "remote=127.0.0.1:"} {
		if !strings.Contains(log.String(), s) {
			t.Errorf("no %q in the access log:\n%s", s, log.String())
		}
	}
	if strings.Contains(log.String(), aliceSecret) {
		t.Error("a secret in the log")
	}
}

// Documents are bounded one by one and together.
func TestLargeDocuments(t *testing.T) {
	r := newRig(t, false)
	r.must(200, "PUT", "/bkt", "")
	pad := strings.Repeat(" ", LargeDocumentBytes)
	sum := func(body string) string {
		m := md5.Sum([]byte(body))
		return "Content-MD5: " + base64.StdEncoding.EncodeToString(m[:])
	}
	doc := "<Delete>" + pad + "<Object><Key>a</Key></Object></Delete>"
	if got := r.send(r.request("POST", "/bkt?delete", doc, sum(doc))); got.status != 200 {
		t.Errorf("a large document: %d %s", got.status, got.body)
	}
	for range LargeDocumentsMax {
		r.handler.large <- struct{}{}
	}
	r.send(r.request("POST", "/bkt?delete", doc, sum(doc))).wantError(t, 503, "SlowDown")
	small := "<Delete><Object><Key>a</Key></Object></Delete>"
	if got := r.send(r.request("POST", "/bkt?delete", small, sum(small))); got.status != 200 {
		t.Errorf("a small document: %d %s", got.status, got.body)
	}
	for range LargeDocumentsMax {
		<-r.handler.large
	}
	doc = "<Delete>" + strings.Repeat(" ", DeleteXMLMax) + "</Delete>"
	r.send(r.request("POST", "/bkt?delete", doc, sum(doc))).wantError(t, 400, "MaxMessageLengthExceeded")
	q := r.request("POST", "/bkt?delete", doc, sum(doc))
	q.ContentLength = -1 // chunked: the length shows only as it comes
	r.send(q).wantError(t, 400, "MaxMessageLengthExceeded")
	doc = "<Delete>" + strings.Repeat("<Object><Key>a</Key></Object>", 1001) + "</Delete>"
	r.send(r.request("POST", "/bkt?delete", doc, sum(doc))).wantError(t, 400, "MalformedXML")
	doc = "<Delete>" + strings.Repeat("<Object><Key>a</Key></Object>", 1000) + "</Delete>"
	if got := r.send(r.request("POST", "/bkt?delete", doc, sum(doc))); got.status != 200 {
		t.Errorf("a thousand keys: %d %.300s", got.status, got.body)
	}
	if n := len(r.handler.large); n != 0 {
		t.Errorf("%d tokens not given back", n)
	}
}
