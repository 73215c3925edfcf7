package checksum

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// PartsMax is the largest N in a composite value's "-N".
const PartsMax = 10000

// Value is a finished checksum.
type Value struct {
	Algorithm Algorithm
	Type      Type
	Sum       []byte // Algorithm.Size() bytes
	Parts     int    // of a composite value; else 0
}

// String is the form of headers and XML: base64, and "-N" when composite.
func (v Value) String() string {
	s := base64.StdEncoding.EncodeToString(v.Sum)
	if v.Type == Composite {
		s += "-" + strconv.Itoa(v.Parts)
	}
	return s
}

// ParseValue reads a value: base64 of exactly the algorithm's size, with "-N"
// for a composite one. The error is InvalidRequest.
func ParseValue(a Algorithm, s string) (Value, error) {
	v := Value{Algorithm: a}
	text, parts, composite := strings.Cut(s, "-")
	if composite {
		n, err := strconv.ParseUint(parts, 10, 32)
		if err != nil || n < 1 || n > PartsMax {
			return Value{}, invalidValue(a.Header())
		}
		v.Type, v.Parts = Composite, int(n)
	}
	sum, ok := decode(text, a.Size())
	if !ok {
		return Value{}, invalidValue(a.Header())
	}
	v.Sum = sum
	return v, nil
}

// decode reads padded base64 of exactly size bytes.
func decode(s string, size int) ([]byte, bool) {
	if size == 0 || len(s) != base64.StdEncoding.EncodedLen(size) {
		return nil, false
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	return b, err == nil && len(b) == size
}

func invalidValue(header string) *Error {
	return fail(InvalidRequest, "Value for %s header is invalid.", header)
}
