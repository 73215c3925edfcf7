package object

import (
	"context"
	"unicode/utf8"

	"torc/internal/errs"
)

// Put stores an object and returns it once it is durable.
func (s *Service) Put(ctx context.Context, r PutRequest) (Object, error) {
	const op = "object.Put"
	if err := firstError(checkKey(op, r.Key), checkMeta(op, r.Meta, r.Class)); err != nil {
		return Object{}, err
	}
	var head objectHead
	w, recovered, err := s.commitBody(ctx, r.Bucket, Owner{Key: r.Key}, r.Body, func(ctx context.Context, ref bucketRef, w written) error {
		q := putCommand{Bucket: ref, Key: r.Key, Body: w, Meta: r.Meta, Class: r.Class, If: r.If}
		return do(ctx, s.db, kindPut, objectKey(ref.ID, r.Key), &q, &head)
	})
	if err != nil {
		return Object{}, errs.Wrap(op, err)
	}
	if recovered {
		if _, o, err := s.Stat(ctx, r.Bucket, r.Key); err == nil && len(o.Parts) > 0 && o.Parts[0].Extent.Base == w.Extent.Base {
			return o, nil
		} // else it has been replaced since, which does not undo that it was stored
		head = objectHead{Size: w.Extent.Size, ETag: w.Seal.ETag, At: s.hlc.Now(), Class: r.Class, Checksums: w.Seal.Checksums}
	}
	o := head.object(r.Key)
	o.Meta = r.Meta
	if w.Extent.stripes() > 0 {
		o.Parts = []Part{{Size: w.Extent.Size, Extent: w.Extent}}
	}
	return o, nil
}

// commitBody is the one write path: bytes durable, then the record, then the
// ack. When the outcome of the commit is unknown it asks whether a record refers
// to the bytes: if so the commit happened and only its reply is missing
// (recovered). If not it may still happen, so the bytes stay; the session is then
// replaced and swept.
func (s *Service) commitBody(ctx context.Context, name BucketName, owner Owner, body Body,
	commit func(context.Context, bucketRef, written) error) (w written, recovered bool, err error) {
	b, err := s.open(ctx, name)
	if err != nil {
		return w, false, err
	}
	owner.Bucket = b.ID
	c, err := s.sessions.acquire(ctx)
	if err != nil {
		return w, false, err
	}
	defer s.sessions.release(c)
	if w, err = s.write(ctx, c, owner, body); err != nil {
		return w, false, err
	}
	// The client may leave now; the commit is not worth a doubt.
	cctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.CommitTimeout)
	defer cancel()
	if err = commit(cctx, bucketRef{b.Name, b.ID}, w); err == nil {
		return w, false, nil
	}
	switch ReasonOf(err) {
	case NoBucket, BucketReplaced:
		s.forget(name)
	case SessionClosed:
		s.sessions.retire(c)
	}
	switch {
	case decided(err):
		s.abandon(ctx, c, owner, w.Extent)
	case w.Extent.stripes() == 0:
	case s.inUse(ctx, owner, w.Extent.Base):
		return w, true, nil
	default:
		s.sessions.doubt(c)
		s.cfg.Log.Warn("outcome of a commit is unknown", "bucket", name, "session", c.id, "error", err)
	}
	return w, false, err
}

// inUse reports that something certainly refers to a base.
func (s *Service) inUse(ctx context.Context, owner Owner, b Base) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resolveTimeout)
	defer cancel()
	q := refsQuery{Refs: []reference{{owner, b}}}
	var r refsReply
	err := query(ctx, s.db, kindRefs, objectKey(owner.Bucket, owner.Key), &q, &r)
	return err == nil && len(r.Used) == 1 && r.Used[0]
}

func checkKey(op, key string) error {
	switch {
	case key == "":
		return errs.E(op, errs.Invalid, "empty key")
	case len(key) > KeyLenMax:
		return fail(KeyTooLong, errs.Invalid, op, "key of %d bytes, at most %d", len(key), KeyLenMax)
	case !utf8.ValidString(key):
		return errs.E(op, errs.Invalid, "key %q is not UTF-8", key)
	}
	return nil
}

func checkMeta(op string, m Metadata, class string) error {
	sum := func(m map[string]string) (n int) {
		for k, v := range m {
			n += len(k) + len(v)
		}
		return n
	}
	if n := sum(m.User); n > UserMetaLenMax {
		return errs.E(op, errs.TooLarge, "user metadata of %d bytes, at most %d", n, UserMetaLenMax)
	}
	if n := sum(m.System); n > systemMetaLenMax {
		return errs.E(op, errs.TooLarge, "headers of %d bytes, at most %d", n, systemMetaLenMax)
	}
	if len(class) > nameLenMax {
		return errs.E(op, errs.Invalid, "storage class of %d bytes, at most %d", len(class), nameLenMax)
	}
	return nil
}

// Stat returns a bucket and an object of it. NotFound is NoBucket or NoKey.
func (s *Service) Stat(ctx context.Context, b BucketName, key string) (Bucket, Object, error) {
	const op = "object.Stat"
	if err := checkKey(op, key); err != nil {
		return Bucket{}, Object{}, err
	}
	var (
		r   statReply
		rec objectRecord
	)
	err := s.withBucket(ctx, b, func(ref bucketRef) error {
		return query(ctx, s.db, kindStat, objectKey(ref.ID, key), &keyQuery{ref, key}, &r)
	})
	if err != nil {
		return Bucket{}, Object{}, errs.Wrap(op, err)
	}
	if err := decode("object", r.Record, &rec); err != nil {
		return Bucket{}, Object{}, errs.Wrap(op, err)
	}
	return r.Bucket, rec.object(key), nil
}

// Delete removes an object. Absent is fine unless cond says otherwise.
func (s *Service) Delete(ctx context.Context, b BucketName, item DeleteItem) error {
	r, err := s.DeleteMany(ctx, b, []DeleteItem{item})
	if err == nil {
		err = r[0].Err
	}
	return errs.Wrap("object.Delete", err)
}

// DeleteMany removes up to DeleteManyMax objects, each independently, results in order.
func (s *Service) DeleteMany(ctx context.Context, b BucketName, items []DeleteItem) ([]DeleteResult, error) {
	const op = "object.DeleteMany"
	if len(items) > DeleteManyMax {
		return nil, errs.E(op, errs.TooLarge, "%d keys, at most %d", len(items), DeleteManyMax)
	}
	results := make([]DeleteResult, len(items))
	var send []DeleteItem
	var at []int // index in results of each of send
	for i, item := range items {
		results[i].Key = item.Key
		if results[i].Err = checkKey(op, item.Key); results[i].Err == nil {
			send, at = append(send, item), append(at, i)
		}
	}
	if len(send) == 0 { // the bucket still has to exist
		_, err := s.open(ctx, b)
		return results, errs.Wrap(op, err)
	}
	for len(send) > 0 {
		var r deleteReply
		err := s.withBucket(ctx, b, func(ref bucketRef) error {
			return do(ctx, s.db, kindDelete, objectKey(ref.ID, send[0].Key), &deleteCommand{ref, send}, &r)
		})
		if err == nil && (len(r.Done) == 0 || len(r.Done) > len(send)) {
			err = errs.E(op, errs.Other, "%d answers for %d keys", len(r.Done), len(send))
		}
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
		for i, a := range r.Done {
			if a.Reason != "" {
				results[at[i]].Err = fail(a.Reason, a.Kind, "", "%s", a.Text)
			}
		}
		send, at = send[len(r.Done):], at[len(r.Done):]
	}
	return results, nil
}
