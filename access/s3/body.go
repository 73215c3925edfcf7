package s3

import (
	"io"
	"net/http"
	"slices"

	"torc/access/s3/checksum"
	"torc/access/s3/sigv4"
	"torc/object"
)

// upload is a body on its way into storage: decoded, counted and hashed as it is read.
type upload struct {
	body    *sigv4.Body // nil for a copy, whose source needs no decoding
	sums    *checksum.Reader
	size    int64
	keep    checksum.Algorithm // the checksum stored and echoed
	keepAll bool               // also the one that the client declared, if another: for parts
	result  checksum.Result
}

// newUpload prepares the request's body. The checksum kept is the one the
// client declared, else want, else CRC64NVME, which is what S3 does.
func (c *call) newUpload(want checksum.Algorithm) (*upload, error) {
	if err := c.requireLength(); err != nil {
		return nil, err
	}
	expect, err := checksum.Parse(c.r.Header)
	if err != nil {
		return nil, err
	}
	body, err := c.auth.Body(c.r)
	if err != nil {
		return nil, err
	}
	if body.Size() > object.PutSizeMax {
		return nil, tooLarge(body.Size(), object.PutSizeMax)
	}
	u := &upload{body: body, size: body.Size(), keep: want}
	if u.keep == checksum.None {
		u.keep = expect.Algorithm
	}
	if u.keep == checksum.None {
		u.keep = checksum.CRC64NVME
	}
	u.sums = checksum.NewReader(body, expect, u.keep)
	return u, nil
}

// newCopy prepares bytes that come from storage.
func newCopy(src io.Reader, size int64, keep checksum.Algorithm) *upload {
	if keep == checksum.None {
		keep = checksum.CRC64NVME
	}
	return &upload{size: size, keep: keep, sums: checksum.NewReader(src, checksum.Expectation{}, keep)}
}

// requireLength refuses a body whose end nothing marks.
func (c *call) requireLength() error {
	if c.r.ProtoMajor == 1 && c.r.Header.Get("Content-Length") == "" && c.r.ContentLength <= 0 &&
		!slices.Contains(c.r.TransferEncoding, "chunked") {
		return fail("MissingContentLength")
	}
	return nil
}

// objectBody is the body as object takes it. Seal compares what came with what
// was declared: a mismatch aborts the put.
func (u *upload) objectBody() object.Body {
	return object.Body{Reader: u.sums, Size: u.size, Seal: u.seal}
}

func (u *upload) seal() (object.Seal, error) {
	var trailers http.Header
	if u.body != nil {
		trailers = u.body.Trailers()
	}
	r, err := u.sums.Verify(trailers)
	if err != nil {
		return object.Seal{}, err
	}
	u.result = r
	return object.Seal{ETag: r.ETag(), Checksums: u.checksums()}, nil
}

// checksums are those to store. The MD5 goes in only where asked for by name:
// it is the ETag already.
func (u *upload) checksums() []object.Checksum {
	if u.keepAll {
		var all []object.Checksum
		for _, v := range u.result.Values {
			all = append(all, storedChecksum(v))
		}
		return all
	}
	v, ok := u.result.Value(u.keep)
	if !ok {
		return nil
	}
	return []object.Checksum{storedChecksum(v)}
}

func storedChecksum(v checksum.Value) object.Checksum {
	return object.Checksum{Algorithm: v.Algorithm.String(), Type: v.Type.String(), Value: v.String()}
}

// writeChecksumHeaders echoes stored checksums.
func writeChecksumHeaders(h http.Header, sums []object.Checksum, withType bool) {
	for _, s := range sums {
		a, ok := checksum.ParseAlgorithm(s.Algorithm)
		if !ok {
			continue
		}
		h.Set(a.Header(), s.Value)
		if withType {
			h.Set("X-Amz-Checksum-Type", s.Type)
		}
	}
}

// readBody reads a document of at most limit bytes. With digest it must be covered by
// a Content-MD5 or a checksum, which is compared.
func (c *call) readBody(limit int64, digest bool) ([]byte, error) {
	var expect checksum.Expectation
	if digest {
		var err error
		if expect, err = checksum.Parse(c.r.Header); err != nil {
			return nil, err
		}
		if !expect.Declared() {
			return nil, failf("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
		}
	}
	body, err := c.auth.Body(c.r)
	if err != nil {
		return nil, err
	}
	if body.Size() > limit {
		return nil, documentTooLarge(body.Size(), limit)
	}
	if err := c.admitDocument(body.Size(), limit); err != nil {
		return nil, err
	}
	sums := checksum.NewReader(body, expect)
	b, err := io.ReadAll(io.LimitReader(sums, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, documentTooLarge(int64(len(b)), limit)
	}
	if _, err := sums.Verify(body.Trailers()); err != nil {
		return nil, err
	}
	return b, nil
}

// admitDocument bounds the memory that documents take together: the large ones
// are few and far between.
func (c *call) admitDocument(size, limit int64) error {
	if size < 0 {
		size = limit
	}
	if size <= LargeDocumentBytes {
		return nil
	}
	select {
	case c.h.large <- struct{}{}:
		c.large = true
		return nil
	default:
		return fail("SlowDown")
	}
}

func (c *call) releaseLarge() {
	if c.large {
		<-c.h.large
	}
}

func documentTooLarge(size, limit int64) error {
	e := tooLarge(size, limit)
	e.Code = "MaxMessageLengthExceeded"
	return e
}
