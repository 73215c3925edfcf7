package s3

import (
	"encoding/xml"

	"torc/internal/errs"
	"torc/object"
)

type deleteXML struct {
	XMLName xml.Name        `xml:"Delete"`
	Quiet   bool            `xml:"Quiet"`
	Objects []deleteItemXML `xml:"Object"`
}

type deleteItemXML struct {
	Key          string   `xml:"Key"`
	VersionID    string   `xml:"VersionId"`
	ETag         []string `xml:"ETag"`
	LastModified *string  `xml:"LastModifiedTime"`
	Size         *string  `xml:"Size"`
}

type deleteResultXML struct {
	XMLName xml.Name         `xml:"DeleteResult"`
	Xmlns   string           `xml:"xmlns,attr"`
	Deleted []deletedXML     `xml:"Deleted"`
	Errors  []deleteErrorXML `xml:"Error"`
}

type deletedXML struct {
	Key       string `xml:"Key"`
	VersionID string `xml:"VersionId,omitempty"`
}

type deleteErrorXML struct {
	Key       string `xml:"Key"`
	VersionID string `xml:"VersionId,omitempty"`
	Code      Code   `xml:"Code"`
	Message   string `xml:"Message"`
}

// deleteObjects is DeleteObjects: each key on its own, and its own outcome.
func (c *call) deleteObjects() error {
	if _, err := c.ownBucket(); err != nil {
		return err
	}
	body, err := c.readBody(DeleteXMLMax, true)
	if err != nil {
		return err
	}
	var doc deleteXML
	if err := decodeXML(body, &doc); err != nil {
		return err
	}
	if len(doc.Objects) == 0 || len(doc.Objects) > object.DeleteManyMax {
		return fail("MalformedXML")
	}
	out := deleteResultXML{Xmlns: xmlns}
	var items []object.DeleteItem
	versions := map[string]string{}
	for _, o := range doc.Objects {
		match, err := checkDeleteItem(o)
		if err != nil {
			out.addError(o.Key, o.VersionID, answerFor(err, c))
			continue
		}
		if o.VersionID != "" {
			versions[o.Key] = o.VersionID
		}
		items = append(items, object.DeleteItem{Key: o.Key, IfMatch: match})
	}
	if len(items) > 0 {
		results, err := c.h.cfg.Objects.DeleteMany(c.ctx, c.bucket, items)
		if err != nil {
			return err
		}
		if len(results) != len(items) {
			return errs.E("s3.DeleteObjects", errs.Other, "%d results for %d keys", len(results), len(items))
		}
		for i, r := range results {
			key := items[i].Key
			if r.Err != nil {
				out.addError(key, versions[key], answerFor(r.Err, c))
			} else if !doc.Quiet {
				out.Deleted = append(out.Deleted, deletedXML{key, versions[key]})
			}
		}
	}
	return c.xml(out)
}

func (d *deleteResultXML) addError(key, version string, e *apiError) {
	d.Errors = append(d.Errors, deleteErrorXML{Key: key, VersionID: version, Code: e.Code, Message: e.message()})
}

// checkDeleteItem refuses what one key may not ask for, and returns its condition.
func checkDeleteItem(o deleteItemXML) (match string, err error) {
	switch {
	case o.Key == "":
		return "", failf("UserKeyMustBeSpecified", "The bucket POST must contain the specified field name. If it is specified, check the order of the fields.")
	case o.VersionID != "" && o.VersionID != "null":
		return "", failf("NoSuchVersion", "The version ID specified in the request does not match an existing version.")
	case o.LastModified != nil || o.Size != nil:
		return "", failf("NotImplemented", "Deleting by time or size exists for directory buckets only.")
	}
	if match, err = deleteCondition(o.ETag...); err != nil {
		return "", err
	}
	return match, checkKey(o.Key)
}
