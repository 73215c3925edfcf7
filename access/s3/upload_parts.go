package s3

import (
	"encoding/xml"

	"torc/object"
)

type listPartsXML struct {
	XMLName              xml.Name  `xml:"ListPartsResult"`
	Xmlns                string    `xml:"xmlns,attr"`
	Bucket               string    `xml:"Bucket"`
	Key                  string    `xml:"Key"`
	UploadID             string    `xml:"UploadId"`
	Initiator            ownerXML  `xml:"Initiator"`
	Owner                ownerXML  `xml:"Owner"`
	StorageClass         string    `xml:"StorageClass"`
	PartNumberMarker     int       `xml:"PartNumberMarker"`
	NextPartNumberMarker int       `xml:"NextPartNumberMarker"`
	MaxParts             int       `xml:"MaxParts"`
	IsTruncated          bool      `xml:"IsTruncated"`
	ChecksumAlgorithm    string    `xml:"ChecksumAlgorithm,omitempty"`
	ChecksumType         string    `xml:"ChecksumType,omitempty"`
	Parts                []partXML `xml:"Part"`
}

type partXML struct {
	PartNumber   int    `xml:"PartNumber"`
	LastModified string `xml:"LastModified"`
	ETag         string `xml:"ETag"`
	Size         int64  `xml:"Size"`
	checksumsXML
}

// listParts is ListParts.
func (c *call) listParts() error {
	id, err := c.uploadID()
	if err != nil {
		return err
	}
	limit, err := c.intParameter("max-parts", object.ListLimitMax, 0, object.ListLimitMax)
	if err != nil {
		return err
	}
	after, err := c.intParameter("part-number-marker", 0, 0, object.PartNumberMax)
	if err != nil {
		return err
	}
	if _, err := c.ownBucket(); err != nil {
		return err
	}
	page, err := c.h.cfg.Objects.Parts(c.ctx, c.bucket, c.key, id, after, limit)
	if err != nil {
		return err
	}
	doc := listPartsXML{
		Xmlns: xmlns, Bucket: string(c.bucket), Key: c.key, UploadID: string(id),
		Initiator: c.self(), Owner: c.self(), StorageClass: "STANDARD",
		PartNumberMarker: after, MaxParts: limit, IsTruncated: page.Truncated,
		ChecksumAlgorithm: page.Upload.ChecksumAlgorithm, ChecksumType: page.Upload.ChecksumType,
	}
	for _, p := range page.Parts {
		x := partXML{PartNumber: p.Number, LastModified: xmlTime(p.Modified), ETag: quoteETag(p.ETag), Size: p.Size}
		if page.Upload.ChecksumAlgorithm != "" {
			x.checksumsXML = checksumElements(p.Checksums, false)
		}
		doc.Parts = append(doc.Parts, x)
		doc.NextPartNumberMarker = p.Number
	}
	return c.xml(doc)
}
