package object

import (
	"bytes"
	"strings"

	"torc/internal/codec"
	"torc/internal/errs"
	"torc/meta"
)

// listQuery asks for a page. From, when set, is where to go on in the next
// range (inclusive) and replaces After.
type listQuery struct {
	Bucket    bucketRef
	Prefix    string
	Delimiter string
	After     string
	From      string
	Limit     int
}

func (q *listQuery) code(c *coder) {
	q.Bucket.code(c)
	codec.Text(c, &q.Prefix)
	codec.Text(c, &q.Delimiter)
	codec.Text(c, &q.After)
	codec.Text(c, &q.From)
	codec.Number(c, &q.Limit)
}

// listReply is a page in the order of keys.
type listReply struct {
	Bucket Bucket
	Count  int
	Raw    []byte // Count times: flag "is a common prefix", key, and for objects the head
	More   bool   // the limit was reached and there is more
	Resume string // the range ended: go on from here; "" at the end of the bucket
}

func (r *listReply) code(c *coder) {
	r.Bucket.code(c)
	codec.Number(c, &r.Count)
	c.Bytes(&r.Raw)
	c.Flag(&r.More)
	codec.Text(c, &r.Resume)
}

// rollup returns the common prefix that key belongs to, nil if to none.
func rollup(key []byte, prefixLen int, delimiter []byte) []byte {
	if len(delimiter) == 0 || len(key) < prefixLen {
		return nil
	}
	i := bytes.Index(key[prefixLen:], delimiter)
	if i < 0 {
		return nil
	}
	return key[:prefixLen+i+len(delimiter)]
}

// pageStart returns the first plain key that can be on a page: past the common
// prefix that after is or lies in (it was listed, or is not to be), past after
// itself, and not before prefix.
func pageStart(b BucketID, prefix, delimiter, after string) []byte {
	start := objectKey(b, prefix)
	if after == "" {
		return start
	}
	next := append(objectKey(b, after), 0)
	if len(after) >= len(prefix) && after[:len(prefix)] == prefix {
		if group := rollup([]byte(after), len(prefix), []byte(delimiter)); group != nil {
			next = meta.PrefixEnd(objectKey(b, string(group)))
		}
	}
	if bytes.Compare(next, start) > 0 {
		return next
	}
	return start
}

// evalList does work proportional to the page: heads are copied without being
// decoded, and a common prefix is skipped by one seek however much it holds.
func evalList(txn meta.Txn, q *listQuery, r *listReply) (err error) {
	if r.Bucket, err = openBucket(txn, q.Bucket); err != nil {
		return err
	}
	if q.Limit > ListLimitMax {
		return errs.E("object.list", errs.Invalid, "limit %d, at most %d", q.Limit, ListLimitMax)
	}
	if q.Limit == 0 {
		return nil
	}
	span := meta.Span{
		From: pageStart(q.Bucket.ID, q.Prefix, q.Delimiter, q.After),
		To:   meta.PrefixEnd(objectKey(q.Bucket.ID, q.Prefix)),
	}
	if q.From != "" {
		span.From = objectKey(q.Bucket.ID, q.From)
	}
	out := make([]byte, 0, 128*q.Limit)
	for span.From != nil && bytes.Compare(span.From, span.To) < 0 {
		group, err := listRun(txn, span, q, r, &out)
		if err != nil {
			return err
		}
		if group == nil {
			break
		}
		span.From = meta.PrefixEnd(objectKey(q.Bucket.ID, string(group)))
	}
	r.Raw = out
	if !r.More {
		r.Resume = resume(txn.Range().To, span.From, span.To)
	}
	return nil
}

// resume returns the object key at which the next range's part of a listing
// begins: the end of this range, or next when a common prefix that was listed
// reaches beyond it. "" when the listing ends at stop or before.
func resume(end, next, stop []byte) string {
	if end == nil {
		return ""
	}
	if bytes.Compare(next, end) > 0 {
		end = next
	}
	if bytes.Compare(end, stop) >= 0 || len(end) <= bucketPrefixLen {
		return ""
	}
	return string(end[bucketPrefixLen:])
}

// listRun lists from span.From to the page's end or to the end of the first
// common prefix it meets, which it returns.
func listRun(txn meta.Txn, span meta.Span, q *listQuery, r *listReply, out *[]byte) (group []byte, err error) {
	var bad error
	delimiter := []byte(q.Delimiter)
	err = txn.Scan(span, func(k, v []byte) bool {
		if r.Count >= q.Limit {
			r.More = true
			return false
		}
		key := k[bucketPrefixLen:]
		if g := rollup(key, len(q.Prefix), delimiter); g != nil {
			group = bytes.Clone(g)
			*out = codec.AppendBytes(append(*out, 1), g)
			r.Count++
			return false
		}
		var head []byte
		if head, bad = headBytes(v); bad != nil {
			return false
		}
		*out = codec.AppendBytes(codec.AppendBytes(append(*out, 0), key), head)
		r.Count++
		return true
	})
	return group, firstError(err, bad)
}

// uploadsQuery asks for a page of uploads. From as in listQuery.
type uploadsQuery struct {
	Bucket      bucketRef
	Prefix      string
	Delimiter   string
	AfterKey    string
	AfterUpload UploadID
	From        string
	Limit       int
}

func (q *uploadsQuery) code(c *coder) {
	q.Bucket.code(c)
	codec.Text(c, &q.Prefix)
	codec.Text(c, &q.Delimiter)
	codec.Text(c, &q.AfterKey)
	codec.Text(c, &q.AfterUpload)
	codec.Text(c, &q.From)
	codec.Number(c, &q.Limit)
}

// uploadEntry is an upload, or a common prefix when Upload is "".
type uploadEntry struct {
	Key    string
	Upload UploadID
	Record uploadRecord
}

type uploadsReply struct {
	Entries []uploadEntry
	More    bool
	Resume  string
}

func (r *uploadsReply) code(c *coder) {
	codec.List(c, &r.Entries, func(c *coder, e *uploadEntry) {
		codec.Text(c, &e.Key)
		codec.Text(c, &e.Upload)
		e.Record.code(c)
	})
	c.Flag(&r.More)
	codec.Text(c, &r.Resume)
}

// uploadsStart returns where a page of uploads begins: as the first plain key
// that can be on it, and as a key of the uploads' table.
func uploadsStart(q *uploadsQuery) (plain, local []byte) {
	if plain = objectKey(q.Bucket.ID, q.From); q.From == "" {
		plain = pageStart(q.Bucket.ID, q.Prefix, q.Delimiter, q.AfterKey)
		within := strings.HasPrefix(q.AfterKey, q.Prefix) && rollup([]byte(q.AfterKey), len(q.Prefix), []byte(q.Delimiter)) == nil
		if within && q.AfterUpload != "" { // further uploads of the same key
			plain = objectKey(q.Bucket.ID, q.AfterKey)
			return plain, append(uploadKey(plain, q.AfterUpload), 0)
		}
	}
	return plain, meta.LocalSpan(localUpload, plain, nil).From
}

func evalUploadList(txn meta.Txn, q *uploadsQuery, r *uploadsReply) error {
	if _, err := openBucket(txn, q.Bucket); err != nil {
		return err
	}
	if q.Limit > ListLimitMax {
		return errs.E("object.uploads", errs.Invalid, "limit %d, at most %d", q.Limit, ListLimitMax)
	}
	if q.Limit == 0 {
		return nil
	}
	end := meta.PrefixEnd(objectKey(q.Bucket.ID, q.Prefix))
	span := meta.LocalSpan(localUpload, nil, end)
	next, from := uploadsStart(q) // where the listing goes on, in both key spaces
	span.From = from
	for bytes.Compare(span.From, span.To) < 0 {
		group, err := uploadRun(txn, span, q, r)
		if err != nil {
			return err
		}
		if group == "" {
			break
		}
		next = meta.PrefixEnd(objectKey(q.Bucket.ID, group))
		span.From = meta.LocalSpan(localUpload, next, nil).From
	}
	if !r.More {
		r.Resume = resume(txn.Range().To, next, end)
	}
	return nil
}

func uploadRun(txn meta.Txn, span meta.Span, q *uploadsQuery, r *uploadsReply) (group string, err error) {
	var bad error
	err = txn.Scan(span, func(k, v []byte) bool {
		if len(r.Entries) >= q.Limit {
			r.More = true
			return false
		}
		var anchor, suffix []byte
		if _, anchor, suffix, bad = meta.SplitLocalKey(k); bad != nil {
			return false
		}
		e := uploadEntry{Upload: UploadID(suffix)}
		if _, e.Key, bad = splitAnchor(anchor); bad != nil {
			return false
		}
		if g := rollup([]byte(e.Key), len(q.Prefix), []byte(q.Delimiter)); g != nil {
			group = string(g)
			r.Entries = append(r.Entries, uploadEntry{Key: group})
			return false
		}
		if bad = decode("upload", v, &e.Record); bad != nil {
			return false
		}
		r.Entries = append(r.Entries, e)
		return true
	})
	return group, firstError(err, bad)
}
