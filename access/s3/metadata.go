package s3

import (
	"net/http"
	"strings"
	"time"

	"torc/access/s3/sigv4"
	"torc/object"
)

const userMetaPrefix = "X-Amz-Meta-"

// systemHeaders are kept with an object and returned as they came.
var systemHeaders = [...]string{
	"Content-Type", "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires",
}

// defaultContentType is what S3 stores when a client sends none.
const defaultContentType = "binary/octet-stream"

// metadataOf takes an object's metadata from request headers. aws-chunked is
// the transfer's coding, not the object's, and is not stored. Values pass
// through byte for byte (RFC 2047 words included).
func metadataOf(h http.Header) (object.Metadata, error) {
	m := object.Metadata{System: map[string]string{}, User: map[string]string{}}
	for _, name := range systemHeaders {
		v := strings.Join(h[name], ",")
		if name == "Content-Encoding" {
			v = sigv4.ContentEncoding(h)
		}
		if v != "" {
			m.System[name] = v
		}
	}
	if m.System["Content-Type"] == "" {
		m.System["Content-Type"] = defaultContentType
	}
	size := 0
	for name, values := range h {
		short, ok := strings.CutPrefix(name, userMetaPrefix)
		if !ok {
			continue
		}
		short = strings.ToLower(short)
		if short == "" {
			return m, invalidArgument("x-amz-meta-", "", "A user metadata header needs a name.")
		}
		v := strings.Join(values, ",")
		m.User[short] = v
		size += len(short) + len(v)
	}
	if size > object.UserMetaLenMax || len(m.User) > UserMetadataKeysMax {
		return m, fail("MetadataTooLarge").with("Size", itoa(size)).with("MaxSizeAllowed", itoa(object.UserMetaLenMax))
	}
	return m, nil
}

// writeObjectHeaders describes an object in an answer's headers.
func writeObjectHeaders(h http.Header, o *object.Object) {
	for name, v := range o.Meta.System {
		h[name] = []string{v}
	}
	if o.Meta.System["Content-Type"] == "" {
		h["Content-Type"] = []string{defaultContentType}
	}
	for name, v := range o.Meta.User {
		// In lower case on the wire: some clients hand the name's case on to the user.
		h["x-amz-meta-"+name] = []string{v}
	}
	h["Etag"] = []string{quoteETag(o.ETag)}
	h["Last-Modified"] = []string{httpTime(o.Modified)}
	h["Accept-Ranges"] = []string{"bytes"}
	if o.Class != "" && o.Class != "STANDARD" {
		h["X-Amz-Storage-Class"] = []string{o.Class}
	}
}

// quoteETag is an ETag as headers and documents carry it.
func quoteETag(tag string) string { return `"` + tag + `"` }

// unquoteETag takes an ETag from a header or document: quotes are optional.
func unquoteETag(s string) string {
	s = strings.TrimSpace(s)
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// httpTime is a time in a header: whole seconds, rounded down.
func httpTime(t time.Time) string { return t.UTC().Format(http.TimeFormat) }

// xmlTime is a time in a document: milliseconds.
func xmlTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
