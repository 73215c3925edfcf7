package object

import (
	"context"
	"strings"
	"time"

	"torc/internal/errs"
)

// cachedBucket is what a name meant a moment ago.
type cachedBucket struct {
	bucket Bucket
	until  time.Time
}

// bucketCacheMax bounds the cache of bucket names, in entries.
const bucketCacheMax = 4096

// CreateBucket makes a bucket. Exists if the name is taken (the stored Bucket is returned with the error).
func (s *Service) CreateBucket(ctx context.Context, name BucketName, owner AccountID, region string) (Bucket, error) {
	const op = "object.CreateBucket"
	if err := firstError(checkName(op, "bucket name", string(name)), checkName(op, "owner", string(owner))); err != nil {
		return Bucket{}, err
	}
	if len(region) > nameLenMax {
		return Bucket{}, errs.E(op, errs.Invalid, "region of %d bytes, at most %d", len(region), nameLenMax)
	}
	// The id comes from the session, as bases do: unique without a shared counter.
	c, err := s.sessions.acquire(ctx)
	for err == nil && c.next.Load() > bucketSequenceMax {
		s.sessions.release(c)
		s.sessions.retire(c)
		c, err = s.sessions.acquire(ctx)
	}
	if err != nil {
		return Bucket{}, errs.Wrap(op, err)
	}
	defer s.sessions.release(c)
	id := BucketID(uint64(c.id)<<32 | c.base().Sequence)
	q := bucketCreate{Bucket{ID: id, Name: name, Owner: owner, Region: region}}
	var r bucketCreated
	if err := do(ctx, s.db, kindBucketCreate, bucketKey(name), &q, &r); err != nil {
		return Bucket{}, errs.Wrap(op, err)
	}
	s.remember(r.Bucket)
	if r.Taken {
		return r.Bucket, fail(BucketExists, errs.Exists, op, "bucket %q exists", name)
	}
	return r.Bucket, nil
}

// bucketSequenceMax bounds the bases of a session that makes buckets: a bucket's
// id has 32 bits of the sequence, with room for the operations under way.
const bucketSequenceMax = 1 << 31

func checkName(op, what, name string) error {
	if name == "" || len(name) > nameLenMax || strings.IndexByte(name, 0) >= 0 {
		return errs.E(op, errs.Invalid, "%s %.300q: 1 to %d bytes, none of them zero", what, name, nameLenMax)
	}
	return nil
}

// Bucket returns a bucket; NotFound (NoBucket).
func (s *Service) Bucket(ctx context.Context, name BucketName) (Bucket, error) {
	const op = "object.Bucket"
	if checkName(op, "bucket name", string(name)) != nil {
		return Bucket{}, fail(NoBucket, errs.NotFound, op, "no bucket %.300q", name)
	}
	var b Bucket
	if err := query(ctx, s.db, kindBucketGet, bucketKey(name), &bucketGet{name}, &b); err != nil {
		s.forget(name)
		return Bucket{}, errs.Wrap(op, err)
	}
	s.remember(b)
	return b, nil
}

// CachedBucket is Bucket, but may answer from memory for Config.BucketAge. What
// it says of the id is verified by every command; owner, region and creation
// never change in a bucket's life.
func (s *Service) CachedBucket(ctx context.Context, name BucketName) (Bucket, error) {
	s.mu.Lock()
	c, ok := s.buckets[name]
	s.mu.Unlock()
	if ok && s.cfg.Clock.Now().Before(c.until) {
		return c.bucket, nil
	}
	return s.Bucket(ctx, name)
}

func (s *Service) remember(b Bucket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.buckets) >= bucketCacheMax {
		for name := range s.buckets { // any one: the order of a map is as good as random
			delete(s.buckets, name)
			break
		}
	}
	s.buckets[b.Name] = cachedBucket{b, s.cfg.Clock.Now().Add(s.cfg.BucketAge)}
}

func (s *Service) forget(name BucketName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.buckets, name)
}

// actingKey is the key of the account that a context acts for.
type actingKey struct{}

// ActingFor returns a context under which a Service's operations touch only
// buckets of owner: on another's they fail with NotOwner and change nothing, also
// when the name changed hands after the caller had looked.
func ActingFor(ctx context.Context, owner AccountID) context.Context {
	return context.WithValue(ctx, actingKey{}, owner)
}

// mayTouch fails with NotOwner unless b is the bucket of whom ctx acts for. A
// bucket's owner never changes in its life, so it holds for every command that
// carries b's id.
func mayTouch(ctx context.Context, b Bucket) error {
	if owner, ok := ctx.Value(actingKey{}).(AccountID); ok && owner != b.Owner {
		return fail(NotOwner, errs.Permission, "object.bucket", "bucket %q is another account's", b.Name)
	}
	return nil
}

// open returns the bucket that an operation is to touch, from the cache unless
// that says that it is another account's.
func (s *Service) open(ctx context.Context, name BucketName) (Bucket, error) {
	b, err := s.CachedBucket(ctx, name)
	if err == nil && mayTouch(ctx, b) != nil {
		b, err = s.Bucket(ctx, name)
	}
	return b, firstError(err, mayTouch(ctx, b))
}

// withBucket calls fn with what name means, again with a fresh answer if the
// cached one turns out to be out of date. fn must be repeatable.
func (s *Service) withBucket(ctx context.Context, name BucketName, fn func(ref bucketRef) error) error {
	b, err := s.open(ctx, name)
	if err != nil {
		return err
	}
	err = fn(bucketRef{b.Name, b.ID})
	switch ReasonOf(err) {
	case NoBucket:
		s.forget(name)
	case BucketReplaced:
		s.forget(name)
		if b, err = s.open(ctx, name); err == nil {
			err = fn(bucketRef{b.Name, b.ID})
		}
	}
	return err
}

// Buckets lists an account's buckets in name order: names > after beginning with prefix, at most limit.
func (s *Service) Buckets(ctx context.Context, owner AccountID, prefix, after string, limit int) ([]Bucket, bool, error) {
	const op = "object.Buckets"
	if err := checkName(op, "owner", string(owner)); err != nil {
		return nil, false, err
	}
	// Longer strings cannot be told apart by any bucket name.
	prefix, after = prefix[:min(len(prefix), nameLenMax+1)], after[:min(len(after), nameLenMax+1)]
	q := bucketList{Owner: owner, Prefix: prefix, After: after, Limit: max(0, min(limit, ListLimitMax))}
	var r bucketPage
	err := query(ctx, s.db, kindBucketList, ownerKey(owner, BucketName(max(prefix, after))), &q, &r)
	return r.Buckets, r.More && q.Limit > 0, errs.Wrap(op, err)
}

// DeleteBucket removes an empty bucket (no objects, no uploads); BucketNotEmpty otherwise.
func (s *Service) DeleteBucket(ctx context.Context, name BucketName) error {
	err := s.withBucket(ctx, name, func(ref bucketRef) error {
		return do(ctx, s.db, kindBucketDelete, bucketKey(name), &ref, &empty{})
	})
	if err == nil {
		s.forget(name)
	}
	return errs.Wrap("object.DeleteBucket", err)
}
