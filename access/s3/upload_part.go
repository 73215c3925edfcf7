package s3

import (
	"net/http"

	"torc/object"
)

// uploadPart is UploadPart.
func (c *call) uploadPart() error {
	n, err := c.partNumber()
	if err != nil {
		return err
	}
	up, err := c.openUpload()
	if err != nil {
		return err
	}
	keep, _ := algorithmOfUpload(up)
	u, err := c.newUpload(keep)
	if err != nil {
		return err
	}
	u.keepAll = true // CompleteMultipartUpload may name either
	p, err := c.h.cfg.Objects.PutPart(c.ctx, object.PartRequest{
		Bucket: c.bucket, Key: c.key, Upload: up.ID, Number: n, Body: u.objectBody(),
	})
	if err != nil {
		return err
	}
	c.w.Header()["Etag"] = []string{quoteETag(p.ETag)}
	writeChecksumHeaders(c.w.Header(), p.Checksums, false)
	return c.empty(http.StatusOK)
}
