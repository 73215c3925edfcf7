package s3

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"torc/object"
)

// intParameter reads a number from the query: def when absent or empty, most
// when larger (S3 caps page sizes), InvalidArgument below least.
func (c *call) intParameter(name string, def, least, most int) (int, error) {
	s := c.query.Get(name)
	if s == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0, invalidArgument(name, s, "Provided "+name+" not an integer or within integer range")
	}
	if int(n) < least {
		return 0, invalidArgument(name, s, fmt.Sprintf("Argument %s must be an integer between %d and %d", name, least, 1<<31-1))
	}
	return min(int(n), most), nil
}

// nameParameter reads a name, or a part of one, from the query. What is not
// UTF-8 could not be told back in a document.
func (c *call) nameParameter(name string) (string, error) {
	v := c.query.Get(name)
	if !utf8.ValidString(v) {
		return "", invalidArgument(name, strings.ToValidUTF8(v, "?"), "The value of "+name+" is not valid UTF-8.")
	}
	return v, nil
}

// nameParameters is nameParameter for several.
func (c *call) nameParameters(into map[string]*string) error {
	for name, p := range into {
		v, err := c.nameParameter(name)
		if err != nil {
			return err
		}
		*p = v
	}
	return nil
}

// urlEncoding reports whether the answer's names are to be URL-encoded.
func (c *call) urlEncoding() (bool, error) {
	switch v := c.query.Get("encoding-type"); v {
	case "":
		return false, nil
	case "url":
		return true, nil
	default:
		return false, invalidArgument("encoding-type", v, "Invalid Encoding Method specified in Request")
	}
}

// uploadID reads the uploadId parameter.
func (c *call) uploadID() (object.UploadID, error) {
	id := c.query.Get("uploadId")
	if id == "" || len(id) > UploadIDLenMax {
		return "", fail("NoSuchUpload").with("UploadId", id)
	}
	return object.UploadID(id), nil
}

// partNumber reads a part's number for an upload.
func (c *call) partNumber() (int, error) {
	s := c.query.Get("partNumber")
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > object.PartNumberMax {
		return 0, invalidArgument("partNumber", s, "Part number must be an integer between 1 and 10000, inclusive")
	}
	return n, nil
}
