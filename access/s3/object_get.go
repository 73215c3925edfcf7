package s3

import (
	"net/http"
	"strconv"
	"strings"

	"torc/internal/errs"
	"torc/object"
)

// stat returns the request's object if the caller may use its bucket.
func (c *call) stat() (object.Object, error) {
	b, o, err := c.h.cfg.Objects.Stat(c.ctx, c.bucket, c.key)
	if object.ReasonOf(err) == object.NoKey {
		// Whether a key exists is told only to who may use the bucket.
		if _, denied := c.ownBucket(); denied != nil {
			return o, denied
		}
	}
	if err != nil {
		return o, err
	}
	return o, c.mayUse(b)
}

// getObject is GetObject. An object that is overwritten or deleted between the
// look at its record and the read of its bytes may be gone by then: the record
// is looked up once more.
func (c *call) getObject() error {
	err := c.sendObject()
	if errs.Is(err, errs.NotFound) && object.ReasonOf(err) == "" && !c.w.started() {
		c.w.clearEntityHeaders(false)
		err = c.sendObject()
	}
	return err
}

func (c *call) sendObject() error {
	o, s, status, err := c.openRead()
	if err != nil {
		return err
	}
	if s.n == 0 {
		c.w.WriteHeader(status)
		return nil
	}
	w := &bodyWriter{w: c.w, status: status}
	if err := c.h.cfg.Objects.WriteRange(c.ctx, w, o, s.off, s.n); err != nil {
		if w.err != nil { // the client went away or stopped reading
			panic(http.ErrAbortHandler)
		}
		return errs.Wrap("s3.GetObject", err)
	}
	if w.n != s.n {
		return errs.E("s3.GetObject", errs.Other, "%d bytes written of %d", w.n, s.n)
	}
	return nil
}

// headObject is HeadObject: GetObject's headers.
func (c *call) headObject() error {
	_, _, status, err := c.openRead()
	if err != nil {
		return err
	}
	c.w.WriteHeader(status)
	return nil
}

// openRead finds the object, evaluates conditions and range, and sets the
// answer's headers; the status line is still to be written.
func (c *call) openRead() (object.Object, span, int, error) {
	o, err := c.stat()
	if err != nil {
		return o, span{}, 0, err
	}
	h := c.w.Header()
	h["Etag"] = []string{quoteETag(o.ETag)} // a 304 carries these two
	h["Last-Modified"] = []string{httpTime(o.Modified)}
	if err := conditionsOf(c.r.Header, "").check(&o, false); err != nil {
		return o, span{}, 0, err
	}
	s, part, partial, err := c.selectBytes(&o)
	if err != nil {
		return o, span{}, 0, err
	}
	writeObjectHeaders(h, &o)
	c.overrideHeaders(h)
	h["Content-Length"] = []string{strconv.FormatInt(s.n, 10)}
	if c.r.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" {
		switch {
		case part != nil:
			writeChecksumHeaders(h, part.Checksums, true)
		case !partial:
			writeChecksumHeaders(h, o.Checksums, true)
		}
	}
	if !partial {
		return o, s, http.StatusOK, nil
	}
	if s.n > 0 {
		h["Content-Range"] = []string{"bytes " + strconv.FormatInt(s.off, 10) + "-" +
			strconv.FormatInt(s.off+s.n-1, 10) + "/" + strconv.FormatInt(o.Size, 10)}
	}
	return o, s, http.StatusPartialContent, nil
}

// selectBytes decides which bytes are asked for, by Range or by partNumber.
func (c *call) selectBytes(o *object.Object) (s span, part *object.Part, partial bool, err error) {
	whole := span{0, o.Size}
	rangeHeader := c.r.Header.Get("Range")
	if c.query.Has("partNumber") {
		if rangeHeader != "" {
			return whole, nil, false, failf("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
		}
		return c.selectPart(o)
	}
	if rangeHeader == "" || !c.rangeHolds(o) {
		return whole, nil, false, nil
	}
	s, partial, err = parseRange(rangeHeader, o.Size)
	if err != nil {
		c.w.Header().Set("Content-Range", "bytes */"+strconv.FormatInt(o.Size, 10))
		return whole, nil, false, err
	}
	if !partial {
		return whole, nil, false, nil
	}
	return s, nil, true, nil
}

// selectPart finds the bytes of one part. An object of a simple put is its own
// part 1.
func (c *call) selectPart(o *object.Object) (span, *object.Part, bool, error) {
	n, err := c.partNumber()
	if err != nil {
		return span{}, nil, false, err
	}
	if !multipart(o) {
		if n != 1 {
			return span{}, nil, false, fail("InvalidPartNumber").with("PartNumberRequested", itoa(n)).with("ActualPartCount", "1")
		}
		p := object.Part{Checksums: o.Checksums}
		return span{0, o.Size}, &p, true, nil
	}
	off := int64(0)
	for i := range o.Parts {
		if o.Parts[i].Number == n {
			c.w.Header()["X-Amz-Mp-Parts-Count"] = []string{itoa(len(o.Parts))}
			return span{off, o.Parts[i].Size}, &o.Parts[i], true, nil
		}
		off += o.Parts[i].Size
	}
	return span{}, nil, false, fail("InvalidPartNumber").with("PartNumberRequested", itoa(n)).with("ActualPartCount", itoa(len(o.Parts)))
}

// multipart reports whether an object was made of uploaded parts.
func multipart(o *object.Object) bool { return len(o.Parts) > 0 && o.Parts[0].Number > 0 }

// rangeHolds evaluates If-Range (RFC 9110, 13.1.5): when it does not hold, the
// range is ignored.
func (c *call) rangeHolds(o *object.Object) bool {
	v := c.r.Header.Get("If-Range")
	if v == "" {
		return true
	}
	if t, err := http.ParseTime(v); err == nil {
		return httpTime(o.Modified) == httpTime(t)
	}
	return unquoteETag(v) == o.ETag
}

// overrideHeaders applies the response-* parameters. The request is signed:
// others do not come this far.
func (c *call) overrideHeaders(h http.Header) {
	for _, name := range systemHeaders {
		if v := c.query.Get("response-" + strings.ToLower(name)); v != "" {
			h[name] = []string{v}
		}
	}
}

// bodyWriter writes the status line before the first byte, so that a read that
// fails before it still gets an error document, and large writes in pieces, so
// that the deadline is one for a piece.
type bodyWriter struct {
	w      *answerWriter
	status int
	n      int64
	err    error // of the connection, as against the storage's
}

// Write implements io.Writer.
func (b *bodyWriter) Write(p []byte) (int, error) {
	if !b.w.started() {
		b.w.WriteHeader(b.status)
	}
	written := 0
	for written < len(p) {
		n, err := b.w.Write(p[written:min(len(p), written+WriteBytesMax)])
		written += n
		b.n += int64(n)
		if err != nil {
			b.err = err
			return written, err
		}
	}
	return written, nil
}
