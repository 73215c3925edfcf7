package checksum

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"torc/internal/errs"
)

// Check values of the catalogue of CRCs (reveng), RFC 1321, FIPS 180 and the
// xxHash specification, over "123456789" but for xxHash (over nothing, seed 0).
func TestKnownValues(t *testing.T) {
	for _, c := range []struct {
		a         Algorithm
		in, want  string
		headerEnd string
	}{
		{CRC32, "123456789", "cbf43926", "crc32"},
		{CRC32C, "123456789", "e3069283", "crc32c"},
		{CRC64NVME, "123456789", "ae8b14860a799888", "crc64nvme"},
		{SHA1, "123456789", "f7c3bc1d808e04732adf679965ccc34ca7ae3441", "sha1"},
		{SHA256, "123456789", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225", "sha256"},
		{SHA512, "", "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e", "sha512"},
		{MD5, "123456789", "25f9e794323b453885f5181f1b624d0b", "md5"},
		{XXHASH64, "", "ef46db3751d8e999", "xxhash64"},
		{XXHASH3, "", "2d06800538d394c2", "xxhash3"},
		{XXHASH128, "", "99aa06d3014798d86001c324468d497f", "xxhash128"},
	} {
		h := c.a.New()
		h.Write([]byte(c.in))
		if got := hex.EncodeToString(h.Sum(nil)); got != c.want {
			t.Errorf("%v(%q) = %s, want %s", c.a, c.in, got, c.want)
		}
		if h.Size() != c.a.Size() || len(c.want) != 2*c.a.Size() {
			t.Errorf("%v: size %d, hash says %d", c.a, c.a.Size(), h.Size())
		}
		if c.a.Header() != "x-amz-checksum-"+c.headerEnd {
			t.Errorf("%v: header %s", c.a, c.a.Header())
		}
		if a, ok := ParseAlgorithm(c.headerEnd); !ok || a != c.a {
			t.Errorf("%v does not parse", c.a)
		}
	}
	if len(Algorithms()) != 10 || None.New() != nil || None.String() != "" || None.Size() != 0 || None.Allows(Composite) {
		t.Error("None is an algorithm")
	}
	if _, ok := ParseAlgorithm(""); ok {
		t.Error("an empty name parses")
	}
}

func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

// zeros is the base64 of n zero bytes.
func zeros(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }

func wantCode(t testing.TB, err error, code Code) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code || e.Status != 400 {
		t.Fatalf("got %v, want %s", err, code)
	}
	return e
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name    string
		h       http.Header
		want    Algorithm
		trailer bool
		md5     bool
	}{
		{"nothing", headers(), None, false, false},
		{"Content-MD5", headers("Content-MD5", zeros(16)), None, false, true},
		{"boto3", headers("x-amz-checksum-crc32", zeros(4), "x-amz-sdk-checksum-algorithm", "CRC32"), CRC32, false, false},
		{"value alone", headers("x-amz-checksum-sha256", zeros(32)), SHA256, false, false},
		{"both kinds", headers("x-amz-checksum-sha1", zeros(20), "Content-MD5", zeros(16)), SHA1, false, true},
		{"trailer", headers("x-amz-trailer", "x-amz-checksum-crc64nvme", "x-amz-sdk-checksum-algorithm", "crc64nvme"), CRC64NVME, true, false},
		{"trailer in capitals", headers("x-amz-trailer", "X-Amz-Checksum-Crc32c"), CRC32C, true, false},
		{"mode is no value", headers("x-amz-checksum-mode", "ENABLED"), None, false, false},
		{"upload's headers are no value", headers("x-amz-checksum-algorithm", "CRC32", "x-amz-checksum-type", "COMPOSITE"), None, false, false},
		{"SDK name with Content-MD5", headers("x-amz-sdk-checksum-algorithm", "CRC32", "Content-MD5", zeros(16)), None, false, true},
	} {
		e, err := Parse(c.h)
		if err != nil || e.Algorithm != c.want || e.Trailer != c.trailer || (e.MD5 != nil) != c.md5 {
			t.Errorf("%s: %+v, %v", c.name, e, err)
		}
		if e.Declared() != (c.want != None || c.md5) || (e.Sum != nil) != (c.want != None && !c.trailer) {
			t.Errorf("%s: %+v", c.name, e)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	const single = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
	for _, c := range []struct {
		name string
		h    http.Header
		code Code
		text string
	}{
		{"MD5 junk", headers("Content-MD5", "junk"), InvalidDigest, "The Content-MD5 you specified was invalid."},
		{"MD5 short", headers("Content-MD5", zeros(15)), InvalidDigest, "invalid"},
		{"MD5 empty", headers("Content-MD5", ""), InvalidDigest, "invalid"},
		{"MD5 twice", headers("Content-MD5", zeros(16), "Content-MD5", zeros(16)), InvalidDigest, "invalid"},
		{"MD5 in hex", headers("Content-MD5", strings.Repeat("0", 32)), InvalidDigest, "invalid"},
		{"two algorithms", headers("x-amz-checksum-crc32", zeros(4), "x-amz-checksum-crc32c", zeros(4)), InvalidRequest, single},
		{"one twice", headers("x-amz-checksum-crc32", zeros(4), "x-amz-checksum-crc32", zeros(4)), InvalidRequest, single},
		{"value and trailer", headers("x-amz-checksum-crc32", zeros(4), "x-amz-trailer", "x-amz-checksum-crc32"), InvalidRequest, single},
		{"two trailers", headers("x-amz-trailer", "x-amz-checksum-crc32, x-amz-checksum-sha1"), InvalidRequest, single},
		{"value junk", headers("x-amz-checksum-crc32", "!!"), InvalidRequest, "Value for x-amz-checksum-crc32 header is invalid."},
		{"value of another size", headers("x-amz-checksum-crc32", zeros(8)), InvalidRequest, "Value for x-amz-checksum-crc32 header is invalid."},
		{"value empty", headers("x-amz-checksum-sha1", ""), InvalidRequest, "Value for x-amz-checksum-sha1 header is invalid."},
		{"value composite", headers("x-amz-checksum-crc32", zeros(4)+"-2"), InvalidRequest, "Value for x-amz-checksum-crc32 header is invalid."},
		{"value with loose bits", headers("x-amz-checksum-crc32", "AAAAAB=="), InvalidRequest, "Value for x-amz-checksum-crc32 header is invalid."},
		{"unknown algorithm", headers("x-amz-checksum-crc16", zeros(2)), InvalidRequest, "The algorithm type you specified in x-amz-checksum- header is invalid."},
		{"unknown trailer", headers("x-amz-trailer", "x-amz-meta-a"), InvalidRequest, "The value specified in the x-amz-trailer header is not supported"},
		{"empty trailer", headers("x-amz-trailer", ""), InvalidRequest, "The value specified in the x-amz-trailer header is not supported"},
		{"SDK name unknown", headers("x-amz-sdk-checksum-algorithm", "CRC16"), InvalidRequest, "Checksum algorithm provided is unsupported."},
		{"SDK name alone", headers("x-amz-sdk-checksum-algorithm", "CRC32"), InvalidRequest, "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."},
		{"SDK name of another", headers("x-amz-sdk-checksum-algorithm", "SHA1", "x-amz-checksum-crc32", zeros(4)), InvalidRequest, "Value for x-amz-sdk-checksum-algorithm header is invalid."},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := Parse(c.h)
			if got := wantCode(t, err, c.code); !strings.Contains(got.Message, c.text) || !errs.Is(err, errs.Invalid) {
				t.Errorf("%q", got.Message)
			}
			if e.Declared() {
				t.Errorf("%+v with an error", e)
			}
		})
	}
}

func TestParseUpload(t *testing.T) {
	for _, c := range []struct {
		algorithm, kind string
		a               Algorithm
		t               Type
		refused         bool
	}{
		{"", "", None, 0, false},
		{"CRC32", "", CRC32, Composite, false},
		{"CRC32C", "FULL_OBJECT", CRC32C, FullObject, false},
		{"CRC64NVME", "", CRC64NVME, FullObject, false},
		{"SHA256", "", SHA256, Composite, false},
		{"SHA256", "COMPOSITE", SHA256, Composite, false},
		{"SHA256", "FULL_OBJECT", 0, 0, true},
		{"SHA1", "FULL_OBJECT", 0, 0, true},
		{"CRC64NVME", "COMPOSITE", 0, 0, true},
		{"CRC32", "full_object", 0, 0, true},
		{"CRC16", "", 0, 0, true},
		{"", "COMPOSITE", 0, 0, true},
	} {
		h := http.Header{}
		if c.algorithm != "" {
			h.Set("x-amz-checksum-algorithm", c.algorithm)
		}
		if c.kind != "" {
			h.Set("x-amz-checksum-type", c.kind)
		}
		a, kind, err := ParseUpload(h)
		if c.refused {
			wantCode(t, err, InvalidRequest)
		} else if err != nil || a != c.a || kind != c.t {
			t.Errorf("%+v: %v %v %v", c, a, kind, err)
		}
	}
}

func TestValues(t *testing.T) {
	for _, s := range []string{"AAAAAA==", "AAAAAA==-1", "AAAAAA==-10000"} {
		v, err := ParseValue(CRC32, s)
		if err != nil || v.String() != s || (v.Type == Composite) != strings.Contains(s, "-") {
			t.Errorf("%s: %v, %v", s, v, err)
		}
	}
	for _, s := range []string{"", "AAAAAA", "AAAAAA==-", "AAAAAA==-0", "AAAAAA==-10001", "AAAAAA==-1-1", "AAAAAA==--1", "AAAAAA==\n"} {
		_, err := ParseValue(CRC32, s)
		wantCode(t, err, InvalidRequest)
	}
	v, ok, err := ParseObject(headers("x-amz-checksum-sha1", zeros(20)+"-3"))
	if err != nil || !ok || v.Parts != 3 || v.Algorithm != SHA1 {
		t.Errorf("%v, %v, %v", v, ok, err)
	}
	if _, ok, err := ParseObject(headers("x-amz-checksum-type", "COMPOSITE")); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	_, _, err = ParseObject(headers("x-amz-checksum-sha1", zeros(20), "x-amz-checksum-crc32", zeros(4)))
	wantCode(t, err, InvalidRequest)
	_, ok, err = ParseObject(headers("x-amz-checksum-sha1", "x"))
	wantCode(t, err, InvalidRequest)
	if ok {
		t.Error("a refused value is there")
	}
}

// digest is the base64 of an algorithm over s.
func digest(a Algorithm, s string) string {
	h := a.New()
	h.Write([]byte(s))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func readThrough(t testing.TB, r *Reader) {
	t.Helper()
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Fatal(err)
	}
}

func TestReader(t *testing.T) {
	const content = "some content"
	sum := md5.Sum([]byte(content))
	for _, a := range Algorithms() {
		for _, trailer := range []bool{false, true} {
			h, trailers := headers(a.Header(), digest(a, content), "Content-MD5", digest(MD5, content)), http.Header(nil)
			if trailer {
				h, trailers = headers("x-amz-trailer", a.Header()), headers(a.Header(), digest(a, content))
			}
			e, err := Parse(h)
			if err != nil {
				t.Fatal(err)
			}
			r := NewReader(iotest.HalfReader(strings.NewReader(content)), e, CRC64NVME, a, None)
			readThrough(t, r)
			res, err := r.Verify(trailers)
			if err != nil || res.ETag() != hex.EncodeToString(sum[:]) || res.Size != int64(len(content)) {
				t.Fatalf("%v: %+v, %v", a, res, err)
			}
			for _, b := range []Algorithm{a, CRC64NVME, MD5} {
				if v, ok := res.Value(b); !ok || v.String() != digest(b, content) || v.Type != FullObject {
					t.Errorf("%v of %v: %v, %v", b, a, v, ok)
				}
			}
			if res.Values[0].Algorithm != a || len(res.Values) != 2-btoi(a == CRC64NVME) {
				t.Errorf("%v: values %v", a, res.Values)
			}
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestReaderRefuses(t *testing.T) {
	const md5Text = "The Content-MD5 you specified did not match what we received."
	for _, c := range []struct {
		name     string
		h        http.Header
		trailers http.Header
		code     Code
		text     string
	}{
		{"MD5", headers("Content-MD5", zeros(16)), nil, BadDigest, md5Text},
		{"MD5 before checksum", headers("Content-MD5", zeros(16), "x-amz-checksum-crc32", zeros(4)), nil, BadDigest, md5Text},
		{"CRC32", headers("x-amz-checksum-crc32", zeros(4)), nil, BadDigest, "The CRC32 you specified did not match the calculated checksum."},
		{"SHA256", headers("x-amz-checksum-sha256", zeros(32)), nil, BadDigest, "The SHA256 you specified did not match the calculated checksum."},
		{"MD5 as checksum", headers("x-amz-checksum-md5", zeros(16)), nil, BadDigest, "The MD5 you specified did not match the calculated checksum."},
		{"trailer", headers("x-amz-trailer", "x-amz-checksum-crc32"), headers("x-amz-checksum-crc32", zeros(4)), BadDigest, "The CRC32 you"},
		{"no trailer", headers("x-amz-trailer", "x-amz-checksum-crc32"), nil, InvalidRequest, "Value for x-amz-checksum-crc32 header is invalid."},
		{"other trailer", headers("x-amz-trailer", "x-amz-checksum-crc32"), headers("x-amz-checksum-sha1", zeros(20)), InvalidRequest, "Value for"},
		{"junk trailer", headers("x-amz-trailer", "x-amz-checksum-crc32"), headers("x-amz-checksum-crc32", "x"), InvalidRequest, "Value for"},
		{"trailer twice", headers("x-amz-trailer", "x-amz-checksum-crc32"),
			headers("x-amz-checksum-crc32", zeros(4), "x-amz-checksum-crc32", zeros(4)), InvalidRequest, "Value for"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := Parse(c.h)
			if err != nil {
				t.Fatal(err)
			}
			r := NewReader(strings.NewReader("some content"), e)
			readThrough(t, r)
			_, err = r.Verify(c.trailers)
			if got := wantCode(t, err, c.code); !strings.HasPrefix(got.Message, c.text) {
				t.Errorf("%q", got.Message)
			}
			if errs.Is(err, errs.Corrupt) != (c.code == BadDigest) {
				t.Errorf("kind %v", errs.KindOf(err))
			}
		})
	}
}

func TestVerifyNeedsTheEnd(t *testing.T) {
	r := NewReader(strings.NewReader("abc"), Expectation{})
	if _, err := r.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Verify(nil); !errs.Is(err, errs.Other) {
		t.Errorf("got %v", err)
	}
	broken := NewReader(iotest.ErrReader(errs.Unavailable), Expectation{})
	if _, err := io.ReadAll(broken); !errs.Is(err, errs.Unavailable) {
		t.Errorf("got %v", err)
	}
	if _, err := broken.Verify(nil); err == nil {
		t.Error("a broken body verifies")
	}
}

func TestCombine(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef\x00\xff"), 5000)
	for _, a := range Algorithms() {
		for _, cuts := range [][]int{{0}, {1}, {len(content)}, {5, 5, 70, 70000}, {1, 2, 3, 4, 4096, 65536}} {
			var parts []Part
			var digests []byte
			from := 0
			for _, to := range append(cuts, len(content)) {
				h := a.New()
				h.Write(content[from:to])
				parts = append(parts, Part{h.Sum(nil), int64(to - from)})
				digests = h.Sum(digests)
				from = to
			}
			for _, kind := range []Type{FullObject, Composite} {
				v, err := Combine(a, kind, parts)
				if !a.Allows(kind) {
					wantCode(t, err, InvalidRequest)
					continue
				}
				want, suffix := digest(a, string(content)), 0
				if kind == Composite {
					want, suffix = digest(a, string(digests)), len(parts)
				}
				if err != nil || base64.StdEncoding.EncodeToString(v.Sum) != want || v.Parts != suffix || v.Type != kind {
					t.Errorf("%v %v of %v: %v, %v", a, kind, cuts, v, err)
				}
			}
		}
	}
}

func TestCombineRefuses(t *testing.T) {
	for _, p := range []Part{{nil, 1}, {make([]byte, 3), 1}, {make([]byte, 4), -1}} {
		for _, kind := range []Type{FullObject, Composite} {
			_, err := Combine(CRC32, kind, []Part{{make([]byte, 4), 1}, p})
			wantCode(t, err, InvalidPart)
		}
	}
}

func TestMultipartETag(t *testing.T) {
	a, b := md5.Sum([]byte("a")), md5.Sum([]byte("b"))
	want := md5.Sum(append(a[:], b[:]...))
	if got := MultipartETag([][md5.Size]byte{a, b}); got != hex.EncodeToString(want[:])+"-2" {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("x-amz-checksum-crc32", "AAAAAA==", "CRC32", "", "")
	f.Add("x-amz-checksum-sha1", "x", "", "x-amz-checksum-crc32c,", zeros(16))
	f.Fuzz(func(t *testing.T, name, value, sdk, trailer, contentMD5 string) {
		h := http.Header{}
		for k, v := range map[string]string{name: value, headerSDK: sdk, headerTrailer: trailer, headerMD5: contentMD5} {
			if v != "" {
				h.Add(k, v)
			}
		}
		e, err := Parse(h)
		if err != nil {
			var refused *Error
			if !errors.As(err, &refused) {
				t.Fatalf("%v is not a refusal", err)
			}
			return
		}
		if e.Sum != nil && (len(e.Sum) != e.Algorithm.Size() || e.Trailer) || e.MD5 != nil && len(e.MD5) != md5.Size {
			t.Errorf("%+v", e)
		}
		if v, ok, err := ParseObject(h); err == nil && ok {
			if again, err := ParseValue(v.Algorithm, v.String()); err != nil || again.String() != v.String() {
				t.Errorf("%v does not survive its own form", v)
			}
		}
	})
}

func BenchmarkReader(b *testing.B) {
	content := bytes.Repeat([]byte("x"), 8<<20)
	buf := make([]byte, 256<<10)
	for _, a := range []Algorithm{None, CRC32, CRC64NVME, SHA256} {
		b.Run("MD5+"+a.String(), func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				r := NewReader(bytes.NewReader(content), Expectation{}, a)
				for {
					if _, err := r.Read(buf); err != nil {
						break
					}
				}
				if _, err := r.Verify(nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCombineCRC64(b *testing.B) {
	parts := make([]Part, PartsMax)
	for i := range parts {
		parts[i] = Part{make([]byte, 8), 8<<20 + int64(i)}
	}
	for b.Loop() {
		if _, err := Combine(CRC64NVME, FullObject, parts); err != nil {
			b.Fatal(err)
		}
	}
}
