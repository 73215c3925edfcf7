package s3

import (
	"encoding/xml"

	"torc/object"
)

type listUploadsXML struct {
	XMLName            xml.Name    `xml:"ListMultipartUploadsResult"`
	Xmlns              string      `xml:"xmlns,attr"`
	Bucket             string      `xml:"Bucket"`
	KeyMarker          string      `xml:"KeyMarker"`
	UploadIDMarker     string      `xml:"UploadIdMarker"`
	NextKeyMarker      string      `xml:"NextKeyMarker,omitempty"`
	NextUploadIDMarker string      `xml:"NextUploadIdMarker,omitempty"`
	Prefix             string      `xml:"Prefix"`
	Delimiter          string      `xml:"Delimiter,omitempty"`
	EncodingType       string      `xml:"EncodingType,omitempty"`
	MaxUploads         int         `xml:"MaxUploads"`
	IsTruncated        bool        `xml:"IsTruncated"`
	Uploads            []uploadXML `xml:"Upload"`
	Prefixes           []prefixXML `xml:"CommonPrefixes"`
}

type uploadXML struct {
	Key               string   `xml:"Key"`
	UploadID          string   `xml:"UploadId"`
	Initiator         ownerXML `xml:"Initiator"`
	Owner             ownerXML `xml:"Owner"`
	StorageClass      string   `xml:"StorageClass"`
	Initiated         string   `xml:"Initiated"`
	ChecksumAlgorithm string   `xml:"ChecksumAlgorithm,omitempty"`
	ChecksumType      string   `xml:"ChecksumType,omitempty"`
}

type prefixXML struct {
	Prefix string `xml:"Prefix"`
}

// listMultipartUploads is ListMultipartUploads.
func (c *call) listMultipartUploads() error {
	limit, err := c.intParameter("max-uploads", object.ListLimitMax, 0, object.ListLimitMax)
	if err != nil {
		return err
	}
	encode, err := c.urlEncoding()
	if err != nil {
		return err
	}
	if _, err := c.ownBucket(); err != nil {
		return err
	}
	r := object.UploadsRequest{Bucket: c.bucket, Limit: limit}
	err = c.nameParameters(map[string]*string{"prefix": &r.Prefix, "delimiter": &r.Delimiter, "key-marker": &r.AfterKey})
	if err != nil {
		return err
	}
	if r.AfterKey != "" { // without a key the upload marker is ignored
		r.AfterUpload = object.UploadID(c.query.Get("upload-id-marker"))
	}
	var page object.UploadsPage
	if limit > 0 {
		if page, err = c.h.cfg.Objects.Uploads(c.ctx, r); err != nil {
			return err
		}
	}
	name := func(s string) string {
		if encode {
			return string(appendURL(nil, s))
		}
		return s
	}
	doc := listUploadsXML{
		Xmlns: xmlns, Bucket: string(c.bucket), KeyMarker: name(r.AfterKey), UploadIDMarker: string(r.AfterUpload),
		Prefix: name(r.Prefix), Delimiter: name(r.Delimiter), MaxUploads: limit, IsTruncated: page.Truncated,
	}
	if encode {
		doc.EncodingType = "url"
	}
	if page.Truncated {
		doc.NextKeyMarker, doc.NextUploadIDMarker = name(page.NextKey), string(page.NextUpload)
	}
	for _, u := range page.Uploads {
		doc.Uploads = append(doc.Uploads, uploadXML{
			Key: name(u.Key), UploadID: string(u.ID), Initiator: c.self(), Owner: c.self(), StorageClass: "STANDARD",
			Initiated: xmlTime(u.Started), ChecksumAlgorithm: u.ChecksumAlgorithm, ChecksumType: u.ChecksumType,
		})
	}
	for _, p := range page.Prefixes {
		doc.Prefixes = append(doc.Prefixes, prefixXML{name(p)})
	}
	return c.xml(doc)
}
