package s3

import (
	"net/http"

	"torc/access/s3/checksum"
	"torc/object"
)

// putObject is PutObject. Everything that can be refused is refused before the
// first byte of the body is read.
func (c *call) putObject() error {
	meta, err := metadataOf(c.r.Header)
	if err != nil {
		return err
	}
	cond, err := writeConditionOf(c.r.Header)
	if err != nil {
		return err
	}
	u, err := c.newUpload(checksum.None)
	if err != nil {
		return err
	}
	if err := c.ownBucketForBody(); err != nil {
		return err
	}
	o, err := c.h.cfg.Objects.Put(c.ctx, object.PutRequest{
		Bucket: c.bucket, Key: c.key, Body: u.objectBody(), Meta: meta, If: cond,
	})
	if err != nil {
		return err
	}
	h := c.w.Header()
	h["Etag"] = []string{quoteETag(o.ETag)}
	writeChecksumHeaders(h, o.Checksums, true)
	return c.empty(http.StatusOK)
}
