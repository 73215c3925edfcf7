package s3

import (
	"encoding/xml"

	"torc/object"
)

type ownerXML struct {
	ID          string `xml:"ID"`
	DisplayName string `xml:"DisplayName,omitempty"`
}

type listBucketsXML struct {
	XMLName           xml.Name   `xml:"ListAllMyBucketsResult"`
	Xmlns             string     `xml:"xmlns,attr"`
	Owner             ownerXML   `xml:"Owner"`
	Buckets           bucketsXML `xml:"Buckets"`
	ContinuationToken string     `xml:"ContinuationToken,omitempty"`
	Prefix            *string    `xml:"Prefix"`
}

type bucketsXML struct {
	Bucket []bucketXML `xml:"Bucket"`
}

type bucketXML struct {
	Name         string `xml:"Name"`
	CreationDate string `xml:"CreationDate"`
	BucketRegion string `xml:"BucketRegion,omitempty"`
}

// self is the caller as owner.
func (c *call) self() ownerXML {
	return ownerXML{ID: c.cred.Account.Canonical, DisplayName: c.cred.Account.Name}
}

// listBuckets is ListBuckets: the caller's own, in name order.
func (c *call) listBuckets() error {
	limit, err := c.intParameter("max-buckets", ListBucketsMax, 1, ListBucketsMax)
	if err != nil {
		return err
	}
	after, err := c.continuation(tokenBuckets, "")
	if err != nil {
		return err
	}
	prefix, err := c.nameParameter("prefix")
	if err != nil {
		return err
	}
	region := c.query.Get("bucket-region")
	doc := listBucketsXML{Xmlns: xmlns, Owner: c.self()}
	if c.query.Has("prefix") {
		doc.Prefix = &prefix
	}
	paged := c.query.Has("max-buckets") || c.query.Has("bucket-region") || c.query.Has("continuation-token")
	more := region == "" || region == c.h.cfg.Region
	for more && len(doc.Buckets.Bucket) < limit {
		var page []object.Bucket
		page, more, err = c.h.cfg.Objects.Buckets(c.ctx, c.owner(), prefix, after, limit-len(doc.Buckets.Bucket))
		if err != nil {
			return err
		}
		for _, b := range page {
			x := bucketXML{Name: string(b.Name), CreationDate: xmlTime(b.Created)}
			if paged {
				x.BucketRegion = c.regionOf(b)
			}
			doc.Buckets.Bucket = append(doc.Buckets.Bucket, x)
			after = string(b.Name)
		}
		if len(page) == 0 {
			more = false
		}
	}
	if more {
		doc.ContinuationToken = makeToken(tokenBuckets, "", after)
	}
	return c.xml(doc)
}
