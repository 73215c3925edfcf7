package s3

import (
	"torc/object"
)

// listing is one page of a bucket and the parameters it was asked with.
type listing struct {
	prefix, delimiter string
	maxKeys           int
	encode            bool // encoding-type=url
	page              object.ListPage
}

// list runs the part that both versions of ListObjects share.
func (c *call) list(after string) (*listing, error) {
	l := &listing{}
	err := c.nameParameters(map[string]*string{"prefix": &l.prefix, "delimiter": &l.delimiter})
	if err != nil {
		return nil, err
	}
	if l.maxKeys, err = c.intParameter("max-keys", object.ListLimitMax, 0, object.ListLimitMax); err != nil {
		return nil, err
	}
	if l.encode, err = c.urlEncoding(); err != nil {
		return nil, err
	}
	if l.maxKeys == 0 {
		_, err := c.ownBucket()
		return l, err
	}
	l.page, err = c.h.cfg.Objects.List(c.ctx, object.ListRequest{
		Bucket: c.bucket, Prefix: l.prefix, Delimiter: l.delimiter, After: after, Limit: l.maxKeys,
	})
	if err != nil {
		return nil, err
	}
	return l, c.mayUse(l.page.Bucket)
}

// last is the greatest name of the page: NextMarker.
func (l *listing) last() string {
	last := ""
	if n := len(l.page.Objects); n > 0 {
		last = l.page.Objects[n-1].Key
	}
	if n := len(l.page.Prefixes); n > 0 {
		last = max(last, l.page.Prefixes[n-1])
	}
	return last
}

// listObjects is ListObjects, version 1.
func (c *call) listObjects() error {
	marker, err := c.nameParameter("marker")
	if err != nil {
		return err
	}
	l, err := c.list(marker)
	if err != nil {
		return err
	}
	w := newListWriter(l)
	defer w.release()
	w.open("ListBucketResult")
	w.text("Name", string(c.bucket))
	w.name("Prefix", l.prefix)
	w.name("Marker", marker)
	if l.page.Truncated && l.delimiter != "" {
		w.name("NextMarker", l.last())
	}
	w.tail(l, c, true)
	return c.document(w.close("ListBucketResult"))
}

// listObjectsV2 is ListObjectsV2.
func (c *call) listObjectsV2() error {
	if v := c.query.Get("list-type"); v != "2" {
		return invalidArgument("list-type", v, "Invalid List Type specified in Request")
	}
	after, err := c.continuation(tokenObjects, string(c.bucket))
	if err != nil {
		return err
	}
	start, err := c.nameParameter("start-after")
	if err != nil {
		return err
	}
	if !c.query.Has("continuation-token") {
		after = start
	}
	l, err := c.list(after)
	if err != nil {
		return err
	}
	w := newListWriter(l)
	defer w.release()
	w.open("ListBucketResult")
	w.text("Name", string(c.bucket))
	w.name("Prefix", l.prefix)
	if c.query.Has("start-after") {
		w.name("StartAfter", start)
	}
	if c.query.Has("continuation-token") {
		w.text("ContinuationToken", c.query.Get("continuation-token"))
	}
	if l.page.Truncated {
		w.text("NextContinuationToken", makeToken(tokenObjects, string(c.bucket), l.page.Next))
	}
	w.number("KeyCount", int64(len(l.page.Objects)+len(l.page.Prefixes)))
	w.tail(l, c, c.query.Get("fetch-owner") == "true")
	return c.document(w.close("ListBucketResult"))
}
