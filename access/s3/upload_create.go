package s3

import (
	"encoding/xml"

	"torc/access/s3/checksum"
	"torc/object"
)

type initiateUploadXML struct {
	XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
	Xmlns    string   `xml:"xmlns,attr"`
	Bucket   string   `xml:"Bucket"`
	Key      string   `xml:"Key"`
	UploadID string   `xml:"UploadId"`
}

// createMultipartUpload is CreateMultipartUpload.
func (c *call) createMultipartUpload() error {
	meta, err := metadataOf(c.r.Header)
	if err != nil {
		return err
	}
	alg, kind, err := checksum.ParseUpload(c.r.Header)
	if err != nil {
		return err
	}
	if _, err := c.ownBucket(); err != nil {
		return err
	}
	r := object.UploadRequest{Bucket: c.bucket, Key: c.key, Meta: meta}
	if alg != checksum.None {
		r.ChecksumAlgorithm, r.ChecksumType = alg.String(), kind.String()
		h := c.w.Header()
		h.Set("X-Amz-Checksum-Algorithm", r.ChecksumAlgorithm)
		h.Set("X-Amz-Checksum-Type", r.ChecksumType)
	}
	u, err := c.h.cfg.Objects.CreateUpload(c.ctx, r)
	if err != nil {
		return err
	}
	return c.xml(initiateUploadXML{Xmlns: xmlns, Bucket: string(c.bucket), Key: c.key, UploadID: string(u.ID)})
}

// openUpload returns the upload that the request names, once its bucket is
// known to be the caller's.
func (c *call) openUpload() (object.Upload, error) {
	id, err := c.uploadID()
	if err != nil {
		return object.Upload{}, err
	}
	if _, err := c.ownBucket(); err != nil {
		return object.Upload{}, err
	}
	return c.h.cfg.Objects.Upload(c.ctx, c.bucket, c.key, id)
}

// algorithmOfUpload is the checksum kept of each part: the upload's, or
// CRC64NVME, from which the object's is combined without reading it again.
func algorithmOfUpload(u object.Upload) (checksum.Algorithm, checksum.Type) {
	a, ok := checksum.ParseAlgorithm(u.ChecksumAlgorithm)
	if !ok {
		return checksum.CRC64NVME, checksum.FullObject
	}
	t, ok := checksum.ParseType(u.ChecksumType)
	if !ok {
		t = a.DefaultType()
	}
	return a, t
}
