package object

import (
	"bytes"

	"torc/internal/codec"
	"torc/internal/errs"
	"torc/meta"
)

// The kinds of commands, as they travel.
const (
	kindBucketCreate  meta.Kind = "object.bucket.create"
	kindBucketGet     meta.Kind = "object.bucket.get"
	kindBucketList    meta.Kind = "object.bucket.list"
	kindBucketDelete  meta.Kind = "object.bucket.delete"
	kindPut           meta.Kind = "object.put"
	kindStat          meta.Kind = "object.stat"
	kindDelete        meta.Kind = "object.delete"
	kindList          meta.Kind = "object.list"
	kindUploadCreate  meta.Kind = "object.upload.create"
	kindUploadGet     meta.Kind = "object.upload.get"
	kindUploadList    meta.Kind = "object.upload.list"
	kindUploadAbort   meta.Kind = "object.upload.abort"
	kindPartPut       meta.Kind = "object.part.put"
	kindPartList      meta.Kind = "object.part.list"
	kindComplete      meta.Kind = "object.complete"
	kindRefs          meta.Kind = "object.refs"
	kindDiscard       meta.Kind = "object.discard"
	kindPurgeScan     meta.Kind = "object.purge.scan"
	kindPurgeDone     meta.Kind = "object.purge.done"
	kindOutcomeExpire meta.Kind = "object.outcome.expire"
	kindDebtScan      meta.Kind = "object.debt.scan"
	kindDebtSettle    meta.Kind = "object.debt.settle"
	kindSessionOpen   meta.Kind = "object.session.open"
	kindSessionClose  meta.Kind = "object.session.close"
	kindSessionList   meta.Kind = "object.session.list"
	kindSessionSwept  meta.Kind = "object.session.swept"
)

// Handlers returns what the database must evaluate for this package.
func Handlers() []meta.Handler {
	return []meta.Handler{
		define(kindBucketCreate, false, evalBucketCreate),
		define(kindBucketGet, true, evalBucketGet),
		define(kindBucketList, true, evalBucketList),
		define(kindBucketDelete, false, evalBucketDelete),
		define(kindPut, false, evalPut),
		define(kindStat, true, evalStat),
		define(kindDelete, false, evalDelete),
		define(kindList, true, evalList),
		define(kindUploadCreate, false, evalUploadCreate),
		define(kindUploadGet, true, evalUploadGet),
		define(kindUploadList, true, evalUploadList),
		define(kindUploadAbort, false, evalUploadAbort),
		define(kindPartPut, false, evalPartPut),
		define(kindPartList, true, evalPartList),
		define(kindComplete, false, evalComplete),
		define(kindRefs, true, evalRefs),
		define(kindDiscard, false, evalDiscard),
		define(kindPurgeScan, true, evalPurgeScan),
		define(kindPurgeDone, false, evalPurgeDone),
		define(kindOutcomeExpire, false, evalOutcomeExpire),
		define(kindDebtScan, true, evalDebtScan),
		define(kindDebtSettle, false, evalDebtSettle),
		define(kindSessionOpen, false, evalSessionOpen),
		define(kindSessionClose, false, evalSessionClose),
		define(kindSessionList, true, evalSessionList),
		define(kindSessionSwept, false, evalSessionSwept),
	}
}

// bucketRef names a bucket as a connector knows it: the id routes the command
// to the bucket's objects, the handler checks that the name still means it.
type bucketRef struct {
	Name BucketName
	ID   BucketID
}

func (b *bucketRef) code(c *coder) { codec.Text(c, &b.Name); codec.Number(c, &b.ID) }

// openBucket returns the bucket of a reference. It reads the bucket's record in
// the transaction of the object's command: right as long as one range holds
// both. When ranges split, the bucket's life (id, state) is copied to each of
// its ranges as a record of theirs, and only this function changes.
func openBucket(txn meta.Txn, ref bucketRef) (Bucket, error) {
	const op = "object.bucket"
	var b Bucket
	found, err := load(txn, "bucket", bucketKey(ref.Name), &b)
	switch {
	case err != nil:
		return b, err
	case !found:
		return b, fail(NoBucket, errs.NotFound, op, "no bucket %q", ref.Name)
	case b.ID != ref.ID:
		return b, fail(BucketReplaced, errs.Unavailable, op, "bucket %q was deleted and made again; repeat the request", ref.Name)
	}
	return b, nil
}

// bucketCreate makes a bucket; its reply is the bucket, or the one in the way.
type bucketCreate struct{ Bucket Bucket }

func (q *bucketCreate) code(c *coder) { q.Bucket.code(c) }

type bucketCreated struct {
	Bucket Bucket
	Taken  bool
}

func (r *bucketCreated) code(c *coder) { r.Bucket.code(c); c.Flag(&r.Taken) }

// evalBucketCreate also writes the owner's index. Both records lie in one range
// today; after a split the index is written by a second, idempotent command.
func evalBucketCreate(txn meta.Txn, q *bucketCreate, r *bucketCreated) error {
	found, err := load(txn, "bucket", bucketKey(q.Bucket.Name), &r.Bucket)
	if err != nil {
		return err
	}
	if found {
		// The very same id: an earlier evaluation of this command, not a rival.
		r.Taken = r.Bucket.ID != q.Bucket.ID
		return nil
	}
	r.Bucket = q.Bucket
	r.Bucket.Created = txn.Now().Time()
	store(txn, bucketKey(q.Bucket.Name), &r.Bucket)
	store(txn, ownerKey(q.Bucket.Owner, q.Bucket.Name), &r.Bucket)
	return nil
}

type bucketGet struct{ Name BucketName }

func (q *bucketGet) code(c *coder) { codec.Text(c, &q.Name) }

func evalBucketGet(txn meta.Txn, q *bucketGet, r *Bucket) error {
	found, err := load(txn, "bucket", bucketKey(q.Name), r)
	if err == nil && !found {
		err = fail(NoBucket, errs.NotFound, "object.bucket", "no bucket %q", q.Name)
	}
	return err
}

type bucketList struct {
	Owner         AccountID
	Prefix, After string
	Limit         int
}

func (q *bucketList) code(c *coder) {
	codec.Text(c, &q.Owner)
	codec.Text(c, &q.Prefix)
	codec.Text(c, &q.After)
	codec.Number(c, &q.Limit)
}

type bucketPage struct {
	Buckets []Bucket
	More    bool
}

func (p *bucketPage) code(c *coder) {
	codec.List(c, &p.Buckets, func(c *coder, b *Bucket) { b.code(c) })
	c.Flag(&p.More)
}

func evalBucketList(txn meta.Txn, q *bucketList, r *bucketPage) error {
	prefix := append(ownerPrefix(q.Owner), q.Prefix...)
	span := meta.Span{From: prefix, To: meta.PrefixEnd(prefix)}
	if after := append(ownerKey(q.Owner, BucketName(q.After)), 0); q.After != "" && bytes.Compare(after, span.From) > 0 {
		span.From = after
	}
	var bad error
	err := txn.Scan(span, func(_, v []byte) bool {
		if len(r.Buckets) >= q.Limit {
			r.More = true
			return false
		}
		var b Bucket
		if bad = decode("bucket", v, &b); bad != nil {
			return false
		}
		r.Buckets = append(r.Buckets, b)
		return true
	})
	return firstError(err, bad)
}

// evalBucketDelete needs the bucket empty of objects and uploads. What is in
// the purge queue does not count: bucket ids are never reused.
func evalBucketDelete(txn meta.Txn, q *bucketRef, _ *empty) error {
	b, err := openBucket(txn, *q)
	if err != nil {
		return err
	}
	all := objectKey(b.ID, "")
	spans := []meta.Span{
		{From: all, To: meta.PrefixEnd(all)},
		meta.LocalSpan(localUpload, all, meta.PrefixEnd(all)),
	}
	for _, span := range spans {
		occupied := false
		if err := txn.Scan(span, func(_, _ []byte) bool { occupied = true; return false }); err != nil {
			return err
		}
		if occupied {
			return fail(BucketNotEmpty, errs.Conflict, "object.bucket", "bucket %q is not empty", b.Name)
		}
	}
	txn.Delete(bucketKey(b.Name))
	txn.Delete(ownerKey(b.Owner, b.Name))
	return nil
}

func firstError(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}
