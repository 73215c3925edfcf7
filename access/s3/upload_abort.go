package s3

import "net/http"

// abortMultipartUpload is AbortMultipartUpload.
func (c *call) abortMultipartUpload() error {
	id, err := c.uploadID()
	if err != nil {
		return err
	}
	if _, err := c.ownBucket(); err != nil {
		return err
	}
	if err := c.h.cfg.Objects.Abort(c.ctx, c.bucket, c.key, id); err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}
