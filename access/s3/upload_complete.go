package s3

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"strconv"

	"torc/access/s3/checksum"
	"torc/internal/errs"
	"torc/object"
)

type completeXML struct {
	XMLName xml.Name          `xml:"CompleteMultipartUpload"`
	Parts   []completePartXML `xml:"Part"`
}

type completePartXML struct {
	PartNumber int    `xml:"PartNumber"`
	ETag       string `xml:"ETag"`
	checksumsXML
}

type completeResultXML struct {
	XMLName  xml.Name `xml:"CompleteMultipartUploadResult"`
	Xmlns    string   `xml:"xmlns,attr"`
	Location string   `xml:"Location"`
	Bucket   string   `xml:"Bucket"`
	Key      string   `xml:"Key"`
	ETag     string   `xml:"ETag"`
	checksumsXML
}

// completion is what a client says of the object it completes.
type completion struct {
	parts    []completePartXML
	size     int64          // x-amz-mp-object-size; -1 when not given
	sum      checksum.Value // x-amz-checksum-*
	hasSum   bool
	sumType  string // x-amz-checksum-type
	uploadID string
}

// completeMultipartUpload is CompleteMultipartUpload.
func (c *call) completeMultipartUpload() error {
	id, err := c.uploadID()
	if err != nil {
		return err
	}
	cond, err := writeConditionOf(c.r.Header)
	if err != nil {
		return err
	}
	if _, err := c.ownBucket(); err != nil {
		return err
	}
	done, err := c.readCompletion()
	if err != nil {
		return err
	}
	done.uploadID = string(id)
	r := object.CompleteRequest{Bucket: c.bucket, Key: c.key, Upload: id, If: cond, Seal: done.seal}
	for _, p := range done.parts {
		r.Parts = append(r.Parts, object.CompletedPart{Number: p.PartNumber, ETag: unquoteETag(p.ETag)})
	}
	return c.slowly(func() (any, error) {
		o, err := c.h.cfg.Objects.Complete(c.ctx, r)
		if err != nil {
			return nil, err
		}
		return completeResultXML{
			Xmlns: xmlns, Location: c.location(), Bucket: string(c.bucket), Key: c.key,
			ETag: quoteETag(o.ETag), checksumsXML: checksumElements(o.Checksums, true),
		}, nil
	})
}

// readCompletion reads the document and the headers that describe the object.
// The checksum header is the object's here, not the document's.
func (c *call) readCompletion() (*completion, error) {
	done := &completion{size: -1, sumType: c.r.Header.Get("X-Amz-Checksum-Type")}
	var err error
	if done.sum, done.hasSum, err = checksum.ParseObject(c.r.Header); err != nil {
		return nil, err
	}
	if v := c.r.Header.Get("X-Amz-Mp-Object-Size"); v != "" {
		if done.size, err = strconv.ParseInt(v, 10, 64); err != nil || done.size < 0 {
			return nil, failf("InvalidRequest", "Value for x-amz-mp-object-size header is invalid.")
		}
	}
	body, err := c.readBody(CompleteXMLMax, false)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return nil, failf("InvalidRequest", "You must specify at least one part")
	}
	var doc completeXML
	if err := decodeXML(body, &doc); err != nil {
		return nil, err
	}
	if len(doc.Parts) == 0 || len(doc.Parts) > object.PartNumberMax {
		return nil, fail("MalformedXML")
	}
	for i, p := range doc.Parts {
		if p.PartNumber < 1 || p.PartNumber > object.PartNumberMax {
			return nil, invalidArgument("PartNumber", itoa(p.PartNumber), "PartNumber must be >= 1 and <= 10000")
		}
		if p.ETag == "" {
			return nil, fail("MalformedXML")
		}
		if i > 0 && p.PartNumber <= doc.Parts[i-1].PartNumber {
			return nil, fail("InvalidPartOrder").with("UploadId", c.query.Get("uploadId"))
		}
	}
	done.parts = doc.Parts
	return done, nil
}

// seal computes the object's ETag and checksum from its stored parts, and holds
// them against everything the client declared.
func (done *completion) seal(u object.Upload, parts []object.Part) (object.Seal, error) {
	if len(parts) != len(done.parts) {
		return object.Seal{}, errs.E("s3: seal upload", errs.Other, "%d parts for %d", len(parts), len(done.parts))
	}
	digests := make([][md5.Size]byte, len(parts))
	sums := make([]checksum.Part, len(parts))
	alg, kind := algorithmOfUpload(u)
	if done.sumType != "" && u.ChecksumAlgorithm != "" && done.sumType != kind.String() {
		return object.Seal{}, failf("InvalidRequest", "The upload was created using the "+kind.String()+
			" checksum mode. The complete request must use the same checksum mode.")
	}
	size := int64(0)
	for i, p := range parts {
		if n, err := hex.Decode(digests[i][:], []byte(p.ETag)); err != nil || n != md5.Size {
			return object.Seal{}, errs.E("s3: seal upload", errs.Corrupt, "part %d has the ETag %q", p.Number, p.ETag)
		}
		if err := done.checkPart(i, p); err != nil {
			return object.Seal{}, err
		}
		sum, ok := sumOf(p.Checksums, alg)
		if !ok {
			return object.Seal{}, errs.E("s3: seal upload", errs.Corrupt, "part %d has no %s", p.Number, alg)
		}
		sums[i] = checksum.Part{Sum: sum, Size: p.Size}
		size += p.Size
	}
	if done.size >= 0 && done.size != size {
		return object.Seal{}, failf("InvalidRequest", "The provided 'x-amz-mp-object-size' header value "+
			strconv.FormatInt(done.size, 10)+" does not match what was computed: "+strconv.FormatInt(size, 10))
	}
	v, err := checksum.Combine(alg, kind, sums)
	if err != nil {
		return object.Seal{}, err
	}
	if err := done.checkSum(v); err != nil {
		return object.Seal{}, err
	}
	return object.Seal{ETag: checksum.MultipartETag(digests), Checksums: []object.Checksum{storedChecksum(v)}}, nil
}

// checkPart holds the checksums that the document gives for a part against the
// stored ones. One in an algorithm that was not kept cannot be checked, and so
// is refused.
func (done *completion) checkPart(i int, p object.Part) error {
	for _, a := range checksum.Algorithms() {
		want := *done.parts[i].slot(a)
		if want == "" {
			continue
		}
		v, err := checksum.ParseValue(a, want)
		if err != nil {
			return err
		}
		if sum, ok := sumOf(p.Checksums, a); !ok || string(sum) != string(v.Sum) {
			return fail("InvalidPart").with("UploadId", done.uploadID).
				with("PartNumber", itoa(p.Number)).with("ETag", p.ETag)
		}
	}
	return nil
}

// checkSum holds the object's declared checksum against the computed one.
func (done *completion) checkSum(v checksum.Value) error {
	if !done.hasSum {
		return nil
	}
	if done.sum.Algorithm != v.Algorithm {
		return failf("InvalidRequest", "The upload was created using the "+v.Algorithm.String()+
			" checksum algorithm. The complete request must use the same algorithm.")
	}
	// The count of parts may be left out of a composite value.
	if string(done.sum.Sum) != string(v.Sum) || done.sum.Parts != 0 && done.sum.Parts != v.Parts {
		return checksum.Mismatch(v.Algorithm)
	}
	return nil
}

// location is the URL of the request's object.
func (c *call) location() string {
	scheme := "http://"
	if c.r.TLS != nil {
		scheme = "https://"
	}
	return scheme + c.r.Host + c.r.URL.EscapedPath()
}
