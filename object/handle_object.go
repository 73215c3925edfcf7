package object

import (
	"slices"

	"torc/internal/codec"
	"torc/internal/errs"
	"torc/meta"
)

// fence fails unless the session that wrote an extent is still open. A closed
// session is closed for ever, so after the close no command can make a record
// refer to its bytes for the first time: that is what makes orphans decidable
// (ADR 0007). The session's record is read here in the object's range: right as
// long as there is one range; after a split, closing tells every range first.
func fence(txn meta.Txn, b Base) error {
	var s sessionRecord
	found, err := load(txn, "session", sessionKey(b.Volume), &s)
	if err != nil {
		return err
	}
	if !found || s.Closed != 0 {
		return fail(SessionClosed, errs.Unavailable, "object.session", "session %d of the connector was closed; repeat the request", b.Volume)
	}
	return nil
}

// release queues an extent that no record refers to any more. What it still
// lacks is not worth repairing. Debt is looked for before it is deleted: with
// 10,000 parts, deletes of nothing would make half of the command's writes.
func release(txn meta.Txn, anchor []byte, e Extent) error {
	owed := debtKey(anchor, e.Base)
	v, err := txn.Get(owed)
	if err != nil {
		return err
	}
	if v != nil {
		txn.Delete(owed)
	}
	if e.stripes() > 0 {
		store(txn, purgeKey(anchor, e.Base), &purgeRecord{At: txn.Now(), Extent: e})
	}
	return nil
}

func releaseAll(txn meta.Txn, anchor []byte, parts []Part) error {
	for _, p := range parts {
		if err := release(txn, anchor, p.Extent); err != nil {
			return err
		}
	}
	return nil
}

// owe records what an extent lacks.
func owe(txn meta.Txn, anchor []byte, e Extent, debt []StripeDebt) {
	if len(debt) > 0 {
		store(txn, debtKey(anchor, e.Base), &debtRecord{Since: txn.Now(), Extent: e, Stripes: debt})
	}
}

// held evaluates a condition against what is there now.
func held(cond WriteCondition, key string, found bool, etag string) error {
	const op = "object.condition"
	if len(cond.IfMatch) > 0 {
		if !found {
			return fail(NoKey, errs.NotFound, op, "no object %q to match", key)
		}
		if !slices.Contains(cond.IfMatch, "*") && !slices.Contains(cond.IfMatch, etag) {
			return fail(NotHeld, errs.Precondition, op, "object %q has ETag %s", key, etag)
		}
	}
	if len(cond.IfNoneMatch) > 0 && found {
		if slices.Contains(cond.IfNoneMatch, "*") || slices.Contains(cond.IfNoneMatch, etag) {
			return fail(NotHeld, errs.Precondition, op, "object %q exists with ETag %s", key, etag)
		}
	}
	return nil
}

// written is what a finished body became.
type written struct {
	Extent Extent
	Debt   []StripeDebt
	Seal   Seal
}

func (w *written) code(c *coder) {
	w.Extent.code(c)
	codec.List(c, &w.Debt, func(c *coder, d *StripeDebt) { d.code(c) })
	w.Seal.code(c)
}

// putCommand commits an object whose bytes are durable.
type putCommand struct {
	Bucket bucketRef
	Key    string
	Body   written
	Meta   Metadata
	Class  string
	If     WriteCondition
}

func (q *putCommand) code(c *coder) {
	q.Bucket.code(c)
	codec.Text(c, &q.Key)
	q.Body.code(c)
	q.Meta.code(c)
	codec.Text(c, &q.Class)
	q.If.code(c)
}

func evalPut(txn meta.Txn, q *putCommand, r *objectHead) error {
	if _, err := openBucket(txn, q.Bucket); err != nil {
		return err
	}
	e := q.Body.Extent
	if e.stripes() > 0 {
		if err := fence(txn, e.Base); err != nil {
			return err
		}
	}
	anchor := objectKey(q.Bucket.ID, q.Key)
	rec := objectRecord{
		Head: objectHead{Size: e.Size, ETag: q.Body.Seal.ETag, At: txn.Now(), Class: q.Class, Checksums: q.Body.Seal.Checksums},
		Meta: q.Meta,
	}
	if e.stripes() > 0 {
		rec.Part = []Part{{Extent: e}}
	}
	if err := replace(txn, anchor, q.Key, q.If, &rec); err != nil {
		return err
	}
	owe(txn, anchor, e, q.Body.Debt)
	*r = rec.Head
	return nil
}

// replace puts rec in the place of what is there, if cond holds, and queues the
// bytes of the old one.
func replace(txn meta.Txn, anchor []byte, key string, cond WriteCondition, rec *objectRecord) error {
	var old objectRecord
	found, err := load(txn, "object", anchor, &old)
	if err != nil {
		return err
	}
	if err := held(cond, key, found, old.Head.ETag); err != nil {
		return err
	}
	if err := releaseAll(txn, anchor, old.Part); err != nil {
		return err
	}
	store(txn, anchor, rec)
	return nil
}

// keyQuery names an object.
type keyQuery struct {
	Bucket bucketRef
	Key    string
}

func (q *keyQuery) code(c *coder) { q.Bucket.code(c); codec.Text(c, &q.Key) }

// statReply passes the record on as it is stored.
type statReply struct {
	Bucket Bucket
	Record []byte
}

func (r *statReply) code(c *coder) { r.Bucket.code(c); c.Bytes(&r.Record) }

func evalStat(txn meta.Txn, q *keyQuery, r *statReply) (err error) {
	if r.Bucket, err = openBucket(txn, q.Bucket); err != nil {
		return err
	}
	if r.Record, err = txn.Get(objectKey(q.Bucket.ID, q.Key)); err != nil {
		return err
	}
	if r.Record == nil {
		return fail(NoKey, errs.NotFound, "object.stat", "no object %q in bucket %q", q.Key, q.Bucket.Name)
	}
	return nil
}

// deleteCommand removes objects, each independently of the others.
type deleteCommand struct {
	Bucket bucketRef
	Items  []DeleteItem
}

func (q *deleteCommand) code(c *coder) {
	q.Bucket.code(c)
	codec.List(c, &q.Items, func(c *coder, i *DeleteItem) { codec.Text(c, &i.Key); codec.Text(c, &i.IfMatch) })
}

// itemAnswer is one item's outcome; the zero value is success.
type itemAnswer struct {
	Kind   errs.Kind
	Reason Reason
	Text   string
}

func (a *itemAnswer) code(c *coder) {
	codec.Number(c, &a.Kind)
	codec.Text(c, &a.Reason)
	codec.Text(c, &a.Text)
}

// deleteReply answers the first items; the others are to be sent again.
type deleteReply struct{ Done []itemAnswer }

func (r *deleteReply) code(c *coder) {
	codec.List(c, &r.Done, func(c *coder, a *itemAnswer) { a.code(c) })
}

// deleteWorkMax bounds the bytes that one command reads and writes, before its
// last item: an object of 10,000 parts is megabytes of purge entries.
const (
	deleteWorkMax  = 1 << 20
	purgeRecordLen = 128 // bytes of a purge entry and its key, without the anchor
)

// evalDelete stops early, after at least one item, at the work limit or at the
// first key of another range.
func evalDelete(txn meta.Txn, q *deleteCommand, r *deleteReply) error {
	if _, err := openBucket(txn, q.Bucket); err != nil {
		return err
	}
	work := 0
	for i, item := range q.Items {
		anchor := objectKey(q.Bucket.ID, item.Key)
		if i > 0 && (work > deleteWorkMax || !holds(txn, anchor)) {
			break
		}
		v, err := txn.Get(anchor)
		if err != nil {
			return err
		}
		var answer itemAnswer
		parts, err := deleteOne(txn, anchor, item, v)
		work += len(v) + parts*(len(anchor)+purgeRecordLen)
		if err != nil {
			answer = itemAnswer{Kind: errs.KindOf(err), Reason: ReasonOf(err), Text: err.Error()}
			if answer.Reason == "" {
				return err
			}
		}
		r.Done = append(r.Done, answer)
	}
	return nil
}

// deleteOne deletes one object, v its record, and returns how many parts it had.
func deleteOne(txn meta.Txn, anchor []byte, item DeleteItem, v []byte) (parts int, err error) {
	var rec objectRecord
	if v != nil {
		if err := decode("object", v, &rec); err != nil {
			return 0, err
		}
	}
	var cond WriteCondition
	if item.IfMatch != "" {
		cond.IfMatch = []string{item.IfMatch}
	}
	if err := held(cond, item.Key, v != nil, rec.Head.ETag); err != nil {
		return 0, err
	}
	if v == nil {
		return 0, nil
	}
	txn.Delete(anchor)
	return len(rec.Part), releaseAll(txn, anchor, rec.Part)
}

// holds reports that the range of this command holds a plain key.
func holds(txn meta.Txn, plain []byte) bool {
	r := txn.Range()
	return string(plain) >= string(r.From) && (r.To == nil || string(plain) < string(r.To))
}
