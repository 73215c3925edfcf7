package sigv4

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"torc/identity"
	"torc/internal/clock"
	"torc/internal/errs"
)

const (
	// MaxSkew is how far a request's date may lie from our clock.
	MaxSkew = 15 * time.Minute
	// PresignExpiresMax is the longest life of a presigned URL.
	PresignExpiresMax = 7 * 24 * time.Hour

	algorithm      = "AWS4-HMAC-SHA256"
	algorithmECDSA = "AWS4-ECDSA-P256-SHA256"
	terminal       = "aws4_request"
	timeFormat     = "20060102T150405Z"
	dateFormat     = "20060102"
)

// Credentials finds who an access key belongs to. NotFound means that there is
// no such active key; any other error is an outage and is passed on.
// *identity.Service is one.
type Credentials interface {
	Lookup(ctx context.Context, accessKeyID string) (identity.Credential, error)
}

// Config is what a Verifier needs.
type Config struct {
	Region      string // the one region that scopes must name
	Service     string // "s3" when empty
	Clock       clock.Clock
	Credentials Credentials
	MaxSkew     time.Duration // MaxSkew when zero
}

// Verifier checks the signatures of requests. Safe for concurrent use.
type Verifier struct {
	cfg  Config
	keys keyCache
}

// New returns a Verifier.
func New(cfg Config) (*Verifier, error) {
	if cfg.Region == "" || cfg.Clock == nil || cfg.Credentials == nil {
		return nil, errs.E("sigv4.New", errs.Invalid, "region, clock and credentials are needed")
	}
	if cfg.Service == "" {
		cfg.Service = "s3"
	}
	if cfg.MaxSkew == 0 {
		cfg.MaxSkew = MaxSkew
	}
	return &Verifier{cfg: cfg}, nil
}

// Auth is a verified request: who sent it and how its body is protected.
type Auth struct {
	// Anonymous: the request carried no authentication at all; Account and
	// AccessKeyID are then zero.
	Anonymous   bool
	Presigned   bool // authenticated by its query string
	AccessKeyID string
	Account     identity.Account
	Time        time.Time // of signing; zero when Anonymous
	Mode        Mode      // of the payload

	payloadHash string // hex, for ModeSHA256
	scope       string // "date/region/service/aws4_request"
	date        string // timeFormat
	signature   string // the seed of a chunk chain, lower-case hex
	// key is a function because fmt prints a function's address, whatever the
	// verb and the nesting, but the target of a pointer for some.
	key func() *signingKey
}

// LogValue keeps logs to what identifies the caller.
func (a *Auth) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Bool("anonymous", a.Anonymous), slog.Bool("presigned", a.Presigned),
		slog.String("access_key", a.AccessKeyID), slog.String("account", string(a.Account.ID)),
		slog.String("payload", a.Mode.String()),
	)
}

// claim is what a request says about its own signature, parsed and checked for
// form only.
type claim struct {
	presigned     bool
	accessKeyID   string
	scopeDate     string
	region        string
	service       string
	terminal      string
	scope         string
	signedHeaders []string // lower case, strictly ascending
	signature     string   // lower-case hex
	date          string   // timeFormat
	at            time.Time
	expires       time.Duration // presigned only
	payload       string        // last line of the canonical request
}

// Verify authenticates r. It reads headers only, never the body. The error is
// an *Error (a refusal), or whatever Credentials answered when it was out of
// order. A request without any authentication is not an error: Auth.Anonymous
// is set, and what it may do is for authorisation to say.
//
// The body is authenticated while it is read: see Auth.Body.
func (v *Verifier) Verify(ctx context.Context, r *http.Request) (*Auth, error) {
	query, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	scheme, err := detect(r, query)
	if err != nil {
		return nil, err
	}
	if scheme == schemeAnonymous {
		return anonymous(r)
	}
	c, err := parseClaim(r, query, scheme)
	if err != nil {
		return nil, err
	}
	mode, err := parseMode(c.payload)
	if err != nil {
		return nil, err
	}
	if err := v.checkScope(c); err != nil {
		return nil, err
	}
	if err := v.checkTime(c); err != nil {
		return nil, err
	}
	if err := checkSigned(r, c); err != nil {
		return nil, err
	}
	cred, err := v.lookup(ctx, r, query, c)
	if err != nil {
		return nil, err
	}
	key := v.keys.get(keyID{c.accessKeyID, c.scopeDate, sha256.Sum256([]byte(cred.Key.Secret))}, func() *signingKey {
		return deriveKey(cred.Key.Secret, c.scopeDate, v.cfg.Region, v.cfg.Service)
	})
	if err := compare(r, query, c, key); err != nil {
		return nil, err
	}
	return &Auth{
		Presigned: c.presigned, AccessKeyID: c.accessKeyID, Account: cred.Account, Time: c.at, Mode: mode,
		payloadHash: c.payload, scope: c.scope, date: c.date, signature: c.signature, key: func() *signingKey { return key },
	}, nil
}

func anonymous(r *http.Request) (*Auth, error) {
	payload := r.Header.Get(headerContentSHA256)
	if payload == "" {
		payload = unsignedPayload
	}
	mode, err := parseMode(payload)
	if err != nil {
		return nil, err
	}
	if mode.signed() {
		return nil, fail(InvalidRequest, "A signed streaming payload needs a signed request.")
	}
	return &Auth{Anonymous: true, Mode: mode, payloadHash: payload}, nil
}

func (v *Verifier) checkScope(c *claim) error {
	switch {
	case c.region != v.cfg.Region:
		return c.fail("the region '%s' is wrong; expecting '%s'", c.region, v.cfg.Region).with("Region", v.cfg.Region)
	case c.service != v.cfg.Service:
		return c.fail("incorrect service \"%s\". This endpoint belongs to \"%s\".", c.service, v.cfg.Service)
	case c.terminal != terminal:
		return c.fail("incorrect terminal \"%s\". This endpoint uses \"%s\".", c.terminal, terminal)
	case c.scopeDate != c.date[:len(dateFormat)]:
		return c.fail("Invalid credential date \"%s\". This date is not the same as X-Amz-Date: \"%s\".", c.scopeDate, c.date[:len(dateFormat)])
	}
	return nil
}

func (v *Verifier) checkTime(c *claim) error {
	now := v.cfg.Clock.Now().UTC()
	if !c.presigned {
		if d := now.Sub(c.at); d > v.cfg.MaxSkew || d < -v.cfg.MaxSkew {
			return fail(RequestTimeTooSkewed, "The difference between the request time and the current time is too large.").
				with("RequestTime", c.date).with("ServerTime", now.Format(time.RFC3339)).
				with("MaxAllowedSkewMilliseconds", strconv.FormatInt(v.cfg.MaxSkew.Milliseconds(), 10))
		}
		return nil
	}
	if c.at.Sub(now) > v.cfg.MaxSkew {
		return fail(AccessDenied, "Request is not yet valid").
			with("X-Amz-Date", c.date).with("ServerTime", now.Format(time.RFC3339))
	}
	if end := c.at.Add(c.expires); now.After(end) {
		return fail(AccessDenied, "Request has expired").
			with("X-Amz-Expires", strconv.FormatInt(int64(c.expires/time.Second), 10)).
			with("Expires", end.Format(time.RFC3339)).with("ServerTime", now.Format(time.RFC3339))
	}
	return nil
}

func (v *Verifier) lookup(ctx context.Context, r *http.Request, query []param, c *claim) (identity.Credential, error) {
	// Keys are long-term: a session token cannot belong to one.
	if r.Header.Get("X-Amz-Security-Token") != "" || find(query, "X-Amz-Security-Token") != "" {
		return identity.Credential{}, fail(InvalidToken, "The provided token is malformed or otherwise invalid.")
	}
	cred, err := v.cfg.Credentials.Lookup(ctx, c.accessKeyID)
	if errs.Is(err, errs.NotFound) || err == nil && (!cred.Key.Active || cred.Key.Secret == "") {
		return identity.Credential{}, fail(InvalidAccessKeyID, "The AWS Access Key Id you provided does not exist in our records.").
			with("AWSAccessKeyId", c.accessKeyID)
	}
	return cred, errs.Wrap("sigv4.Verify", err)
}

// compare computes the signature over r and compares it with the claimed one.
//
// Signers differ in two harmless ways, which are tried only after the standard
// form failed: the path as it stands on the wire instead of AWS's encoding of
// it (both decode to the same r.URL.Path, which is what handlers act on), and
// a host that lacks the scheme's default port.
func compare(r *http.Request, query []param, c *claim, key *signingKey) error {
	request := canonicalRequest(r, query, c, encodePath(r.URL.Path), r.Host)
	toSign := stringToSign(c, request)
	if key.matches(toSign, c.signature) {
		return nil
	}
	paths := []string{encodePath(r.URL.Path), r.URL.EscapedPath()}
	hosts := []string{r.Host, withoutDefaultPort(r.Host)}
	for i, path := range paths {
		for j, host := range hosts {
			again := i > 0 && path == paths[0] || j > 0 && host == hosts[0] || i == 0 && j == 0
			if !again && key.matches(stringToSign(c, canonicalRequest(r, query, c, path, host)), c.signature) {
				return nil
			}
		}
	}
	return fail(SignatureDoesNotMatch, "The request signature we calculated does not match the signature you provided. Check your key and signing method.").
		with("AWSAccessKeyId", c.accessKeyID).
		with("StringToSign", string(toSign)).with("SignatureProvided", c.signature).
		with("StringToSignBytes", hexBytes(toSign)).
		with("CanonicalRequest", string(request)).with("CanonicalRequestBytes", hexBytes(request))
}

func stringToSign(c *claim, request []byte) []byte {
	sum := sha256.Sum256(request)
	b := make([]byte, 0, 256)
	b = append(b, algorithm...)
	b = append(b, '\n')
	b = append(b, c.date...)
	b = append(b, '\n')
	b = append(b, c.scope...)
	b = append(b, '\n')
	return hex.AppendEncode(b, sum[:])
}

// equalHex compares two signatures in constant time.
func equalHex(sum [sha256.Size]byte, claimed string) bool {
	var want [2 * sha256.Size]byte
	hex.Encode(want[:], sum[:])
	return subtle.ConstantTimeCompare(want[:], []byte(claimed)) == 1
}

// hexBytes renders "0a 1b", AWS's form of *Bytes elements.
func hexBytes(b []byte) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 3*len(b))
	for i, c := range b {
		if i > 0 {
			out = append(out, ' ')
		}
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}
