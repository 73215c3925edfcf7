package s3

import (
	"net"
	"net/url"
	"strings"
	"unicode/utf8"

	"torc/object"
)

// target is what a URL names: the service (no bucket), a bucket, or an object.
type target struct {
	bucket object.BucketName
	key    string
}

// parseTarget finds bucket and key. escapedPath is the path exactly as sent:
// it is cut at the first slash before it is decoded, so "%2F" belongs to the
// name it stands in; '+' is a plus; nothing is cleaned, since "a//b", "a/./b"
// and "a/" are keys of their own.
func parseTarget(host, escapedPath string, domains []string) (target, error) {
	path, ok := strings.CutPrefix(escapedPath, "/")
	if !ok {
		return target{}, fail("InvalidURI").with("URI", escapedPath)
	}
	if name := bucketOfHost(host, domains); name != "" {
		key, err := decodeKey(path)
		return target{bucket: object.BucketName(name), key: key}, err
	}
	rawBucket, rawKey, _ := strings.Cut(path, "/")
	name, err := url.PathUnescape(rawBucket)
	if err != nil {
		return target{}, fail("InvalidURI").with("URI", escapedPath)
	}
	if name == "" && rawKey != "" {
		return target{}, fail("InvalidBucketName").with("BucketName", "")
	}
	key, err := decodeKey(rawKey)
	return target{bucket: object.BucketName(name), key: key}, err
}

// bucketOfHost returns the bucket that a virtual-host style request names, or "".
func bucketOfHost(host string, domains []string) string {
	if len(domains) == 0 {
		return ""
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	best := ""
	for _, d := range domains {
		if host == d {
			return ""
		}
		// The longest domain that fits wins: with "s3.x" and "x", "b.s3.x" is bucket b.
		if name, ok := strings.CutSuffix(host, "."+d); ok && (best == "" || len(name) < len(best)) {
			best = name
		}
	}
	return best
}

// decodeKey decodes an escaped key and checks that it can be stored and listed.
func decodeKey(escaped string) (string, error) {
	key, err := url.PathUnescape(escaped)
	if err != nil {
		return "", fail("InvalidURI").with("URI", escaped)
	}
	return key, checkKey(key)
}

// checkKey refuses keys that no listing could show or that are over the limit.
func checkKey(key string) error {
	if len(key) > object.KeyLenMax {
		return keyTooLong(len(key))
	}
	if !utf8.ValidString(key) {
		return failf("InvalidArgument", "The object key is not valid UTF-8.").with("ArgumentName", "key")
	}
	if strings.IndexByte(key, 0) >= 0 {
		return failf("InvalidArgument", "The object key must not contain the NUL character.").with("ArgumentName", "key")
	}
	return nil
}

func keyTooLong(n int) error {
	return fail("KeyTooLongError").with("Size", itoa(n)).with("MaxSizeAllowed", itoa(object.KeyLenMax))
}

// checkBucketName applies the naming rules of general purpose buckets.
// Source: Amazon S3 User Guide, "General purpose bucket naming rules".
func checkBucketName(name object.BucketName) error {
	s := string(name)
	bad := fail("InvalidBucketName").with("BucketName", s)
	if len(s) < BucketNameLenMin || len(s) > BucketNameLenMax {
		return bad
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		edge := i == 0 || i == len(s)-1
		if !alnum && (edge || c != '-' && c != '.') {
			return bad
		}
		if c == '.' && s[i+1] == '.' { // i+1 exists: a dot is never last
			return bad
		}
	}
	if net.ParseIP(s) != nil || looksLikeIPv4(s) {
		return bad
	}
	for _, p := range []string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if strings.HasPrefix(s, p) {
			return bad
		}
	}
	for _, p := range []string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if strings.HasSuffix(s, p) {
			return bad
		}
	}
	return nil
}

// looksLikeIPv4 reports four groups of digits: "192.168.5.400" is refused too.
func looksLikeIPv4(s string) bool {
	groups := strings.Split(s, ".")
	if len(groups) != 4 {
		return false
	}
	for _, g := range groups {
		if g == "" || strings.Trim(g, "0123456789") != "" {
			return false
		}
	}
	return true
}
