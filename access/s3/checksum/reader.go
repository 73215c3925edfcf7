package checksum

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"slices"

	"torc/internal/errs"
)

// Reader computes checksums over what is read through it. It makes no copies
// and keeps no bytes. Not safe for concurrent use.
type Reader struct {
	src    io.Reader
	expect Expectation
	md5    hash.Hash
	sums   []running
	size   int64
	eof    bool
}

type running struct {
	algorithm Algorithm
	hash      hash.Hash
}

// NewReader wraps a body. It computes the MD5, what is expected, and the
// algorithms in also (each once; None is skipped).
func NewReader(src io.Reader, expect Expectation, also ...Algorithm) *Reader {
	r := &Reader{src: src, expect: expect, md5: md5.New()}
	for _, a := range append([]Algorithm{expect.Algorithm}, also...) {
		known := slices.ContainsFunc(r.sums, func(s running) bool { return s.algorithm == a })
		if a == None || a == MD5 || known {
			continue
		}
		r.sums = append(r.sums, running{a, a.New()})
	}
	return r
}

// Read reads from the body.
func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.src.Read(p)
	if n > 0 {
		r.size += int64(n)
		r.md5.Write(p[:n])
		for i := range r.sums {
			r.sums[i].hash.Write(p[:n])
		}
	}
	if err == io.EOF {
		r.eof = true
	}
	return n, err
}

// Result is what a body turned out to be.
type Result struct {
	Size   int64 // bytes
	MD5    [md5.Size]byte
	Values []Value // FULL_OBJECT; the expected algorithm first, then the others asked for
}

// ETag is the MD5 in hex, without quotes.
func (r Result) ETag() string { return hex.EncodeToString(r.MD5[:]) }

// Value returns the checksum of an algorithm that was expected or asked for,
// and the MD5 in any case.
func (r Result) Value(a Algorithm) (Value, bool) {
	for _, v := range r.Values {
		if v.Algorithm == a {
			return v, true
		}
	}
	if a == MD5 {
		return Value{Algorithm: MD5, Sum: r.MD5[:]}, true
	}
	return Value{}, false
}

// Verify compares what was read with what was declared; trailers are those of
// the body (nil when there are none). It may be called only after Read has
// answered io.EOF. The error is BadDigest for a value that does not match and
// InvalidRequest for a trailer that is missing or malformed.
func (r *Reader) Verify(trailers http.Header) (Result, error) {
	if !r.eof {
		return Result{}, errs.E("checksum.Reader.Verify", errs.Other, "called before the body was read to its end")
	}
	res := Result{Size: r.size}
	r.md5.Sum(res.MD5[:0])
	if r.expect.Algorithm == MD5 {
		res.Values = append(res.Values, Value{Algorithm: MD5, Sum: res.MD5[:]})
	}
	for _, s := range r.sums {
		res.Values = append(res.Values, Value{Algorithm: s.algorithm, Sum: s.hash.Sum(nil)})
	}
	if want := r.expect.MD5; want != nil && !bytes.Equal(want, res.MD5[:]) {
		return Result{}, fail(BadDigest, "The Content-MD5 you specified did not match what we received.").
			with("ExpectedDigest", base64.StdEncoding.EncodeToString(want)).
			with("CalculatedDigest", base64.StdEncoding.EncodeToString(res.MD5[:]))
	}
	return res, r.verifyChecksum(trailers, res)
}

func (r *Reader) verifyChecksum(trailers http.Header, res Result) error {
	a := r.expect.Algorithm
	if a == None {
		return nil
	}
	want := r.expect.Sum
	if r.expect.Trailer {
		values := trailers.Values(a.Header())
		if len(values) != 1 {
			return invalidValue(a.Header())
		}
		var ok bool
		if want, ok = decode(values[0], a.Size()); !ok {
			return invalidValue(a.Header())
		}
	}
	got, _ := res.Value(a)
	if !bytes.Equal(got.Sum, want) {
		return Mismatch(a)
	}
	return nil
}

// Mismatch is the BadDigest for a checksum that is not what was calculated.
func Mismatch(a Algorithm) *Error {
	return fail(BadDigest, "The %s you specified did not match the calculated checksum.", a)
}
