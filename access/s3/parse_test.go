package s3

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"torc/object"
)

func TestParseTarget(t *testing.T) {
	domains := []string{"s3.test", "test"}
	for _, tt := range []struct{ host, path, bucket, key string }{
		{"x", "/", "", ""},
		{"x", "/b", "b", ""},
		{"x", "/b/", "b", ""},
		{"x", "/b/k", "b", "k"},
		{"x", "/b/k/", "b", "k/"},
		{"x", "/b//k", "b", "/k"},
		{"x", "/b/a%2Fb", "b", "a/b"},
		{"x", "/b/a+b", "b", "a+b"},
		{"x", "/b/%2525", "b", "%25"},
		{"x", "/b/../k", "b", "../k"},
		{"b.s3.test", "/k", "b", "k"},
		{"b.s3.test:80", "/", "b", ""},
		{"B.S3.TEST.", "/k", "b", "k"},
		{"a.b.s3.test", "/k", "a.b", "k"},
		{"s3.test", "/b/k", "b", "k"},
		{"c.test", "/k", "c", "k"},
		{"xs3.test", "/k", "xs3", "k"},
		{"[::1]:80", "/b/k", "b", "k"},
	} {
		got, err := parseTarget(tt.host, tt.path, domains)
		if err != nil || string(got.bucket) != tt.bucket || got.key != tt.key {
			t.Errorf("%s %s: %+v, %v", tt.host, tt.path, got, err)
		}
	}
	for path, code := range map[string]Code{
		"": "InvalidURI", "*": "InvalidURI", "//k": "InvalidBucketName", "/b/%": "InvalidURI", "/%zz/k": "InvalidURI",
		"/b/%00": "InvalidArgument", "/b/%C0%80": "InvalidArgument", "/b/" + strings.Repeat("k", 1025): "KeyTooLongError",
	} {
		if _, err := parseTarget("x", path, nil); err == nil || err.(*apiError).Code != code {
			t.Errorf("%q: %v, want %s", path, err, code)
		}
	}
}

func TestBucketNames(t *testing.T) {
	for _, good := range []string{"abc", "a-b", "a.b", "1a1", strings.Repeat("a", 63), "1.2.3", "a1.2.3.4"} {
		if err := checkBucketName(object.BucketName(good)); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "ab", strings.Repeat("a", 64), "Abc", "a_b", "-ab", "ab-", ".ab", "ab.", "a..b", "1.2.3.4",
		"999.9.9.9", "xn--a", "sthree-a", "a-s3alias", "a--ol-s3", "a--x-s3", "a/b", "a b", "é12", "a\x00b"} {
		if checkBucketName(object.BucketName(bad)) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// Every route's operation has a name of its own, and every code that the
// package answers with is in the table.
func TestTables(t *testing.T) {
	names := map[string]bool{}
	for _, r := range routes() {
		if names[r.op] {
			t.Errorf("%s is there twice", r.op)
		}
		names[r.op] = true
		if r.handle == nil {
			t.Errorf("%s has no handler", r.op)
		}
	}
	for code, a := range answers {
		if a.status < 400 || a.status > 599 || a.message == "" {
			t.Errorf("%s answers %d %q", code, a.status, a.message)
		}
	}
	uses := regexp.MustCompile(`\b(?:fail|failf|notConfigured)\("(\w+)"`)
	files, _ := filepath.Glob("*.go")
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range uses.FindAllStringSubmatch(string(text), -1) {
			found++
			if _, ok := answers[Code(m[1])]; !ok {
				t.Errorf("%s answers %s, which is not in the table", file, m[1])
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d uses of codes found", found)
	}
	for _, s := range unserved {
		if _, ok := newRouteTable().routes[routeKey{scopeObject, "GET", s}]; ok {
			t.Errorf("%s is served and unserved", s)
		}
	}
}

func TestXML(t *testing.T) {
	var doc completeXML
	deep := strings.Repeat("<a>", 40) + strings.Repeat("</a>", 40)
	for _, bad := range []string{"", "x", "<CompleteMultipartUpload>", "<!DOCTYPE a><CompleteMultipartUpload/>", "<Other/>",
		"<CompleteMultipartUpload/>x", "<CompleteMultipartUpload/><a/>", "<CompleteMultipartUpload>" + deep + "</CompleteMultipartUpload>",
		"<CompleteMultipartUpload><Part><PartNumber>x</PartNumber></Part></CompleteMultipartUpload>", "<CompleteMultipartUpload>&a;</CompleteMultipartUpload>"} {
		if err := decodeXML([]byte(bad), &doc); err == nil || err.(*apiError).Code != "MalformedXML" {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
	good := `<?xml version="1.0"?><!-- c --><s:CompleteMultipartUpload xmlns:s="` + xmlns + `"><s:Part><s:ETag>"a"</s:ETag><s:PartNumber> 7 </s:PartNumber></s:Part></s:CompleteMultipartUpload>` + "\n"
	doc = completeXML{}
	if err := decodeXML([]byte(good), &doc); err != nil || len(doc.Parts) != 1 || doc.Parts[0].PartNumber != 7 || doc.Parts[0].ETag != `"a"` {
		t.Errorf("%+v, %v", doc, err)
	}
}

func TestToken(t *testing.T) {
	for _, after := range []string{"", "a", "a/\x00é", strings.Repeat("k", 1024)} {
		token := makeToken(tokenObjects, "bkt", after)
		c := &call{query: url.Values{"continuation-token": {token}}}
		if got, err := c.continuation(tokenObjects, "bkt"); err != nil || got != after {
			t.Errorf("%q comes back as %q, %v", after, got, err)
		}
		if _, err := c.continuation(tokenObjects, "other"); err == nil {
			t.Error("a token works for another bucket")
		}
		if _, err := c.continuation(tokenBuckets, "bkt"); err == nil {
			t.Error("a token works for another operation")
		}
		damaged := []byte(token)
		damaged[len(damaged)-2] ^= 1
		c.query.Set("continuation-token", string(damaged))
		if got, err := c.continuation(tokenObjects, "bkt"); err == nil && got != after {
			t.Errorf("a damaged token is taken for %q", got)
		}
	}
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-0", "bytes=-1", "bytes=5-", "bytes=0-18446744073709551616", "bytes=--1", "bytes= 1-2", "bytes=1-2,3-4"} {
		f.Add(s, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		check := func(s span, ok bool) {
			if ok && (s.off < 0 || s.n <= 0 || s.off > size-s.n) {
				t.Errorf("%q of %d bytes: %+v", header, size, s)
			}
		}
		s, ok, err := parseRange(header, size)
		if err != nil && ok {
			t.Errorf("%q: both a range and %v", header, err)
		}
		check(s, ok)
		s, err = parseCopyRange(header, size)
		check(s, err == nil)
	})
}

func FuzzCopySource(f *testing.F) {
	for _, s := range []string{"/bkt/k", "bkt/a%2Fb?versionId=null", "bkt/", "arn:aws:s3", "bkt/%zz", "bkt/a?b", "bkt/+"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		src, err := parseCopySource(header)
		if err != nil {
			return
		}
		if checkBucketName(src.bucket) != nil || src.key == "" || checkKey(src.key) != nil {
			t.Errorf("%q gives %+v", header, src)
		}
		again, err := parseCopySource(string(src.bucket) + "/" + url.QueryEscape(src.key))
		if err != nil || again != src {
			t.Errorf("%q: %+v encoded again gives %+v, %v", header, src, again, err)
		}
	})
}

func FuzzTarget(f *testing.F) {
	for _, s := range []string{"/b/k", "//", "/b/%2F", "/%62/k+", "/b/%E2%82"} {
		f.Add("b.s3.test", s)
		f.Add("x:1", s)
	}
	f.Fuzz(func(t *testing.T, host, path string) {
		got, err := parseTarget(host, path, []string{"s3.test"})
		if err != nil {
			return
		}
		if checkKey(got.key) != nil || got.bucket == "" && got.key != "" {
			t.Errorf("%q %q gives %+v", host, path, got)
		}
		if decoded, err := url.PathUnescape(path); err != nil || !strings.HasSuffix(decoded, got.key) {
			t.Errorf("%q gives the key %q", path, got.key)
		}
	})
}

func FuzzListEscapes(f *testing.F) {
	f.Add("a<b>&\"'\x01é /+%")
	f.Fuzz(func(t *testing.T, s string) {
		if back, err := url.PathUnescape(string(appendURL(nil, s))); err != nil || back != s {
			t.Errorf("%q URL-encoded decodes as %q, %v", s, back, err)
		}
		if e := string(appendXML(nil, s)); strings.ContainsAny(e, "<>\"") {
			t.Errorf("%q escaped is %q", s, e)
		}
	})
}
