package checksum

import (
	"net/http"
	"strings"
)

const (
	headerPrefix    = "x-amz-checksum-"
	headerAlgorithm = "X-Amz-Checksum-Algorithm"
	headerType      = "X-Amz-Checksum-Type"
	headerSDK       = "X-Amz-Sdk-Checksum-Algorithm"
	headerTrailer   = "X-Amz-Trailer"
	headerMD5       = "Content-Md5"

	unsupportedText = "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256, SHA512, MD5, XXHASH64, XXHASH3, XXHASH128]"
)

// Expectation is what a request declares about its body. The zero value
// expects nothing.
type Expectation struct {
	Algorithm Algorithm // None when no checksum is declared
	Sum       []byte    // the declared digest; nil when it comes in a trailer
	Trailer   bool      // the digest comes in a trailer
	MD5       []byte    // Content-MD5; nil when not given
}

// Declared reports whether there is any checksum or Content-MD5: some requests
// are refused without.
func (e Expectation) Declared() bool { return e.Algorithm != None || e.MD5 != nil }

// Parse reads the declaration of a request with a body: Content-MD5, one
// x-amz-checksum-* header or one such trailer named in x-amz-trailer, and
// x-amz-sdk-checksum-algorithm, which must agree with it.
func Parse(h http.Header) (Expectation, error) {
	var e Expectation
	var err error
	if e.MD5, err = parseMD5(h); err != nil {
		return Expectation{}, err
	}
	given, err := valueHeaders(h)
	if err != nil {
		return Expectation{}, err
	}
	promised, err := trailerHeader(h)
	if err != nil {
		return Expectation{}, err
	}
	switch {
	case len(given)+len(promised) > 1:
		return Expectation{}, fail(InvalidRequest, "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
	case len(given) == 1:
		e.Algorithm = given[0]
		sum, ok := decode(h.Get(e.Algorithm.Header()), e.Algorithm.Size())
		if !ok {
			return Expectation{}, invalidValue(e.Algorithm.Header())
		}
		e.Sum = sum
	case len(promised) == 1:
		e.Algorithm, e.Trailer = promised[0], true
	}
	if err := checkSDK(h, e); err != nil {
		return Expectation{}, err
	}
	return e, nil
}

func parseMD5(h http.Header) ([]byte, error) {
	values := h[headerMD5]
	if len(values) == 0 {
		return nil, nil
	}
	sum, ok := decode(values[0], MD5.Size())
	if !ok || len(values) > 1 {
		return nil, fail(InvalidDigest, "The Content-MD5 you specified was invalid.").with("Content-MD5", values[0])
	}
	return sum, nil
}

// valueHeaders finds the algorithms of the x-amz-checksum-<algorithm> headers,
// one entry a value.
func valueHeaders(h http.Header) ([]Algorithm, error) {
	var found []Algorithm
	for name, values := range h {
		lower := strings.ToLower(name)
		suffix, ok := strings.CutPrefix(lower, headerPrefix)
		if !ok || suffix == "mode" || suffix == "algorithm" || suffix == "type" {
			continue
		}
		a, ok := ParseAlgorithm(suffix)
		if !ok {
			return nil, fail(InvalidRequest, "The algorithm type you specified in x-amz-checksum- header is invalid.").with("Header", lower)
		}
		for range values {
			found = append(found, a)
		}
	}
	return found, nil
}

func trailerHeader(h http.Header) ([]Algorithm, error) {
	var found []Algorithm
	for _, value := range h[headerTrailer] {
		for name := range strings.SplitSeq(value, ",") {
			suffix, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(name)), headerPrefix)
			a, known := ParseAlgorithm(suffix)
			if !ok || !known {
				return nil, fail(InvalidRequest, "The value specified in the x-amz-trailer header is not supported")
			}
			found = append(found, a)
		}
	}
	return found, nil
}

func checkSDK(h http.Header, e Expectation) error {
	values := h[headerSDK]
	if len(values) == 0 {
		return nil
	}
	a, ok := ParseAlgorithm(values[0])
	switch {
	case !ok || len(values) > 1:
		return fail(InvalidRequest, unsupportedText)
	case e.Algorithm == None && e.MD5 == nil:
		return fail(InvalidRequest, "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
	case e.Algorithm != None && e.Algorithm != a:
		return invalidValue("x-amz-sdk-checksum-algorithm")
	}
	return nil
}

// ParseUpload reads what CreateMultipartUpload declares, with AWS's defaults.
// Algorithm None: the client asked for no checksum.
func ParseUpload(h http.Header) (Algorithm, Type, error) {
	name, kind := h.Get(headerAlgorithm), h.Get(headerType)
	if name == "" {
		if kind != "" {
			return None, 0, fail(InvalidRequest, "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
		}
		return None, 0, nil
	}
	a, ok := ParseAlgorithm(name)
	if !ok {
		return None, 0, fail(InvalidRequest, unsupportedText)
	}
	t := a.DefaultType()
	if kind != "" {
		if t, ok = ParseType(kind); !ok {
			return None, 0, invalidValue("x-amz-checksum-type")
		}
	}
	if !a.Allows(t) {
		return None, 0, fail(InvalidRequest, "The %s checksum type cannot be used with the %s checksum algorithm.", t, strings.ToLower(a.String()))
	}
	return a, t, nil
}

// ParseObject reads the whole object's checksum from the headers of
// CompleteMultipartUpload; false when there is none.
func ParseObject(h http.Header) (Value, bool, error) {
	given, err := valueHeaders(h)
	switch {
	case err != nil || len(given) == 0:
		return Value{}, false, err
	case len(given) > 1:
		return Value{}, false, fail(InvalidRequest, "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
	}
	v, err := ParseValue(given[0], h.Get(given[0].Header()))
	return v, err == nil, err
}
