package object

import (
	"encoding/binary"
	"time"

	"torc/internal/clock"
	"torc/internal/codec"
	"torc/internal/errs"
)

func (m *Metadata) code(c *coder) { c.Dict(&m.System); c.Dict(&m.User) }

func (s *Checksum) code(c *coder) {
	codec.Text(c, &s.Algorithm)
	codec.Text(c, &s.Type)
	codec.Text(c, &s.Value)
}

func codeChecksums(c *coder, v *[]Checksum) {
	codec.List(c, v, func(c *coder, s *Checksum) { s.code(c) })
}

func (s *Seal) code(c *coder) { codec.Text(c, &s.ETag); codeChecksums(c, &s.Checksums) }

func (w *WriteCondition) code(c *coder) {
	codec.List(c, &w.IfMatch, func(c *coder, e *string) { codec.Text(c, e) })
	codec.List(c, &w.IfNoneMatch, func(c *coder, e *string) { codec.Text(c, e) })
}

func (b *Base) code(c *coder) { codec.Number(c, &b.Volume); codec.Number(c, &b.Sequence) }

func (e *Extent) code(c *coder) {
	e.Base.code(c)
	codec.Number(c, &e.Size)
	codec.Number(c, &e.StripeSize)
	codec.Number(c, &e.Protection.Copies)
	codec.Number(c, &e.Protection.K)
	codec.Number(c, &e.Protection.M)
	if c.Reading() && c.Err() == nil {
		if err := e.validate(); err != nil {
			c.Fail("%v", err)
		}
	}
}

// validate keeps an extent that could not be addressed out of every caller: a
// stripe key is made from it without further checks.
func (e *Extent) validate() error {
	if e.Base.Sequence > sequenceMax || e.StripeSize < 0 || e.StripeSize > StripeSizeMax ||
		e.Size > 0 && e.StripeSize == 0 {
		return errs.E("", errs.Corrupt, "extent %d/%d of stripes of %d", e.Base.Volume, e.Base.Sequence, e.StripeSize)
	}
	if e.stripes() > stripesMax {
		return errs.E("", errs.Corrupt, "extent of %d stripes", e.stripes())
	}
	return e.Protection.Validate()
}

func (p *Part) code(c *coder) {
	codec.Number(c, &p.Number)
	codec.Text(c, &p.ETag)
	codeChecksums(c, &p.Checksums)
	c.When(&p.Modified)
	p.Extent.code(c)
	p.Size = p.Extent.Size
}

func (b *Bucket) code(c *coder) {
	codec.Number(c, &b.ID)
	codec.Text(c, &b.Name)
	codec.Text(c, &b.Owner)
	codec.Text(c, &b.Region)
	c.When(&b.Created)
}

// objectRecord is an object's record: the head, which is all that a listing
// needs and copies without decoding, then metadata, then parts.
type objectRecord struct {
	Head objectHead
	Meta Metadata
	Part []Part
}

// objectHead is the part of a record that a listing shows.
type objectHead struct {
	Size      int64
	ETag      string
	At        clock.Timestamp // of the commit
	Class     string
	Checksums []Checksum
}

func (h *objectHead) code(c *coder) {
	codec.Number(c, &h.Size)
	codec.Text(c, &h.ETag)
	c.Stamp(&h.At)
	codec.Text(c, &h.Class)
	codeChecksums(c, &h.Checksums)
}

func (h *objectHead) object(key string) Object {
	return Object{Key: key, Size: h.Size, ETag: h.ETag, Modified: h.At.Time(), Class: h.Class, Checksums: h.Checksums}
}

// code writes the head with its length before it, for headBytes.
func (r *objectRecord) code(c *coder) {
	if c.Reading() {
		var head string
		codec.Text(c, &head)
		if c.Err() == nil {
			if err := decodeString("object head", head, &r.Head); err != nil {
				c.Fail("%v", err)
			}
		}
	} else {
		head := appendMessage(make([]byte, 0, 128), &r.Head)
		c.Bytes(&head)
	}
	r.Meta.code(c)
	codec.List(c, &r.Part, func(c *coder, p *Part) { p.code(c) })
}

func (r *objectRecord) object(key string) Object {
	o := r.Head.object(key)
	o.Meta, o.Parts = r.Meta, r.Part
	return o
}

// headBytes returns the encoded head within an encoded objectRecord.
func headBytes(v []byte) ([]byte, error) {
	if len(v) > 1 && v[0] == formatV1 {
		n, w := binary.Uvarint(v[1:])
		if w > 0 && n <= uint64(len(v)-1-w) {
			return v[1+w : 1+w+int(n)], nil
		}
	}
	return nil, errs.E("object: read record head", errs.Corrupt, "record of %d bytes has no head", len(v))
}

// uploadRecord is an upload under way; its id is in its key.
type uploadRecord struct {
	Started           clock.Timestamp
	Class             string
	Meta              Metadata
	ChecksumAlgorithm string
	ChecksumType      string
}

func (u *uploadRecord) code(c *coder) {
	c.Stamp(&u.Started)
	codec.Text(c, &u.Class)
	u.Meta.code(c)
	codec.Text(c, &u.ChecksumAlgorithm)
	codec.Text(c, &u.ChecksumType)
}

func (u *uploadRecord) upload(key string, id UploadID) Upload {
	return Upload{ID: id, Key: key, Started: u.Started.Time(), Class: u.Class, Meta: u.Meta,
		ChecksumAlgorithm: u.ChecksumAlgorithm, ChecksumType: u.ChecksumType}
}

// outcomeRecord remembers a completed upload, so that repeating the completion
// after a lost reply succeeds.
type outcomeRecord struct {
	List string // digest of the completed list of parts
	Head objectHead
}

func (o *outcomeRecord) code(c *coder) { codec.Text(c, &o.List); o.Head.code(c) }

// purgeRecord is an extent whose bytes nobody refers to any more.
type purgeRecord struct {
	At        clock.Timestamp // when it came into the queue
	NotBefore clock.Timestamp // when to try again; 0 before the first attempt
	Attempts  uint32
	Extent    Extent
}

func (p *purgeRecord) code(c *coder) {
	c.Stamp(&p.At)
	c.Stamp(&p.NotBefore)
	codec.Number(c, &p.Attempts)
	p.Extent.code(c)
}

// StripeDebt says what one stripe lacks.
type StripeDebt struct {
	Stripe    int64 // number within the extent
	Missing   int   // copies or fragments not durable
	Misplaced int   // durable, but on a hand-off place
}

func (d *StripeDebt) code(c *coder) {
	codec.Number(c, &d.Stripe)
	codec.Number(c, &d.Missing)
	codec.Number(c, &d.Misplaced)
}

// debtRecord lists the stripes of one extent that are short of something.
type debtRecord struct {
	Since   clock.Timestamp
	Extent  Extent
	Stripes []StripeDebt
}

func (d *debtRecord) code(c *coder) {
	c.Stamp(&d.Since)
	d.Extent.code(c)
	codec.List(c, &d.Stripes, func(c *coder, s *StripeDebt) { s.code(c) })
}

// sessionRecord is a connector's session.
type sessionRecord struct {
	Name   string // of the connector
	Opened clock.Timestamp
	Closed clock.Timestamp // 0 while open
	Swept  []string        // servers that have swept it
}

func (s *sessionRecord) code(c *coder) {
	codec.Text(c, &s.Name)
	c.Stamp(&s.Opened)
	c.Stamp(&s.Closed)
	codec.List(c, &s.Swept, func(c *coder, e *string) { codec.Text(c, e) })
}

// counter is a number in a record.
type counter struct{ N uint64 }

func (n *counter) code(c *coder) { c.Uvarint(&n.N) }

// stampTime is t.Time, but zero for zero.
func stampTime(t clock.Timestamp) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return t.Time()
}
