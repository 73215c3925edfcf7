package s3

import (
	"encoding/xml"

	"torc/object"
)

// uploadPartCopy is UploadPartCopy.
func (c *call) uploadPartCopy() error {
	n, err := c.partNumber()
	if err != nil {
		return err
	}
	up, err := c.openUpload()
	if err != nil {
		return err
	}
	_, o, err := c.openSource()
	if err != nil {
		return err
	}
	s := span{0, o.Size}
	if r := c.r.Header.Get("X-Amz-Copy-Source-Range"); r != "" {
		if s, err = parseCopyRange(r, o.Size); err != nil {
			return err
		}
	}
	if s.n > CopySourceSizeMax {
		return tooLarge(s.n, CopySourceSizeMax)
	}
	keep, _ := algorithmOfUpload(up)
	return c.slowly(func() (any, error) {
		body := c.h.cfg.Objects.Open(c.ctx, o, s.off, s.n)
		defer body.Close() // everything was read and verified, or the put failed
		u := newCopy(body, s.n, keep)
		p, err := c.h.cfg.Objects.PutPart(c.ctx, object.PartRequest{
			Bucket: c.bucket, Key: c.key, Upload: up.ID, Number: n, Body: u.objectBody(),
		})
		if err != nil {
			return nil, err
		}
		return copyResultXML{
			XMLName: xml.Name{Local: "CopyPartResult"}, Xmlns: xmlns,
			LastModified: xmlTime(p.Modified), ETag: quoteETag(p.ETag), checksumsXML: checksumElements(p.Checksums, false),
		}, nil
	})
}
