package s3

import (
	"net/http"

	"torc/access/s3/checksum"
	"torc/object"
)

// checksumsXML are the checksum elements of documents, both ways. An object has
// one of them.
type checksumsXML struct {
	CRC32     string `xml:"ChecksumCRC32,omitempty"`
	CRC32C    string `xml:"ChecksumCRC32C,omitempty"`
	CRC64NVME string `xml:"ChecksumCRC64NVME,omitempty"`
	SHA1      string `xml:"ChecksumSHA1,omitempty"`
	SHA256    string `xml:"ChecksumSHA256,omitempty"`
	SHA512    string `xml:"ChecksumSHA512,omitempty"`
	MD5       string `xml:"ChecksumMD5,omitempty"`
	XXHASH64  string `xml:"ChecksumXXHASH64,omitempty"`
	XXHASH3   string `xml:"ChecksumXXHASH3,omitempty"`
	XXHASH128 string `xml:"ChecksumXXHASH128,omitempty"`
	Type      string `xml:"ChecksumType,omitempty"`
}

// slot is the element of an algorithm.
func (x *checksumsXML) slot(a checksum.Algorithm) *string {
	switch a {
	case checksum.CRC32:
		return &x.CRC32
	case checksum.CRC32C:
		return &x.CRC32C
	case checksum.CRC64NVME:
		return &x.CRC64NVME
	case checksum.SHA1:
		return &x.SHA1
	case checksum.SHA256:
		return &x.SHA256
	case checksum.SHA512:
		return &x.SHA512
	case checksum.MD5:
		return &x.MD5
	case checksum.XXHASH64:
		return &x.XXHASH64
	case checksum.XXHASH3:
		return &x.XXHASH3
	case checksum.XXHASH128:
		return &x.XXHASH128
	}
	return nil
}

// checksumElements renders stored checksums.
func checksumElements(sums []object.Checksum, withType bool) checksumsXML {
	var x checksumsXML
	for _, s := range sums {
		a, _ := checksum.ParseAlgorithm(s.Algorithm)
		if p := x.slot(a); p != nil {
			*p = s.Value
			if withType {
				x.Type = s.Type
			}
		}
	}
	return x
}

// requestedAlgorithm reads x-amz-checksum-algorithm of a copy.
func requestedAlgorithm(h http.Header) (checksum.Algorithm, error) {
	v := h.Get("X-Amz-Checksum-Algorithm")
	if v == "" {
		return checksum.None, nil
	}
	a, ok := checksum.ParseAlgorithm(v)
	if !ok {
		return checksum.None, invalidArgument("x-amz-checksum-algorithm", v, "Checksum algorithm provided is unsupported.")
	}
	return a, nil
}

// algorithmOf is the algorithm of the first stored checksum, None without.
func algorithmOf(sums []object.Checksum) checksum.Algorithm {
	for _, s := range sums {
		if a, ok := checksum.ParseAlgorithm(s.Algorithm); ok {
			return a
		}
	}
	return checksum.None
}

// sumOf returns the digest of a stored checksum of an algorithm.
func sumOf(sums []object.Checksum, a checksum.Algorithm) ([]byte, bool) {
	for _, s := range sums {
		if s.Algorithm == a.String() {
			v, err := checksum.ParseValue(a, s.Value)
			return v.Sum, err == nil
		}
	}
	return nil, false
}
