package s3

import (
	"encoding/xml"

	"torc/access/s3/checksum"
	"torc/object"
)

type copyResultXML struct {
	XMLName      xml.Name
	Xmlns        string `xml:"xmlns,attr"`
	LastModified string `xml:"LastModified"`
	ETag         string `xml:"ETag"`
	checksumsXML
}

// copyObject is CopyObject: the bytes are read, hashed and stored anew, so that
// a copy shares nothing with its source.
func (c *call) copyObject() error {
	replace, err := c.metadataDirective()
	if err != nil {
		return err
	}
	meta, err := metadataOf(c.r.Header)
	if err != nil {
		return err
	}
	keep, err := requestedAlgorithm(c.r.Header)
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
	src, o, err := c.openSource()
	if err != nil {
		return err
	}
	if src == c.target && !replace && keep == checksum.None {
		return failf("InvalidRequest", "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	if o.Size > CopySourceSizeMax {
		return failf("InvalidRequest", "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120")
	}
	if !replace {
		meta = o.Meta
	}
	if keep == checksum.None {
		keep = algorithmOf(o.Checksums)
	}
	return c.slowly(func() (any, error) {
		body := c.h.cfg.Objects.Open(c.ctx, o, 0, o.Size)
		defer body.Close() // everything was read and verified, or the put failed
		u := newCopy(body, o.Size, keep)
		n, err := c.h.cfg.Objects.Put(c.ctx, object.PutRequest{
			Bucket: c.bucket, Key: c.key, Body: u.objectBody(), Meta: meta, If: cond,
		})
		if err != nil {
			return nil, err
		}
		return copyResultXML{
			XMLName: xml.Name{Local: "CopyObjectResult"}, Xmlns: xmlns,
			LastModified: xmlTime(n.Modified), ETag: quoteETag(n.ETag), checksumsXML: checksumElements(n.Checksums, true),
		}, nil
	})
}

// metadataDirective reports whether the request's metadata replaces the source's.
func (c *call) metadataDirective() (bool, error) {
	switch v := c.r.Header.Get("X-Amz-Metadata-Directive"); v {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	default:
		return false, invalidArgument("x-amz-metadata-directive", v, "Unknown metadata directive.")
	}
}
