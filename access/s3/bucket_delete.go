package s3

import "net/http"

// deleteBucket is DeleteBucket.
func (c *call) deleteBucket() error {
	if _, err := c.ownBucket(); err != nil {
		return err
	}
	if err := c.h.cfg.Objects.DeleteBucket(c.ctx, c.bucket); err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}
