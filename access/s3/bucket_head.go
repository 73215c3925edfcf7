package s3

import "torc/object"

// headBucket is HeadBucket.
func (c *call) headBucket() error {
	b, err := c.h.cfg.Objects.Bucket(c.ctx, c.bucket)
	if err != nil {
		return err
	}
	c.w.Header()["X-Amz-Bucket-Region"] = []string{c.regionOf(b)}
	if err := c.mayUse(b); err != nil {
		return err
	}
	c.w.Header()["Content-Type"] = []string{"application/xml"}
	c.w.WriteHeader(200)
	return nil
}

// regionOf is a bucket's region; records without one are from this endpoint's.
func (c *call) regionOf(b object.Bucket) string {
	if b.Region != "" {
		return b.Region
	}
	return c.h.cfg.Region
}
