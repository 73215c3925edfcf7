package sigv4

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const exampleAuth = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders="

// The examples of AWS's "Authenticating Requests" and "Chunked upload" pages.
func TestDocumentedExamples(t *testing.T) {
	empty := sha256Hex("")
	for name, text := range map[string]string{
		"get object": "GET /test.txt HTTP/1.1\r\nHost: examplebucket.s3.amazonaws.com\r\nRange: bytes=0-9\r\nx-amz-content-sha256: " + empty +
			"\r\nx-amz-date: 20130524T000000Z\r\nAuthorization: " + exampleAuth +
			"host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41\r\n\r\n",
		"put object": "PUT /test$file.text HTTP/1.1\r\nHost: examplebucket.s3.amazonaws.com\r\nDate: Fri, 24 May 2013 00:00:00 GMT\r\n" +
			"x-amz-date: 20130524T000000Z\r\nx-amz-storage-class: REDUCED_REDUNDANCY\r\nx-amz-content-sha256: " + sha256Hex("Welcome to Amazon S3.") +
			"\r\nContent-Length: 21\r\nAuthorization: " + exampleAuth +
			"date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" +
			"\r\n\r\nWelcome to Amazon S3.",
		"get lifecycle": "GET /?lifecycle HTTP/1.1\r\nHost: examplebucket.s3.amazonaws.com\r\nx-amz-content-sha256: " + empty +
			"\r\nx-amz-date: 20130524T000000Z\r\nAuthorization: " + exampleAuth +
			"host;x-amz-content-sha256;x-amz-date,Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543\r\n\r\n",
		"list": "GET /?max-keys=2&prefix=J HTTP/1.1\r\nHost: examplebucket.s3.amazonaws.com\r\nx-amz-content-sha256: " + empty +
			"\r\nx-amz-date: 20130524T000000Z\r\nAuthorization: " + exampleAuth +
			"host;x-amz-content-sha256;x-amz-date,Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7\r\n\r\n",
		"presigned": "GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
			"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host" +
			"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404 HTTP/1.1\r\nHost: examplebucket.s3.amazonaws.com\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := parse(t, text)
			a := mustVerify(t, newVerifier(t, exampleTime()), r)
			if a.AccessKeyID != exampleKey || a.Account.ID != "123456789012" || a.Anonymous || !a.Time.Equal(exampleTime()) {
				t.Errorf("wrong identity %v", a)
			}
			if _, _, err := readAll(t, a, r); err != nil {
				t.Error(err)
			}
		})
	}
}

const exampleChunkedHead = "PUT /examplebucket/chunkObject.txt HTTP/1.1\r\nHost: s3.amazonaws.com\r\nx-amz-date: 20130524T000000Z\r\n" +
	"x-amz-storage-class: REDUCED_REDUNDANCY\r\nAuthorization: " + exampleAuth +
	"content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class," +
	"Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9\r\nx-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\r\n" +
	"Content-Encoding: aws-chunked\r\nx-amz-decoded-content-length: 66560\r\nContent-Length: 66824\r\n\r\n"

func exampleChunkedBody() string {
	return "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + strings.Repeat("a", 65536) +
		"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + strings.Repeat("a", 1024) +
		"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
}

func TestDocumentedChunkedUpload(t *testing.T) {
	r := parse(t, exampleChunkedHead+exampleChunkedBody())
	a := mustVerify(t, newVerifier(t, exampleTime()), r)
	got, _, err := readAll(t, a, r)
	if err != nil || got != strings.Repeat("a", 66560) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if e := ContentEncoding(r.Header); e != "" {
		t.Errorf("Content-Encoding %q is stored", e)
	}
}

func TestDocumentedTrailerUpload(t *testing.T) {
	head := "PUT /examplebucket/chunkObject.txt HTTP/1.1\r\nHost: s3.amazonaws.com\r\nx-amz-date: 20130524T000000Z\r\n" +
		"x-amz-storage-class: REDUCED_REDUNDANCY\r\nAuthorization: " + exampleAuth +
		"content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer," +
		"Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e\r\nx-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER\r\n" +
		"Content-Encoding: aws-chunked\r\nx-amz-decoded-content-length: 66560\r\nx-amz-trailer: x-amz-checksum-crc32c\r\n"
	body := "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" + strings.Repeat("a", 65536) +
		"\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" + strings.Repeat("a", 1024) +
		"\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n" +
		"x-amz-checksum-crc32c:sOO8/Q==\n\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
	r := parse(t, fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(body), body))
	a := mustVerify(t, newVerifier(t, exampleTime()), r)
	got, trailers, err := readAll(t, a, r)
	if err != nil || len(got) != 66560 || trailers.Get("x-amz-checksum-crc32c") != "sOO8/Q==" {
		t.Errorf("%d bytes, %v, %v", len(got), trailers, err)
	}
}

func TestContentEncoding(t *testing.T) {
	for want, given := range map[string][]string{
		"":        {"aws-chunked"},
		"gzip":    {"gzip,aws-chunked"},
		"gzip,br": {"aws-chunked, gzip", "br"},
		"br":      {"AWS-Chunked", "br", ""},
		"deflate": {"deflate"},
	} {
		if got := ContentEncoding(http.Header{"Content-Encoding": given}); got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
}
