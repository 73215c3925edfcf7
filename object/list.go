package object

import (
	"context"

	"torc/internal/codec"
	"torc/internal/errs"
)

// List returns a page of a bucket; its cost depends on the page alone.
func (s *Service) List(ctx context.Context, r ListRequest) (ListPage, error) {
	const op = "object.List"
	if r.Limit < 0 || r.Limit > ListLimitMax {
		return ListPage{}, errs.E(op, errs.Invalid, "limit %d: 0 to %d", r.Limit, ListLimitMax)
	}
	if err := checkListing(op, r.Prefix, r.Delimiter, r.After); err != nil {
		return ListPage{}, err
	}
	var page ListPage
	q := listQuery{Prefix: r.Prefix, Delimiter: r.Delimiter, After: r.After, Limit: r.Limit}
	for full := false; ; {
		var reply listReply
		err := s.withBucket(ctx, r.Bucket, func(ref bucketRef) error {
			q.Bucket = ref
			route := objectKey(ref.ID, q.From)
			if q.From == "" {
				route = pageStart(ref.ID, q.Prefix, q.Delimiter, q.After)
			}
			return query(ctx, s.db, kindList, route, &q, &reply)
		})
		if err != nil {
			return ListPage{}, errs.Wrap(op, err)
		}
		page.Bucket = reply.Bucket
		if full { // the page was full at the end of a range: is there anything beyond?
			reply.More = reply.Count > 0
			reply.Count = 0
		}
		if err := page.add(&reply); err != nil {
			return ListPage{}, errs.Wrap(op, err)
		}
		page.Truncated = reply.More
		if reply.More || reply.Resume == "" || r.Limit == 0 {
			break
		}
		if q.Limit -= reply.Count; q.Limit <= 0 {
			full, q.Limit = true, 1
		}
		q.From = reply.Resume
	}
	if !page.Truncated {
		page.Next = ""
	}
	return page, nil
}

func checkListing(op, prefix, delimiter, after string) error {
	for _, s := range []string{prefix, delimiter, after} {
		if len(s) > KeyLenMax {
			return fail(KeyTooLong, errs.Invalid, op, "%d bytes, at most %d", len(s), KeyLenMax)
		}
	}
	return nil
}

// add appends a reply's entries and sets Next to the last of them.
func (p *ListPage) add(r *listReply) error {
	c := codec.Reader(string(r.Raw))
	if p.Objects == nil {
		p.Objects = make([]Object, 0, r.Count)
	}
	var h objectHead
	for range r.Count {
		var (
			isPrefix  bool
			key, head string
		)
		c.Flag(&isPrefix)
		codec.Text(&c, &key)
		if p.Next = key; isPrefix {
			p.Prefixes = append(p.Prefixes, key)
			continue
		}
		if codec.Text(&c, &head); c.Err() != nil {
			return c.Err()
		}
		h.Checksums = nil // not to be shared between objects
		if err := decodeString("object head", head, &h); err != nil {
			return err
		}
		p.Objects = append(p.Objects, h.object(key))
	}
	return c.Err()
}

// Uploads lists a bucket's uploads.
func (s *Service) Uploads(ctx context.Context, r UploadsRequest) (UploadsPage, error) {
	const op = "object.Uploads"
	if r.Limit < 0 || r.Limit > ListLimitMax {
		return UploadsPage{}, errs.E(op, errs.Invalid, "limit %d: 0 to %d", r.Limit, ListLimitMax)
	}
	if err := checkListing(op, r.Prefix, r.Delimiter, r.AfterKey); err != nil {
		return UploadsPage{}, err
	}
	q := uploadsQuery{Prefix: r.Prefix, Delimiter: r.Delimiter, AfterKey: r.AfterKey, AfterUpload: r.AfterUpload, Limit: r.Limit}
	if q.AfterKey == "" || !validUploadID(q.AfterUpload) {
		q.AfterUpload = "" // an upload marker without a key marker says nothing
	}
	var page UploadsPage
	for full := false; ; {
		var reply uploadsReply
		err := s.withBucket(ctx, r.Bucket, func(ref bucketRef) error {
			q.Bucket = ref
			return query(ctx, s.db, kindUploadList, objectKey(ref.ID, max(q.From, q.Prefix, q.AfterKey)), &q, &reply)
		})
		if err != nil {
			return UploadsPage{}, errs.Wrap(op, err)
		}
		if full {
			reply.More = len(reply.Entries) > 0
			reply.Entries = nil
		}
		for _, e := range reply.Entries {
			page.NextKey, page.NextUpload = e.Key, e.Upload
			if e.Upload == "" {
				page.Prefixes = append(page.Prefixes, e.Key)
				continue
			}
			page.Uploads = append(page.Uploads, e.Record.upload(e.Key, e.Upload))
		}
		page.Truncated = reply.More
		if reply.More || reply.Resume == "" || r.Limit == 0 {
			break
		}
		if q.Limit -= len(reply.Entries); q.Limit <= 0 {
			full, q.Limit = true, 1
		}
		q.From = reply.Resume
	}
	if !page.Truncated {
		page.NextKey, page.NextUpload = "", ""
	}
	return page, nil
}
