package sigv4

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// param is one query parameter, decoded and in AWS's encoding.
type param struct {
	name, value       string
	encName, encValue string
}

// parseQuery decodes a query and sorts it by encoded name, then encoded value.
// What net/url would drop from r.URL.Query() (a bad escape, a bare semicolon)
// is refused, so that what is signed is what handlers see.
func parseQuery(raw string) ([]param, error) {
	if raw == "" {
		return nil, nil
	}
	query := make([]param, 0, strings.Count(raw, "&")+1)
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		p, err := decodeParam(name, value)
		if err != nil || strings.Contains(part, ";") {
			return nil, fail(InvalidURI, "Couldn't parse the specified URI.")
		}
		query = append(query, p)
	}
	slices.SortStableFunc(query, func(a, b param) int {
		if c := strings.Compare(a.encName, b.encName); c != 0 {
			return c
		}
		return strings.Compare(a.encValue, b.encValue)
	})
	return query, nil
}

func decodeParam(name, value string) (p param, err error) {
	if p.name, err = url.QueryUnescape(name); err != nil {
		return p, err
	}
	if p.value, err = url.QueryUnescape(value); err != nil {
		return p, err
	}
	p.encName, p.encValue = encode(p.name, false), encode(p.value, false)
	return p, nil
}

func find(query []param, name string) string {
	for i := range query {
		if query[i].name == name {
			return query[i].value
		}
	}
	return ""
}

func count(query []param, name string) (n int) {
	for i := range query {
		if query[i].name == name {
			n++
		}
	}
	return n
}

func has(query []param, name string) bool { return count(query, name) > 0 }

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// encode is AWS's UriEncode: every byte but the unreserved becomes %XX in upper
// case; a slash stays in paths.
func encode(s string, slash bool) string {
	plain := func(c byte) bool { return unreserved(c) || slash && c == '/' }
	i := 0
	for i < len(s) && plain(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	const digits = "0123456789ABCDEF"
	out := make([]byte, i, len(s)+32)
	copy(out, s)
	for ; i < len(s); i++ {
		if c := s[i]; plain(c) {
			out = append(out, c)
		} else {
			out = append(out, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(out)
}

// encodePath is the canonical URI of S3: the decoded path encoded once, with
// dots and double slashes left as they are.
func encodePath(path string) string {
	if path == "" {
		return "/"
	}
	return encode(path, true)
}

// canonicalRequest builds the text that is hashed and signed.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
func canonicalRequest(r *http.Request, query []param, c *claim, path, host string) []byte {
	b := make([]byte, 0, 1024)
	b = append(b, r.Method...)
	b = append(b, '\n')
	b = append(b, path...)
	b = append(b, '\n')
	b = appendQuery(b, query, c.presigned)
	b = append(b, '\n')
	for _, name := range c.signedHeaders {
		b = append(b, name...)
		b = append(b, ':')
		b = appendHeader(b, r, name, host)
		b = append(b, '\n')
	}
	b = append(b, '\n')
	for i, name := range c.signedHeaders {
		if i > 0 {
			b = append(b, ';')
		}
		b = append(b, name...)
	}
	b = append(b, '\n')
	return append(b, c.payload...)
}

func appendQuery(b []byte, query []param, presigned bool) []byte {
	start := len(b)
	for i := range query {
		p := &query[i]
		if presigned && p.name == "X-Amz-Signature" {
			continue
		}
		if len(b) > start {
			b = append(b, '&')
		}
		b = append(b, p.encName...)
		b = append(b, '=')
		b = append(b, p.encValue...)
	}
	return b
}

// appendHeader writes the canonical value of one header, looking where net/http
// has put what it took out of the header map.
func appendHeader(b []byte, r *http.Request, name, host string) []byte {
	values := headerValues(r.Header, name)
	switch name {
	case "host":
		return appendFolded(b, host)
	case "content-length":
		if len(values) == 0 && r.ContentLength >= 0 {
			return strconv.AppendInt(b, r.ContentLength, 10)
		}
	case "transfer-encoding":
		if len(values) == 0 {
			values = r.TransferEncoding
		}
	case "expect":
		// Proxies answer and drop it; it has one possible value.
		if len(values) == 0 {
			return append(b, "100-continue"...)
		}
	}
	for i, value := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendFolded(b, value)
	}
	return b
}

// headerValues is h[http.CanonicalHeaderKey(name)] for a lower-case name,
// without making the key on the heap.
func headerValues(h http.Header, name string) []string {
	var key [64]byte
	if len(name) > len(key) {
		return h[http.CanonicalHeaderKey(name)]
	}
	upper := true
	for i := range len(name) {
		c := name[i]
		if upper && 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		upper = c == '-'
		key[i] = c
	}
	return h[string(key[:len(name)])]
}

// appendFolded trims a value and folds runs of spaces inside it to one. Only
// what HTTP calls white space is trimmed: of two values that differ in anything
// else, one signature never covers both.
func appendFolded(b []byte, s string) []byte {
	s = strings.Trim(s, " \t")
	for {
		i := strings.Index(s, "  ")
		if i < 0 {
			return append(b, s...)
		}
		b = append(b, s[:i+1]...)
		s = strings.TrimLeft(s[i:], " ")
	}
}

// withoutDefaultPort drops :80 and :443, which some signers do not sign and
// others do not send.
func withoutDefaultPort(host string) string {
	if h, ok := strings.CutSuffix(host, ":80"); ok {
		return h
	}
	return strings.TrimSuffix(host, ":443")
}

const amzPrefix = "x-amz-"

// compareLower compares a lower-case name with an ASCII name in any case.
func compareLower(signed, name string) int {
	for i := range min(len(signed), len(name)) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if signed[i] != c {
			return int(signed[i]) - int(c)
		}
	}
	return len(signed) - len(name)
}

// checkSigned makes sure that everything that changes what a request means is
// under its signature: the host, and every x-amz- header that is present.
func checkSigned(r *http.Request, c *claim) error {
	var missing []string
	if _, ok := slices.BinarySearch(c.signedHeaders, "host"); !ok {
		missing = append(missing, "host")
	}
	for name := range r.Header {
		if len(name) < len(amzPrefix) || !strings.EqualFold(name[:len(amzPrefix)], amzPrefix) {
			continue
		}
		if _, ok := slices.BinarySearchFunc(c.signedHeaders, name, compareLower); !ok {
			missing = append(missing, strings.ToLower(name))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return fail(AccessDenied, "There were headers present in the request which were not signed").
		with("HeadersNotSigned", strings.Join(missing, ", "))
}
