package s3

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"torc/access/s3/sigv4"
	"torc/identity"
	"torc/internal/errs"
	"torc/object"
)

// New returns the S3 connector. It starts nothing and needs no closing.
func New(cfg Config) *Handler {
	cfg = cfg.withDefaults()
	return &Handler{
		cfg:      cfg,
		auth:     newAuthenticator(cfg),
		routes:   newRouteTable(),
		slots:    make(chan struct{}, cfg.RequestsMax),
		large:    make(chan struct{}, LargeDocumentsMax),
		idPrefix: rand.Uint32(),
	}
}

// call is one request being served.
type call struct {
	h     *Handler
	w     *answerWriter
	r     *http.Request
	ctx   context.Context
	start time.Time
	id    string // x-amz-request-id
	op    string // operation name; "Unknown" until routed

	target
	query url.Values
	auth  *sigv4.Auth
	cred  identity.Credential // without the secret
	raw   *idleBody           // the body as it comes from the client
	large bool                // holds a token of Handler.large
	code  Code                // of the error answered, for metrics and log
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.serveHealth(w, r) {
		return
	}
	c := h.newCall(w, r)
	defer c.finish()
	defer c.recoverPanic()
	defer c.releaseLarge()
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		c.fail(failf("SlowDown", "Please reduce your request rate.").
			because(errs.E("s3: admit", errs.Overload, "%d requests under way", h.cfg.RequestsMax)))
		return
	}
	if err := c.serve(); err != nil {
		c.fail(err)
	}
}

func (h *Handler) newCall(w http.ResponseWriter, r *http.Request) *call {
	continueEmpty(w, r)
	var id [8]byte
	binary.BigEndian.PutUint32(id[:4], h.idPrefix)
	n := h.idNext.Add(1)
	binary.BigEndian.PutUint32(id[4:], uint32(n))
	// A copy: net/http must find its own body in the request when it answers.
	mine := *r
	c := &call{h: h, r: &mine, ctx: r.Context(), start: h.cfg.Clock.Now(), op: opUnknown, id: fmt.Sprintf("%X", id)}
	c.w = newAnswerWriter(w, r, h.cfg.WriteIdleTimeout)
	c.raw = newIdleBody(w, r, h.cfg.BodyIdleTimeout)
	mine.Body = c.raw
	hd := w.Header()
	hd["X-Amz-Request-Id"] = []string{c.id}
	hd["X-Amz-Id-2"] = []string{c.hostID()}
	hd["Server"] = []string{h.cfg.ServerName}
	return c
}

// continueEmpty answers Expect: 100-continue on a body of no bytes. net/http
// sends 100 when the body is first read, hence never for these; botocore, which
// sends the header with every PUT, then takes the next request's 100 on the
// connection for this one's and waits for the other until its timeout.
func continueEmpty(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 && strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		w.WriteHeader(http.StatusContinue)
	}
}

// hostID is the HostId of errors and x-amz-id-2. It carries nothing but the request id.
func (c *call) hostID() string { return c.id + c.id }

// serve does one request: who, what, may they, do it. Nothing of the body is
// read before the last step, so that a client that sent Expect: 100-continue is
// refused without sending it.
func (c *call) serve() error {
	var err error
	c.target, err = parseTarget(c.r.Host, c.r.URL.EscapedPath(), c.h.cfg.Domains)
	if err != nil {
		return err
	}
	if c.query, err = parseQuery(c.r.URL.RawQuery); err != nil {
		return err
	}
	if err := c.h.auth.authenticate(c); err != nil {
		return err
	}
	rt, err := c.h.routes.find(c)
	if err != nil {
		return err
	}
	c.op = rt.op
	if c.bucket != "" {
		if err := checkBucketName(c.bucket); err != nil {
			return err
		}
	}
	if err := c.refuseUnsupported(); err != nil {
		return err
	}
	return rt.handle(c)
}

// parseQuery is url.ParseQuery that fails on what it would drop.
func parseQuery(raw string) (url.Values, error) {
	if strings.Count(raw, "&") >= QueryParametersMax {
		return nil, failf("InvalidURI", fmt.Sprintf("The query has more than %d parameters.", QueryParametersMax))
	}
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, fail("InvalidURI").because(err)
	}
	return q, nil
}

// recoverPanic answers 500 for a handler's bug, or cuts the connection when the
// answer had begun: a client never takes half an answer for a whole one.
func (c *call) recoverPanic() {
	p := recover()
	if p == nil {
		return
	}
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler)
	}
	c.h.cfg.Log.Error("s3: panic in a handler", "request", c.id, "operation", c.op, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	c.fail(fail("InternalError"))
}

// fail answers with an error. It may be called once the answer has begun: then
// it aborts the connection.
func (c *call) fail(err error) {
	e := answerFor(err, c)
	c.code = e.Code
	if e.status() >= http.StatusInternalServerError && e.status() != http.StatusNotImplemented {
		level := slog.LevelWarn
		if c.ctx.Err() != nil { // the client is gone, and that may be all there is to it
			level = slog.LevelDebug
		}
		c.h.cfg.Log.Log(c.ctx, level, "s3: request failed", "request", c.id, "operation", c.op,
			"bucket", c.bucket, "key", c.logKey(), "code", e.Code, "error", err)
	}
	if c.w.started() {
		panic(http.ErrAbortHandler)
	}
	c.w.clearEntityHeaders(e.Code == codeNotModified)
	if !c.raw.drainable() {
		c.w.Header().Set("Connection", "close")
	}
	if e.Code == codeNotModified {
		c.w.WriteHeader(http.StatusNotModified)
		return
	}
	if s := e.status(); s == http.StatusServiceUnavailable {
		c.w.Header().Set("Retry-After", itoa(int(RetryAfter/time.Second)))
	}
	doc := errorDocument(e, c.id, c.hostID())
	c.w.Header().Set("Content-Type", "application/xml")
	if c.r.Method != http.MethodHead {
		c.w.Header().Set("Content-Length", itoa(len(doc)))
	}
	c.w.WriteHeader(e.status())
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(doc) // the client is gone: nobody is left to tell
	}
}

// finish counts and logs the request.
func (c *call) finish() {
	o := Observation{
		Operation: c.op, Status: c.w.status, Code: c.code,
		BytesIn: c.raw.n, BytesOut: c.w.n,
		Duration: c.h.cfg.Clock.Now().Sub(c.start),
	}
	c.h.cfg.Metrics.Observe(o)
	log, level := c.h.cfg.AccessLog, slog.LevelInfo
	if log == nil {
		log, level = c.h.cfg.Log, slog.LevelDebug
	}
	if !log.Enabled(c.ctx, level) {
		return
	}
	log.LogAttrs(c.ctx, level, "s3: request",
		slog.String("request", c.id), slog.String("operation", c.op),
		slog.String("bucket", string(c.bucket)), slog.String("key", c.logKey()),
		slog.Int("status", o.Status), slog.String("code", string(o.Code)),
		slog.Int64("bytes_in", o.BytesIn), slog.Int64("bytes_out", o.BytesOut),
		slog.Duration("duration", o.Duration), slog.String("access_key", c.cred.Key.ID),
		slog.String("remote", c.r.RemoteAddr))
}

// logKey is the key, cut to what a log line should hold.
func (c *call) logKey() string {
	if len(c.key) > AccessLogKeyLenMax {
		return c.key[:AccessLogKeyLenMax]
	}
	return c.key
}

// owner is the caller's account as object knows it.
func (c *call) owner() object.AccountID { return object.AccountID(c.cred.Account.ID) }

// ownBucket returns the bucket of the request if the caller's account owns it.
func (c *call) ownBucket() (object.Bucket, error) { return c.ownedBucket(c.bucket) }

func (c *call) ownedBucket(name object.BucketName) (object.Bucket, error) {
	b, err := c.h.cfg.Objects.Bucket(c.ctx, name)
	if err != nil {
		return b, err
	}
	return b, c.mayUse(b)
}

// ownBucketForBody is ownBucket for an operation that stores a body: a name's
// meaning may come from memory, because the commit that follows is bound to
// the bucket the body was started for and fails if the name was given away.
func (c *call) ownBucketForBody() error {
	b, err := c.h.cfg.Objects.CachedBucket(c.ctx, c.bucket)
	if err == nil && c.mayUse(b) != nil { // what is remembered may be the former owner
		_, err = c.ownBucket()
	}
	return err
}

// mayUse is the authorisation of today: an account may do everything to its own
// buckets and nothing to others.
func (c *call) mayUse(b object.Bucket) error {
	if b.Owner != c.owner() {
		return fail("AccessDenied")
	}
	return nil
}
