package sigv4

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	headerAuthorization = "Authorization"
	headerDate          = "X-Amz-Date"
	headerContentSHA256 = "X-Amz-Content-Sha256"

	credentialForm = `the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`
	signatureLen   = 64  // hex digits
	signedMax      = 256 // names in a SignedHeaders list
)

type scheme uint8

const (
	schemeAnonymous scheme = iota
	schemeHeader
	schemeQuery
)

// detect finds how r authenticates. Anything that looks like a credential makes
// a request authenticated: a half-formed one is refused, never anonymous.
func detect(r *http.Request, query []param) (scheme, error) {
	_, header := r.Header[headerAuthorization]
	v4 := has(query, "X-Amz-Algorithm") || has(query, "X-Amz-Credential") || has(query, "X-Amz-Signature")
	v2 := has(query, "AWSAccessKeyId") || has(query, "Signature")
	switch {
	case header && (v4 || v2) || v4 && v2:
		return 0, fail(InvalidArgument, "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified").
			with("ArgumentName", headerAuthorization).with("ArgumentValue", first(r.Header, headerAuthorization))
	case v2:
		return 0, unsupportedV2()
	case v4:
		return schemeQuery, nil
	case header:
		return schemeHeader, nil
	}
	return schemeAnonymous, nil
}

func unsupportedV2() error {
	return fail(InvalidRequest, "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
}

func parseClaim(r *http.Request, query []param, s scheme) (*claim, error) {
	if s == schemeQuery {
		return parsePresigned(r, query)
	}
	return parseHeader(r)
}

// fail is a refusal in the words of the place the claim came from.
func (c *claim) fail(format string, args ...any) *Error {
	if c.presigned {
		return fail(AuthorizationQueryParametersError, "Error parsing the X-Amz-Credential parameter; "+format, args...)
	}
	return fail(AuthorizationHeaderMalformed, "The authorization header is malformed; "+format, args...)
}

func parseHeader(r *http.Request) (*claim, error) {
	value, err := single(r.Header, headerAuthorization)
	if err != nil {
		return nil, err
	}
	kind, rest, _ := strings.Cut(value, " ")
	switch kind {
	case algorithm:
	case "AWS":
		return nil, unsupportedV2()
	case algorithmECDSA:
		return nil, fail(NotImplemented, "A header you provided implies functionality that is not implemented.").
			with("Header", headerAuthorization).with("additionalMessage", algorithmECDSA)
	default:
		return nil, fail(InvalidArgument, "Unsupported Authorization Type").with("ArgumentName", headerAuthorization)
	}
	c := &claim{}
	if err := c.parseComponents(rest); err != nil {
		return nil, err
	}
	if err := c.headerTime(r); err != nil {
		return nil, err
	}
	if c.payload, err = single(r.Header, headerContentSHA256); err != nil {
		return nil, err
	}
	if c.payload == "" {
		return nil, fail(InvalidRequest, "Missing required header for this request: x-amz-content-sha256")
	}
	return c, nil
}

// parseComponents reads "Credential=..., SignedHeaders=..., Signature=...".
func (c *claim) parseComponents(s string) error {
	var credential, signed string
	seen := 0
	for part := range strings.SplitSeq(s, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		var field *string
		switch name {
		case "Credential":
			field = &credential
		case "SignedHeaders":
			field = &signed
		case "Signature":
			field = &c.signature
		}
		if !ok || field == nil || *field != "" || value == "" {
			return c.fail("the authorization header requires three components: Credential, SignedHeaders, and Signature.")
		}
		*field = value
		seen++
	}
	if seen != 3 {
		return c.fail("the authorization header requires three components: Credential, SignedHeaders, and Signature.")
	}
	if err := c.parseCredential(credential); err != nil {
		return err
	}
	return c.parseSigned(signed)
}

// parseCredential reads "KEY/date/region/service/aws4_request". The key may
// hold slashes: the last four parts are the scope.
func (c *claim) parseCredential(s string) error {
	parts := strings.Split(s, "/")
	n := len(parts)
	if n < 5 || n > 16 {
		return c.fail(credentialForm)
	}
	c.accessKeyID = strings.Join(parts[:n-4], "/")
	c.scopeDate, c.region, c.service, c.terminal = parts[n-4], parts[n-3], parts[n-2], parts[n-1]
	if c.accessKeyID == "" {
		return c.fail(credentialForm)
	}
	if _, err := time.Parse(dateFormat, c.scopeDate); err != nil || len(c.scopeDate) != len(dateFormat) {
		return c.fail("incorrect date format \"%s\". This date in the credential must be in the format \"yyyyMMdd\".", c.scopeDate)
	}
	c.scope = s[len(c.accessKeyID)+1:]
	return nil
}

// parseSigned reads "host;x-amz-date": lower case, each name once, in order, as
// every signer emits it. Another order would canonicalise to the same request,
// so nothing is lost by refusing it.
func (c *claim) parseSigned(s string) error {
	names := strings.Split(s, ";")
	if len(names) > signedMax {
		return c.fail("SignedHeaders names more than %d headers.", signedMax)
	}
	for i, name := range names {
		if name == "" || strings.ToLower(name) != name || i > 0 && names[i-1] >= name {
			return c.fail("SignedHeaders must name headers in lower case, in order, each once.")
		}
	}
	c.signedHeaders = names
	return nil
}

func (c *claim) headerTime(r *http.Request) error {
	value, err := single(r.Header, headerDate)
	if err != nil {
		return err
	}
	if value != "" {
		c.at, err = time.Parse(timeFormat, value)
	} else {
		c.at, err = parseDate(first(r.Header, "Date"))
	}
	if err != nil {
		return fail(AccessDenied, "AWS authentication requires a valid Date or x-amz-date header")
	}
	c.at = c.at.UTC()
	c.date = c.at.Format(timeFormat)
	return nil
}

// parseDate reads a Date header: an HTTP date, or the form of x-amz-date.
func parseDate(value string) (time.Time, error) {
	if t, err := time.Parse(timeFormat, value); err == nil {
		return t, nil
	}
	return http.ParseTime(value)
}

func parsePresigned(r *http.Request, query []param) (*claim, error) {
	c := &claim{presigned: true}
	values := make(map[string]string, 6)
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires"} {
		value := find(query, name)
		if value == "" || count(query, name) != 1 {
			return nil, fail(AuthorizationQueryParametersError, "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
		}
		values[name] = value
	}
	switch values["X-Amz-Algorithm"] {
	case algorithm:
	case algorithmECDSA:
		return nil, fail(NotImplemented, "A header you provided implies functionality that is not implemented.").
			with("Header", "X-Amz-Algorithm").with("additionalMessage", algorithmECDSA)
	default:
		return nil, fail(AuthorizationQueryParametersError, `X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"`)
	}
	if err := c.parseCredential(values["X-Amz-Credential"]); err != nil {
		return nil, err
	}
	if err := c.parseSigned(values["X-Amz-SignedHeaders"]); err != nil {
		return nil, err
	}
	c.signature = values["X-Amz-Signature"]
	if err := c.queryTime(values["X-Amz-Date"], values["X-Amz-Expires"]); err != nil {
		return nil, err
	}
	return c, c.queryPayload(r, query)
}

func (c *claim) queryTime(date, expires string) error {
	at, err := time.Parse(timeFormat, date)
	if err != nil || at.Format(timeFormat) != date {
		return fail(AuthorizationQueryParametersError, `X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`)
	}
	c.at, c.date = at, date
	seconds, err := strconv.ParseInt(expires, 10, 64)
	switch {
	case err != nil && strings.Trim(expires, "0123456789") != "":
		return fail(AuthorizationQueryParametersError, "X-Amz-Expires should be a number")
	case err != nil || seconds > int64(PresignExpiresMax/time.Second):
		return fail(AuthorizationQueryParametersError, "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds")
	case seconds < 1:
		return fail(AuthorizationQueryParametersError, "X-Amz-Expires must be non-negative")
	}
	c.expires = time.Duration(seconds) * time.Second
	return nil
}

// queryPayload finds the payload hash of a presigned request. Signers put it in
// the query, in a signed header or nowhere; the last means unsigned.
func (c *claim) queryPayload(r *http.Request, query []param) error {
	header, err := single(r.Header, headerContentSHA256)
	if err != nil {
		return err
	}
	c.payload = header
	for _, p := range query {
		if strings.EqualFold(p.name, headerContentSHA256) {
			if c.payload != "" && c.payload != p.value {
				return fail(InvalidArgument, "x-amz-content-sha256 is given twice, with different values.").
					with("ArgumentName", "x-amz-content-sha256").with("ArgumentValue", p.value)
			}
			c.payload = p.value
		}
	}
	if c.payload == "" {
		c.payload = unsignedPayload
	}
	return nil
}

func first(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// single returns the one value of a header that must not be repeated, or "".
func single(h http.Header, name string) (string, error) {
	if len(h[name]) > 1 {
		return "", fail(InvalidArgument, "The header %s may be given only once.", strings.ToLower(name)).
			with("ArgumentName", strings.ToLower(name))
	}
	return first(h, name), nil
}
