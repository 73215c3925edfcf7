package sigv4

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"torc/internal/clock"
	"torc/internal/errs"
)

// signedText is an SDK-signed PUT with everything an attacker may touch, as it
// goes over the wire.
func signedText(t testing.TB) string {
	t.Helper()
	r := newRequest(t, "PUT", "http://bucket.example.com/a/b?partNumber=1&uploadId=u", "body")
	r.Header.Add("X-Amz-Meta-A", "one")
	r.Header.Add("X-Amz-Meta-A", "two")
	r.Header.Set("Content-Type", "text/plain")
	return text(t, sdkSign(t, r, sha256Hex("body")))
}

func presignedText(t testing.TB) string {
	t.Helper()
	r := newRequest(t, "GET", "http://bucket.example.com/a/b?response-content-type=x", "")
	return text(t, sdkPresign(t, r, "900"))
}

func text(t testing.TB, r *http.Request) string {
	t.Helper()
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func verifyText(t testing.TB, v *Verifier, s string) error {
	t.Helper()
	_, err := v.Verify(t.Context(), parse(t, s))
	return err
}

// replace edits text and fails if there was nothing to edit.
func replace(t testing.TB, s, old, with string) string {
	t.Helper()
	out := strings.Replace(s, old, with, 1)
	if out == s {
		t.Fatalf("%q is not in\n%s", old, s)
	}
	return out
}

type attack struct {
	name, old, with string
	want            Code
}

func TestHeaderAttacks(t *testing.T) {
	v := newVerifier(t, exampleTime())
	original := signedText(t)
	if err := verifyText(t, v, original); err != nil {
		t.Fatal(err)
	}
	const mismatch = SignatureDoesNotMatch
	for _, a := range []attack{
		{"method", "PUT /", "DELETE /", mismatch},
		{"path", "/a/b?", "/a/c?", mismatch},
		{"path encoded twice", "/a/b?", "/a/%2562?", mismatch},
		{"double slash", "/a/b?", "/a//b?", mismatch},
		{"dot segment", "/a/b?", "/a/./b?", mismatch},
		{"dot dot segment", "/a/b?", "/x/../a/b?", mismatch},
		{"encoded dot dot", "/a/b?", "/a/%2e%2e/a/b?", mismatch},
		{"NUL", "/a/b?", "/a/b%00?", mismatch},
		{"backslash", "/a/b?", "/a%5Cb?", mismatch},
		{"overlong slash", "/a/b?", "/a%C0%AFb?", mismatch},
		{"query value", "partNumber=1", "partNumber=2", mismatch},
		{"query added", "partNumber=1", "acl&partNumber=1", mismatch},
		{"query repeated", "partNumber=1", "partNumber=1&partNumber=1", mismatch},
		{"query removed", "partNumber=1&", "", mismatch},
		{"query bad escape", "partNumber=1", "partNumber=%zz", InvalidURI},
		{"query semicolon", "partNumber=1", "partNumber=1;acl", InvalidURI},
		{"host", "Host: bucket.", "Host: other.", mismatch},
		{"signed header", "text/plain", "text/html", mismatch},
		{"multi-value reordered", "X-Amz-Meta-A: one\r\nX-Amz-Meta-A: two", "X-Amz-Meta-A: two\r\nX-Amz-Meta-A: one", mismatch},
		{"multi-value dropped", "X-Amz-Meta-A: one\r\n", "", mismatch},
		{"multi-value added", "X-Amz-Meta-A: one\r\n", "X-Amz-Meta-A: zero\r\nX-Amz-Meta-A: one\r\n", mismatch},
		{"unsigned amz header", "Content-Type:", "X-Amz-Acl: public-read\r\nContent-Type:", AccessDenied},
		{"unsigned amz header in odd case", "Content-Type:", "x-aMZ-acl: public-read\r\nContent-Type:", AccessDenied},
		{"payload hash", sha256Hex("body"), sha256Hex("bodY"), mismatch},
		{"payload unsigned", sha256Hex("body"), unsignedPayload, mismatch},
		{"payload hash repeated", "X-Amz-Content-Sha256:", "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD\r\nX-Amz-Content-Sha256:", InvalidArgument},
		{"payload hash junk", sha256Hex("body"), "abc", InvalidArgument},
		{"payload hash missing", "X-Amz-Content-Sha256: " + sha256Hex("body") + "\r\n", "", InvalidRequest},
		{"ECDSA payload", sha256Hex("body"), streamingECDSA, NotImplemented},
		{"ECDSA trailer payload", sha256Hex("body"), streamingECDSATrailer, NotImplemented},
		{"unsigned trailer under a signature for something else", sha256Hex("body"), streamingUnsignedTrailer, mismatch},
		{"date", "20130524T000000Z", "20130524T000001Z", mismatch},
		{"date missing", "X-Amz-Date: 20130524T000000Z\r\n", "", AccessDenied},
		{"date junk", "20130524T000000Z", "yesterday", AccessDenied},
		{"date twice", "X-Amz-Date:", "X-Amz-Date: 20130524T000000Z\r\nX-Amz-Date:", InvalidArgument},
		{"scope date", "/20130524/", "/20130523/", AuthorizationHeaderMalformed},
		{"scope date form", "/20130524/", "/2013-5-2/", AuthorizationHeaderMalformed},
		{"scope region", "/us-east-1/", "/eu-west-1/", AuthorizationHeaderMalformed},
		{"scope service iam", "/s3/", "/iam/", AuthorizationHeaderMalformed},
		{"scope service sts", "/s3/", "/sts/", AuthorizationHeaderMalformed},
		{"scope service s3tables", "/s3/", "/s3tables/", AuthorizationHeaderMalformed},
		{"scope terminal", "/aws4_request", "/aws5_request", AuthorizationHeaderMalformed},
		{"scope short", "/s3/aws4_request", "/aws4_request", AuthorizationHeaderMalformed},
		{"key empty", "Credential=" + exampleKey, "Credential=", AuthorizationHeaderMalformed},
		{"key unknown", exampleKey, "AKIANOBODY", InvalidAccessKeyID},
		{"key inactive", exampleKey, "AKIAINACTIVE", InvalidAccessKeyID},
		{"unsigned host", "content-type;host;", "content-type;", AccessDenied},
		{"signed headers upper case", ";host;", ";Host;", AuthorizationHeaderMalformed},
		{"signed headers repeated", ";host;", ";host;host;", AuthorizationHeaderMalformed},
		{"signed headers out of order", "content-type;host;", "host;content-type;", AuthorizationHeaderMalformed},
		{"signed headers empty name", ";host;", ";;host;", AuthorizationHeaderMalformed},
		{"signed headers missing", "SignedHeaders=", "Headers=", AuthorizationHeaderMalformed},
		{"component repeated", "SignedHeaders=", "Credential=x, SignedHeaders=", AuthorizationHeaderMalformed},
		{"signature empty", "Signature=", "Signature=, x=", AuthorizationHeaderMalformed},
		{"signature zero", "Signature=", "Signature=0", mismatch},
		{"scheme lower case", algorithm + " ", "aws4-hmac-sha256 ", InvalidArgument},
		{"scheme ECDSA", algorithm + " ", algorithmECDSA + " ", NotImplemented},
		{"scheme Basic", algorithm + " ", "Basic ", InvalidArgument},
		{"scheme V2", algorithm + " ", "AWS ", InvalidRequest},
		{"authorization twice", "Authorization:", "Authorization: x\r\nAuthorization:", InvalidArgument},
		{"query auth too", "partNumber=1", "partNumber=1&X-Amz-Algorithm=AWS4-HMAC-SHA256", InvalidArgument},
		{"query signature too", "partNumber=1", "partNumber=1&X-Amz-Signature=00", InvalidArgument},
		{"V2 query too", "partNumber=1", "AWSAccessKeyId=x&Signature=y&partNumber=1", InvalidArgument},
		{"session token of no session", "Content-Type:", "X-Amz-Security-Token: t\r\nContent-Type:", AccessDenied},
	} {
		t.Run(a.name, func(t *testing.T) {
			e := wantCode(t, verifyText(t, v, replace(t, original, a.old, a.with)), a.want)
			if status := map[Code]int{mismatch: 403, AccessDenied: 403, InvalidAccessKeyID: 403, NotImplemented: 501}[a.want]; e.Status != max(status, 400) {
				t.Errorf("status %d", e.Status)
			}
		})
	}
}

func TestEmptySignature(t *testing.T) {
	s := signedText(t)
	i := strings.Index(s, "Signature=") + len("Signature=")
	err := verifyText(t, newVerifier(t, exampleTime()), s[:i]+s[i+64:])
	wantCode(t, err, AuthorizationHeaderMalformed)
}

func TestTamperedBody(t *testing.T) {
	s := strings.TrimSuffix(signedText(t), "body") + "bodY"
	r := parse(t, s)
	a := mustVerify(t, newVerifier(t, exampleTime()), r)
	_, _, err := readAll(t, a, r)
	if e := wantCode(t, err, ContentSHA256Mismatch); detail(e, "S3ComputedContentSHA256") != sha256Hex("bodY") {
		t.Errorf("details %q", e.Details)
	}
}

func TestPresignAttacks(t *testing.T) {
	v := newVerifier(t, exampleTime())
	original := presignedText(t)
	if err := verifyText(t, v, original); err != nil {
		t.Fatal(err)
	}
	const malformed = AuthorizationQueryParametersError
	for _, a := range []attack{
		{"method", "GET ", "PUT ", SignatureDoesNotMatch},
		{"path", "/a/b?", "/a/c?", SignatureDoesNotMatch},
		{"param added", "/a/b?", "/a/b?acl&", SignatureDoesNotMatch},
		{"param changed", "response-content-type=x", "response-content-type=y", SignatureDoesNotMatch},
		{"param removed", "&response-content-type=x", "", SignatureDoesNotMatch},
		{"host", "Host: bucket.", "Host: other.", SignatureDoesNotMatch},
		{"amz header added", "\r\nUser-Agent", "\r\nX-Amz-Acl: public-read\r\nUser-Agent", AccessDenied},
		{"payload header added", "\r\nUser-Agent", "\r\nX-Amz-Content-Sha256: " + streamingUnsignedTrailer + "\r\nUser-Agent", AccessDenied},
		{"payload by query", "/a/b?", "/a/b?X-Amz-Content-Sha256=" + streamingUnsignedTrailer + "&", SignatureDoesNotMatch},
		{"expires longer", "X-Amz-Expires=900", "X-Amz-Expires=901", SignatureDoesNotMatch},
		{"expires over a week", "X-Amz-Expires=900", "X-Amz-Expires=604801", malformed},
		{"expires huge", "X-Amz-Expires=900", "X-Amz-Expires=99999999999999999999", malformed},
		{"expires zero", "X-Amz-Expires=900", "X-Amz-Expires=0", malformed},
		{"expires negative", "X-Amz-Expires=900", "X-Amz-Expires=-1", malformed},
		{"expires junk", "X-Amz-Expires=900", "X-Amz-Expires=soon", malformed},
		{"expires missing", "X-Amz-Expires=900", "x=1", malformed},
		{"expires twice", "X-Amz-Expires=900", "X-Amz-Expires=900&X-Amz-Expires=900", malformed},
		{"algorithm", "X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=none", malformed},
		{"algorithm ECDSA", "X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=" + algorithmECDSA, NotImplemented},
		{"algorithm missing", "X-Amz-Algorithm=AWS4-HMAC-SHA256&", "", malformed},
		{"signed headers missing", "&X-Amz-SignedHeaders=host", "", malformed},
		{"signed headers without host", "X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=range", AccessDenied},
		{"date junk", "X-Amz-Date=20130524T000000Z", "X-Amz-Date=2013", malformed},
		{"credential short", "%2Fs3%2F", "%2F", malformed},
		{"region", "%2Fus-east-1%2F", "%2Feu-west-1%2F", malformed},
		{"service", "%2Fs3%2F", "%2Fsts%2F", malformed},
		{"scope date", "%2F20130524%2F", "%2F20130525%2F", malformed},
		{"key unknown", exampleKey, "AKIANOBODY", InvalidAccessKeyID},
		{"signature empty", "X-Amz-Signature=", "X-Amz-Signature=&x=", malformed},
		{"signature twice", "X-Amz-Signature=", "X-Amz-Signature=00&X-Amz-Signature=", malformed},
		{"signature wrong", "X-Amz-Signature=", "X-Amz-Signature=0", SignatureDoesNotMatch},
		{"header auth too", "\r\nUser-Agent", "\r\nAuthorization: x\r\nUser-Agent", InvalidArgument},
		{"empty header auth too", "\r\nUser-Agent", "\r\nAuthorization:\r\nUser-Agent", InvalidArgument},
		{"V2 too", "/a/b?", "/a/b?Signature=x&", InvalidArgument},
		{"session token", "/a/b?", "/a/b?X-Amz-Security-Token=t&", InvalidToken},
	} {
		t.Run(a.name, func(t *testing.T) {
			wantCode(t, verifyText(t, v, replace(t, original, a.old, a.with)), a.want)
		})
	}
}

func TestAnythingLikeACredentialIsNotAnonymous(t *testing.T) {
	v := newVerifier(t, exampleTime())
	for target, want := range map[string]Code{
		"/b/k?X-Amz-Credential=x":                 AuthorizationQueryParametersError,
		"/b/k?X-Amz-Signature=":                   AuthorizationQueryParametersError,
		"/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256":   AuthorizationQueryParametersError,
		"/b/k?AWSAccessKeyId=x&Signature=y":       InvalidRequest,
		"/b/k?AWSAccessKeyId=x":                   InvalidRequest,
		"/b/k?X-Amz-Signature=x&AWSAccessKeyId=y": InvalidArgument,
	} {
		for _, payload := range []string{"", streamingUnsignedTrailer, streamingPayload} {
			s := "PUT " + target + " HTTP/1.1\r\nHost: h\r\n"
			if payload != "" {
				s += "X-Amz-Content-Sha256: " + payload + "\r\n"
			}
			wantCode(t, verifyText(t, v, s+"\r\n"), want)
		}
	}
	wantCode(t, verifyText(t, v, "GET / HTTP/1.1\r\nHost: h\r\nAuthorization:\r\n\r\n"), InvalidArgument)
	wantCode(t, verifyText(t, v, "GET / HTTP/1.1\r\nHost: h\r\nX-Amz-Content-Sha256: "+streamingPayload+"\r\n\r\n"), InvalidRequest)
}

func TestAnonymous(t *testing.T) {
	r := parse(t, "GET /b/k?list-type=2 HTTP/1.1\r\nHost: h\r\n\r\n")
	a := mustVerify(t, newVerifier(t, exampleTime()), r)
	if !a.Anonymous || a.AccessKeyID != "" || a.Account.ID != "" || a.Mode != ModeUnsigned {
		t.Errorf("%+v", a)
	}
}

// An unsigned payload is no excuse for an unsigned request.
func TestBogusSignatureOnUnsignedTrailer(t *testing.T) {
	v := newVerifier(t, exampleTime())
	r := newRequest(t, "PUT", "http://h/b/k", "")
	r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
	s := text(t, sdkSign(t, r, streamingUnsignedTrailer))
	if err := verifyText(t, v, s); err != nil {
		t.Fatal(err)
	}
	i := strings.Index(s, "Signature=") + len("Signature=")
	wantCode(t, verifyText(t, v, s[:i]+strings.Repeat("0", 64)+s[i+64:]), SignatureDoesNotMatch)

	s = presignedText(t)
	i = strings.Index(s, "X-Amz-Signature=") + len("X-Amz-Signature=")
	s = s[:i] + strings.Repeat("0", 64) + s[i+64:]
	s = replace(t, s, "/a/b?", "/a/b?X-Amz-Content-Sha256="+streamingUnsignedTrailer+"&")
	wantCode(t, verifyText(t, v, s), SignatureDoesNotMatch)
}

func TestTimes(t *testing.T) {
	header, presigned := signedText(t), presignedText(t)
	for _, c := range []struct {
		name, text string
		offset     time.Duration // of our clock
		want       Code
	}{
		{"exact", header, 0, ""},
		{"late within skew", header, MaxSkew, ""},
		{"early within skew", header, -MaxSkew, ""},
		{"late", header, MaxSkew + time.Second, RequestTimeTooSkewed},
		{"early", header, -MaxSkew - time.Second, RequestTimeTooSkewed},
		{"presigned at its end", presigned, 900 * time.Second, ""},
		{"presigned expired", presigned, 901 * time.Second, AccessDenied},
		{"presigned early within skew", presigned, -MaxSkew, ""},
		{"presigned not yet", presigned, -MaxSkew - time.Second, AccessDenied},
	} {
		err := verifyText(t, newVerifier(t, exampleTime().Add(c.offset)), c.text)
		if c.want != "" {
			wantCode(t, err, c.want)
		} else if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestOutageIsNotARefusal(t *testing.T) {
	s := replace(t, signedText(t), exampleKey, "AKIAOUTAGE")
	if err := verifyText(t, newVerifier(t, exampleTime()), s); !errs.Is(err, errs.Unavailable) {
		t.Errorf("got %v", err)
	}
}

func TestMismatchShowsWhatWasSigned(t *testing.T) {
	s := replace(t, signedText(t), "PUT /", "GET /")
	e := wantCode(t, verifyText(t, newVerifier(t, exampleTime()), s), SignatureDoesNotMatch)
	if !strings.HasPrefix(detail(e, "CanonicalRequest"), "GET\n/a/b\npartNumber=1&uploadId=u\ncontent-length:4\n") ||
		!strings.HasPrefix(detail(e, "StringToSign"), "AWS4-HMAC-SHA256\n20130524T000000Z\n"+exampleScope+"\n") ||
		!strings.HasPrefix(detail(e, "StringToSignBytes"), "41 57 53 34") || detail(e, "AWSAccessKeyId") != exampleKey {
		t.Errorf("%q", e.Details)
	}
	if !errs.Is(e, errs.Permission) {
		t.Errorf("kind %v", errs.KindOf(e))
	}
}

func TestHostWithDefaultPort(t *testing.T) {
	r := newRequest(t, "GET", "http://h.example.com/b", "")
	s := replace(t, text(t, sdkSign(t, r, sha256Hex(""))), "Host: h.example.com", "Host: h.example.com:443")
	if err := verifyText(t, newVerifier(t, exampleTime()), s); err != nil {
		t.Error(err)
	}
	s = replace(t, s, ":443", ":8443")
	wantCode(t, verifyText(t, newVerifier(t, exampleTime()), s), SignatureDoesNotMatch)
}

func TestNewNeedsItsParts(t *testing.T) {
	for _, cfg := range []Config{
		{Clock: clock.System{}, Credentials: fakeKeys{}},
		{Region: "r", Credentials: fakeKeys{}},
		{Region: "r", Clock: clock.System{}},
	} {
		if _, err := New(cfg); !errs.Is(err, errs.Invalid) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
