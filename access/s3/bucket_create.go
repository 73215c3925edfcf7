package s3

import (
	"encoding/xml"

	"torc/internal/errs"
)

type createBucketXML struct {
	XMLName            xml.Name  `xml:"CreateBucketConfiguration"`
	LocationConstraint string    `xml:"LocationConstraint"`
	Location           *struct{} `xml:"Location"`
	Bucket             *struct{} `xml:"Bucket"`
	Tags               *struct{} `xml:"Tags"`
}

// createBucket is CreateBucket. In us-east-1 making a bucket that one owns
// succeeds again, elsewhere it is BucketAlreadyOwnedByYou, as in S3.
func (c *call) createBucket() error {
	body, err := c.readBody(BucketXMLMax, false)
	if err != nil {
		return err
	}
	if len(body) > 0 {
		var doc createBucketXML
		if err := decodeXML(body, &doc); err != nil {
			return err
		}
		if doc.Location != nil || doc.Bucket != nil {
			return failf("NotImplemented", "Directory buckets are not implemented.")
		}
		if doc.Tags != nil {
			return failf("NotImplemented", "Bucket tags are not implemented.")
		}
		if l := doc.LocationConstraint; l != "" && l != c.h.cfg.Region {
			return failf("IllegalLocationConstraintException",
				"The "+l+" location constraint is incompatible for the region specific endpoint this request was sent to.")
		}
	}
	b, err := c.h.cfg.Objects.CreateBucket(c.ctx, c.bucket, c.owner(), c.h.cfg.Region)
	switch {
	case err == nil:
	case !errs.Is(err, errs.Exists):
		return err
	case b.Owner != c.owner():
		return fail("BucketAlreadyExists").with("BucketName", string(c.bucket))
	case c.h.cfg.Region != "us-east-1":
		return fail("BucketAlreadyOwnedByYou").with("BucketName", string(c.bucket))
	}
	c.w.Header().Set("Location", "/"+string(c.bucket))
	return c.empty(200)
}
