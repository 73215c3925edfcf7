package object

import (
	"torc/internal/codec"
	"torc/internal/errs"
	"torc/meta"
)

// uploadCreate starts an upload; its id is made where the start is known.
type uploadCreate struct {
	Bucket bucketRef
	Key    string
	Random []byte
	Record uploadRecord
}

func (q *uploadCreate) code(c *coder) {
	q.Bucket.code(c)
	codec.Text(c, &q.Key)
	c.Bytes(&q.Random)
	q.Record.code(c)
}

type uploadReply struct {
	ID     UploadID
	Record uploadRecord
}

func (r *uploadReply) code(c *coder) { codec.Text(c, &r.ID); r.Record.code(c) }

func evalUploadCreate(txn meta.Txn, q *uploadCreate, r *uploadReply) error {
	if _, err := openBucket(txn, q.Bucket); err != nil {
		return err
	}
	if len(q.Random) != uploadRandomLen {
		return errs.E("object.upload", errs.Invalid, "%d random bytes, want %d", len(q.Random), uploadRandomLen)
	}
	r.Record = q.Record
	r.Record.Started = txn.Now()
	r.ID = makeUploadID(uint64(r.Record.Started), q.Random)
	store(txn, uploadKey(objectKey(q.Bucket.ID, q.Key), r.ID), &r.Record)
	return nil
}

// uploadQuery names an upload, and a page of its parts for kindPartList.
type uploadQuery struct {
	Bucket bucketRef
	Key    string
	Upload UploadID
	After  int
	Limit  int
}

func (q *uploadQuery) code(c *coder) {
	q.Bucket.code(c)
	codec.Text(c, &q.Key)
	codec.Text(c, &q.Upload)
	codec.Number(c, &q.After)
	codec.Number(c, &q.Limit)
}

// openUpload loads an upload's record.
func openUpload(txn meta.Txn, b bucketRef, key string, id UploadID) (anchor []byte, rec uploadRecord, err error) {
	if _, err = openBucket(txn, b); err != nil {
		return nil, rec, err
	}
	anchor = objectKey(b.ID, key)
	found := false
	if validUploadID(id) {
		if found, err = load(txn, "upload", uploadKey(anchor, id), &rec); err != nil {
			return nil, rec, err
		}
	}
	if !found {
		return nil, rec, fail(NoUpload, errs.NotFound, "object.upload", "no upload %q of %q in bucket %q", id, key, b.Name)
	}
	return anchor, rec, nil
}

func evalUploadGet(txn meta.Txn, q *uploadQuery, r *uploadReply) (err error) {
	r.ID = q.Upload
	_, r.Record, err = openUpload(txn, q.Bucket, q.Key, q.Upload)
	return err
}

type partsReply struct {
	Record uploadRecord
	Parts  []Part
	More   bool
}

func (r *partsReply) code(c *coder) {
	r.Record.code(c)
	codec.List(c, &r.Parts, func(c *coder, p *Part) { p.code(c) })
	c.Flag(&r.More)
}

func evalPartList(txn meta.Txn, q *uploadQuery, r *partsReply) error {
	anchor, rec, err := openUpload(txn, q.Bucket, q.Key, q.Upload)
	if err != nil {
		return err
	}
	r.Record = rec
	r.Parts, r.More, err = scanParts(txn, anchor, q.Upload, q.After, min(q.Limit, PartNumberMax))
	return err
}

func scanParts(txn meta.Txn, anchor []byte, id UploadID, after, limit int) (parts []Part, more bool, err error) {
	var bad error
	err = txn.Scan(partSpan(anchor, id, after), func(_, v []byte) bool {
		if len(parts) >= limit {
			more = true
			return false
		}
		var p Part
		if bad = decode("part", v, &p); bad != nil {
			return false
		}
		parts = append(parts, p)
		return true
	})
	return parts, more, firstError(err, bad)
}

// abortPartsMax bounds the parts that one command frees.
const abortPartsMax = 2000

// abortReply says whether parts are left, for another command.
type abortReply struct{ More bool }

func (r *abortReply) code(c *coder) { c.Flag(&r.More) }

// evalUploadAbort queues the upload's parts, a bounded number at a time, and with
// the last of them forgets the upload.
func evalUploadAbort(txn meta.Txn, q *uploadQuery, r *abortReply) error {
	anchor, _, err := openUpload(txn, q.Bucket, q.Key, q.Upload)
	if err != nil {
		return err
	}
	var parts []Part
	if parts, r.More, err = scanParts(txn, anchor, q.Upload, 0, abortPartsMax); err != nil {
		return err
	}
	if err := releaseAll(txn, anchor, parts); err != nil {
		return err
	}
	forgetParts(txn, anchor, q.Upload, parts)
	if !r.More {
		txn.Delete(uploadKey(anchor, q.Upload))
	}
	return nil
}

func forgetParts(txn meta.Txn, anchor []byte, id UploadID, parts []Part) {
	for _, p := range parts {
		txn.Delete(partKey(anchor, id, p.Number))
	}
}

// partCommand commits a part whose bytes are durable.
type partCommand struct {
	Bucket bucketRef
	Key    string
	Upload UploadID
	Number int
	Body   written
}

func (q *partCommand) code(c *coder) {
	q.Bucket.code(c)
	codec.Text(c, &q.Key)
	codec.Text(c, &q.Upload)
	codec.Number(c, &q.Number)
	q.Body.code(c)
}

func evalPartPut(txn meta.Txn, q *partCommand, r *Part) error {
	anchor, _, err := openUpload(txn, q.Bucket, q.Key, q.Upload)
	if err != nil {
		return err
	}
	e := q.Body.Extent
	if err := fence(txn, e.Base); err != nil {
		return err
	}
	at := partKey(anchor, q.Upload, q.Number)
	var old Part
	found, err := load(txn, "part", at, &old)
	if err != nil {
		return err
	}
	if found {
		if err := release(txn, anchor, old.Extent); err != nil {
			return err
		}
	}
	*r = Part{Number: q.Number, Size: e.Size, ETag: q.Body.Seal.ETag, Checksums: q.Body.Seal.Checksums,
		Modified: txn.Now().Time(), Extent: e}
	store(txn, at, r)
	owe(txn, anchor, e, q.Body.Debt)
	return nil
}

// chosenPart is a part as the connector read it: the base says whether it is
// still the same.
type chosenPart struct {
	Number int
	Base   Base
}

// completeCommand turns parts into an object.
type completeCommand struct {
	Bucket bucketRef
	Key    string
	Upload UploadID
	Parts  []chosenPart
	List   string // digest of what the client asked for
	Seal   Seal
	If     WriteCondition
}

func (q *completeCommand) code(c *coder) {
	q.Bucket.code(c)
	codec.Text(c, &q.Key)
	codec.Text(c, &q.Upload)
	codec.List(c, &q.Parts, func(c *coder, p *chosenPart) { codec.Number(c, &p.Number); p.Base.code(c) })
	codec.Text(c, &q.List)
	q.Seal.code(c)
	q.If.code(c)
}

// evalComplete moves the chosen parts' extents from the upload to the object:
// their bytes are referred to before and after, so it needs no fence.
func evalComplete(txn meta.Txn, q *completeCommand, r *objectHead) error {
	anchor, up, err := openUpload(txn, q.Bucket, q.Key, q.Upload)
	if ReasonOf(err) == NoUpload {
		return recallOutcome(txn, q, r, err)
	}
	if err != nil {
		return err
	}
	stored, _, err := scanParts(txn, anchor, q.Upload, 0, PartNumberMax)
	if err != nil {
		return err
	}
	parts, unused, err := choose(stored, q.Parts)
	if err != nil {
		return err
	}
	rec := objectRecord{
		Head: objectHead{ETag: q.Seal.ETag, At: txn.Now(), Class: up.Class, Checksums: q.Seal.Checksums},
		Meta: up.Meta, Part: parts,
	}
	for _, p := range parts {
		rec.Head.Size += p.Size
	}
	if err := replace(txn, anchor, q.Key, q.If, &rec); err != nil {
		return err
	}
	if err := releaseAll(txn, anchor, unused); err != nil {
		return err
	}
	forgetParts(txn, anchor, q.Upload, stored)
	txn.Delete(uploadKey(anchor, q.Upload))
	store(txn, outcomeKey(anchor, q.Upload), &outcomeRecord{List: q.List, Head: rec.Head})
	*r = rec.Head
	return nil
}

// recallOutcome answers a completion that may have succeeded before: missing is
// the error if it has not.
func recallOutcome(txn meta.Txn, q *completeCommand, r *objectHead, missing error) error {
	if !validUploadID(q.Upload) {
		return missing
	}
	var done outcomeRecord
	found, err := load(txn, "outcome", outcomeKey(objectKey(q.Bucket.ID, q.Key), q.Upload), &done)
	switch {
	case err != nil:
		return err
	case !found || done.List != q.List:
		return missing
	}
	*r = done.Head
	return nil
}

// choose splits an upload's parts into those named and the rest. Both lists
// ascend by number.
func choose(stored []Part, names []chosenPart) (parts, unused []Part, err error) {
	i := 0
	for _, p := range stored {
		if i < len(names) && names[i].Number == p.Number {
			if names[i].Base != p.Extent.Base {
				break
			}
			parts = append(parts, p)
			i++
			continue
		}
		unused = append(unused, p)
	}
	if i < len(names) || len(names) == 0 {
		return nil, nil, fail(partsChanged, errs.Conflict, "object.complete", "the upload's parts changed meanwhile")
	}
	return parts, unused, nil
}
