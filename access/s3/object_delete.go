package s3

import (
	"net/http"

	"torc/object"
)

// deleteObject is DeleteObject: absent is fine, unless If-Match says otherwise.
func (c *call) deleteObject() error {
	for _, name := range []string{"X-Amz-If-Match-Last-Modified-Time", "X-Amz-If-Match-Size"} {
		if c.r.Header.Get(name) != "" {
			return notImplemented(name, "This condition exists for directory buckets only.")
		}
	}
	match, err := deleteCondition(c.r.Header["If-Match"]...)
	if err != nil {
		return err
	}
	if _, err := c.ownBucket(); err != nil {
		return err
	}
	item := object.DeleteItem{Key: c.key, IfMatch: match}
	if err := c.h.cfg.Objects.Delete(c.ctx, c.bucket, item); err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}
