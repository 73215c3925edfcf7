package object

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"torc/internal/errs"
)

// CreateUpload starts a multipart upload.
func (s *Service) CreateUpload(ctx context.Context, r UploadRequest) (Upload, error) {
	const op = "object.CreateUpload"
	if err := firstError(checkKey(op, r.Key), checkMeta(op, r.Meta, r.Class)); err != nil {
		return Upload{}, err
	}
	if len(r.ChecksumAlgorithm) > nameLenMax || len(r.ChecksumType) > nameLenMax {
		return Upload{}, errs.E(op, errs.Invalid, "checksum algorithm or type of more than %d bytes", nameLenMax)
	}
	q := uploadCreate{Key: r.Key, Random: make([]byte, uploadRandomLen), Record: uploadRecord{
		Class: r.Class, Meta: r.Meta, ChecksumAlgorithm: r.ChecksumAlgorithm, ChecksumType: r.ChecksumType}}
	rand.Read(q.Random) // never fails: it aborts the process instead
	var reply uploadReply
	err := s.withBucket(ctx, r.Bucket, func(ref bucketRef) error {
		q.Bucket = ref
		return do(ctx, s.db, kindUploadCreate, objectKey(ref.ID, r.Key), &q, &reply)
	})
	if err != nil {
		return Upload{}, errs.Wrap(op, err)
	}
	return reply.Record.upload(r.Key, reply.ID), nil
}

// Upload returns an upload under way; NoUpload.
func (s *Service) Upload(ctx context.Context, b BucketName, key string, id UploadID) (Upload, error) {
	const op = "object.Upload"
	if err := checkKey(op, key); err != nil {
		return Upload{}, err
	}
	var r uploadReply
	err := s.withBucket(ctx, b, func(ref bucketRef) error {
		q := uploadQuery{Bucket: ref, Key: key, Upload: id}
		return query(ctx, s.db, kindUploadGet, objectKey(ref.ID, key), &q, &r)
	})
	if err != nil {
		return Upload{}, errs.Wrap(op, err)
	}
	return r.Record.upload(key, id), nil
}

// PutPart stores a part.
func (s *Service) PutPart(ctx context.Context, r PartRequest) (Part, error) {
	const op = "object.PutPart"
	if err := checkKey(op, r.Key); err != nil {
		return Part{}, err
	}
	if r.Number < 1 || r.Number > PartNumberMax {
		return Part{}, errs.E(op, errs.Invalid, "part number %d: 1 to %d", r.Number, PartNumberMax)
	}
	// Not after gigabytes have been written.
	if _, err := s.Upload(ctx, r.Bucket, r.Key, r.Upload); err != nil {
		return Part{}, errs.Wrap(op, err)
	}
	var p Part
	owner := Owner{Key: r.Key, Upload: r.Upload, Part: r.Number}
	w, recovered, err := s.commitBody(ctx, r.Bucket, owner, r.Body, func(ctx context.Context, ref bucketRef, w written) error {
		q := partCommand{Bucket: ref, Key: r.Key, Upload: r.Upload, Number: r.Number, Body: w}
		return do(ctx, s.db, kindPartPut, objectKey(ref.ID, r.Key), &q, &p)
	})
	if err != nil {
		return Part{}, errs.Wrap(op, err)
	}
	if recovered { // the reply that holds the part was lost
		p = Part{Number: r.Number, Size: w.Extent.Size, ETag: w.Seal.ETag, Checksums: w.Seal.Checksums,
			Modified: s.hlc.Now().Time(), Extent: w.Extent}
	}
	return p, nil
}

// Parts lists an upload's parts with numbers > after.
func (s *Service) Parts(ctx context.Context, b BucketName, key string, id UploadID, after, limit int) (PartsPage, error) {
	const op = "object.Parts"
	if err := checkKey(op, key); err != nil {
		return PartsPage{}, err
	}
	if limit < 0 || limit > ListLimitMax {
		return PartsPage{}, errs.E(op, errs.Invalid, "limit %d: 0 to %d", limit, ListLimitMax)
	}
	r, err := s.parts(ctx, b, key, id, max(0, min(after, PartNumberMax)), limit)
	if err != nil {
		return PartsPage{}, errs.Wrap(op, err)
	}
	page := PartsPage{Upload: r.Record.upload(key, id), Parts: r.Parts, Truncated: r.More && limit > 0}
	if page.Truncated {
		page.Next = r.Parts[len(r.Parts)-1].Number
	}
	return page, nil
}

func (s *Service) parts(ctx context.Context, b BucketName, key string, id UploadID, after, limit int) (r partsReply, err error) {
	err = s.withBucket(ctx, b, func(ref bucketRef) error {
		q := uploadQuery{Bucket: ref, Key: key, Upload: id, After: after, Limit: limit}
		return query(ctx, s.db, kindPartList, objectKey(ref.ID, key), &q, &r)
	})
	return r, err
}

// Abort ends an upload and frees its parts.
func (s *Service) Abort(ctx context.Context, b BucketName, key string, id UploadID) error {
	const op = "object.Abort"
	if err := checkKey(op, key); err != nil {
		return err
	}
	for more := true; more; {
		var r abortReply
		err := s.withBucket(ctx, b, func(ref bucketRef) error {
			q := uploadQuery{Bucket: ref, Key: key, Upload: id}
			return do(ctx, s.db, kindUploadAbort, objectKey(ref.ID, key), &q, &r)
		})
		if err != nil {
			return errs.Wrap(op, err)
		}
		more = r.More
	}
	return nil
}

// completeTries bounds how often Complete starts again because parts changed
// under it, or because it does not know whether it succeeded: repeating it is
// idempotent.
const completeTries = 4

// Complete turns an upload into an object. InvalidPart, PartOrder,
// PartTooSmall, NoUpload. Repeating a successful completion succeeds; its
// answer then has no Parts and no Meta.
func (s *Service) Complete(ctx context.Context, r CompleteRequest) (Object, error) {
	const op = "object.Complete"
	if err := checkKey(op, r.Key); err != nil {
		return Object{}, err
	}
	if err := checkOrder(op, r.Parts); err != nil {
		return Object{}, err
	}
	var doubt error
	for try := 1; ; try++ {
		o, err := s.completeOnce(ctx, r)
		switch {
		case err == nil:
			return o, nil
		case ReasonOf(err) == partsChanged:
			doubt = nil
		case errs.Is(err, errs.Unknown) || errs.Is(err, errs.Timeout):
			doubt = err
		default:
			// Only the command's own answer dispels an earlier doubt.
			if doubt != nil && ReasonOf(err) == "" {
				err = doubt
			}
			return Object{}, errs.Wrap(op, err)
		}
		if try == completeTries || ctx.Err() != nil {
			return Object{}, errs.Wrap(op, err)
		}
	}
}

func checkOrder(op string, parts []CompletedPart) error {
	if len(parts) == 0 {
		return fail(InvalidPart, errs.Invalid, op, "no parts named")
	}
	if len(parts) > PartNumberMax {
		return errs.E(op, errs.TooLarge, "%d parts, at most %d", len(parts), PartNumberMax)
	}
	for i, p := range parts {
		if i > 0 && p.Number <= parts[i-1].Number {
			return fail(PartOrder, errs.Invalid, op, "part %d after part %d", p.Number, parts[i-1].Number)
		}
		if p.Number < 1 || p.Number > PartNumberMax {
			return fail(InvalidPart, errs.Invalid, op, "part number %d: 1 to %d", p.Number, PartNumberMax)
		}
	}
	return nil
}

// completeOnce reads the parts, checks them, lets the caller seal them and
// commits if they are still the same.
func (s *Service) completeOnce(ctx context.Context, r CompleteRequest) (Object, error) {
	q := completeCommand{Key: r.Key, Upload: r.Upload, List: digest(r.Parts), If: r.If}
	stored, err := s.parts(ctx, r.Bucket, r.Key, r.Upload, 0, PartNumberMax)
	if err != nil && ReasonOf(err) != NoUpload {
		return Object{}, err
	}
	var o Object
	if err == nil {
		if o.Parts, err = match(stored.Parts, r.Parts); err != nil {
			return Object{}, err
		}
		o.Meta = stored.Record.Meta
		if q.Seal, err = r.Seal(stored.Record.upload(r.Key, r.Upload), o.Parts); err != nil {
			return Object{}, err
		}
		for _, p := range o.Parts {
			q.Parts = append(q.Parts, chosenPart{p.Number, p.Extent.Base})
		}
	} // else: it may have been completed already; the command knows
	var head objectHead
	err = s.withBucket(ctx, r.Bucket, func(ref bucketRef) error {
		q.Bucket = ref
		return do(ctx, s.db, kindComplete, objectKey(ref.ID, r.Key), &q, &head)
	})
	if err != nil {
		return Object{}, err
	}
	full := head.object(r.Key)
	full.Meta, full.Parts = o.Meta, o.Parts
	return full, nil
}

// match finds the named parts among the stored ones and checks their sizes.
func match(stored []Part, names []CompletedPart) ([]Part, error) {
	const op = "object.Complete"
	parts := make([]Part, 0, len(names))
	var total int64
	i := 0
	for _, name := range names {
		for i < len(stored) && stored[i].Number < name.Number {
			i++
		}
		if i == len(stored) || stored[i].Number != name.Number {
			return nil, fail(InvalidPart, errs.Invalid, op, "part %d was not uploaded", name.Number)
		}
		if stored[i].ETag != name.ETag {
			return nil, fail(InvalidPart, errs.Invalid, op, "part %d has ETag %s", name.Number, stored[i].ETag)
		}
		parts = append(parts, stored[i])
		total += stored[i].Size
	}
	for _, p := range parts[:len(parts)-1] {
		if p.Size < PartSizeMin {
			return nil, fail(PartTooSmall, errs.Invalid, op, "part %d has %d bytes, at least %d", p.Number, p.Size, PartSizeMin)
		}
	}
	if total > ObjectSizeMax {
		return nil, fail(SizeTooLarge, errs.TooLarge, op, "object of %d bytes, at most %d", total, int64(ObjectSizeMax))
	}
	return parts, nil
}

// digest names a completed list, to recognise it when it comes again.
func digest(parts []CompletedPart) string {
	h := sha256.New()
	for _, p := range parts {
		var b []byte
		b = binary.BigEndian.AppendUint32(b, uint32(p.Number))
		b = binary.BigEndian.AppendUint32(b, uint32(len(p.ETag)))
		h.Write(append(b, p.ETag...))
	}
	return string(h.Sum(nil)[:16])
}
