package object

import (
	"encoding/binary"
	"sort"
	"time"

	"torc/internal/clock"
	"torc/internal/errs"
)

// formatV1 is the first byte of every record and message of this package. A
// reader accepts the versions it knows and answers errs.Corrupt to the rest.
const formatV1 = 1

// message is a record or a command's body: code walks its fields in the one
// order that is the format. See docs/formats/records.md.
type message interface{ code(c *coder) }

// coder either appends fields to out or reads them back from in, so that one
// function describes both directions and they cannot drift apart. Strings read
// share in's memory: a page of a thousand keys is one allocation.
type coder struct {
	out     []byte
	in      string
	reading bool
	err     error
}

// encode renders m.
func encode(m message) []byte { return appendMessage(make([]byte, 0, 256), m) }

func appendMessage(dst []byte, m message) []byte {
	c := coder{out: append(dst, formatV1)}
	m.code(&c)
	return c.out
}

// decode reads b, all of it, into m; errs.Corrupt if it does not fit.
func decode(what string, b []byte, m message) error { return decodeString(what, string(b), m) }

func decodeString(what, b string, m message) error {
	c := coder{reading: true}
	switch {
	case len(b) == 0:
		c.fail("empty")
	case b[0] != formatV1:
		c.fail("format version %d, this build reads %d", b[0], formatV1)
	default:
		c.in = b[1:]
		if m.code(&c); c.err == nil && len(c.in) != 0 {
			c.fail("%d bytes too many", len(c.in))
		}
	}
	if c.err != nil {
		return errs.Wrap("object: decode "+what, c.err)
	}
	return nil
}

func (c *coder) fail(format string, args ...any) {
	if c.err == nil {
		c.err = errs.E("", errs.Corrupt, format, args...)
	}
	c.in = ""
}

// uvarint reads or writes an unsigned LEB128 integer.
func (c *coder) uvarint(v *uint64) {
	if !c.reading {
		c.out = binary.AppendUvarint(c.out, *v)
		return
	}
	*v = 0
	for i := 0; i < len(c.in) && i < binary.MaxVarintLen64; i++ {
		b := c.in[i]
		if i == binary.MaxVarintLen64-1 && b > 1 {
			break
		}
		*v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			c.in = c.in[i+1:]
			return
		}
	}
	c.fail("bad integer")
}

// number codes any integer type that is never negative.
func number[T ~int | ~int64 | ~uint8 | ~uint32 | ~uint64](c *coder, v *T) {
	u := uint64(*v)
	c.uvarint(&u)
	if c.reading {
		if *v = T(u); uint64(*v) != u || *v < 0 {
			c.fail("integer %d out of range", u)
			*v = 0
		}
	}
}

func text[T ~string](c *coder, s *T) {
	n := uint64(len(*s))
	c.uvarint(&n)
	if !c.reading {
		c.out = append(c.out, *s...)
		return
	}
	if n > uint64(len(c.in)) {
		c.fail("string of %d bytes, %d left", n, len(c.in))
		*s = ""
		return
	}
	*s, c.in = T(c.in[:n]), c.in[n:]
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func (c *coder) bytes(b *[]byte) {
	if !c.reading {
		c.out = appendBytes(c.out, *b)
		return
	}
	var s string
	if text(c, &s); s != "" {
		*b = []byte(s)
	}
}

func (c *coder) flag(v *bool) {
	var u uint64
	if *v {
		u = 1
	}
	if c.uvarint(&u); u > 1 {
		c.fail("flag %d", u)
	}
	*v = u == 1
}

// stamp is a Timestamp in 8 bytes, so that records compare by it.
func (c *coder) stamp(t *clock.Timestamp) {
	if !c.reading {
		c.out = binary.BigEndian.AppendUint64(c.out, uint64(*t))
		return
	}
	if len(c.in) < 8 {
		c.fail("truncated time stamp")
		return
	}
	var u uint64
	for i := range 8 {
		u = u<<8 | uint64(c.in[i])
	}
	*t, c.in = clock.Timestamp(u), c.in[8:]
}

// when is a time of millisecond precision; the zero time stays zero.
func (c *coder) when(t *time.Time) {
	var ts clock.Timestamp
	if !t.IsZero() {
		ts = clock.MakeTimestamp(*t, 0)
	}
	if c.stamp(&ts); c.reading && ts != 0 {
		*t = ts.Time()
	}
}

// list codes a slice; a count larger than the bytes left cannot be honest,
// because each element takes at least one byte.
func list[T any](c *coder, v *[]T, each func(c *coder, e *T)) {
	n := uint64(len(*v))
	c.uvarint(&n)
	if c.reading {
		if n > uint64(len(c.in)) {
			c.fail("list of %d, %d bytes left", n, len(c.in))
			return
		}
		if *v = nil; n > 0 {
			*v = make([]T, n)
		}
	}
	for i := range *v {
		if each(c, &(*v)[i]); c.err != nil {
			return
		}
	}
}

// dict codes a map of strings in name order, so that equal maps are equal bytes.
func (c *coder) dict(m *map[string]string) {
	type pair struct{ name, value string }
	var pairs []pair
	for k, v := range *m {
		pairs = append(pairs, pair{k, v})
	}
	sort.Slice(pairs, func(i, j int) bool { return pairs[i].name < pairs[j].name })
	list(c, &pairs, func(c *coder, p *pair) { text(c, &p.name); text(c, &p.value) })
	if !c.reading || len(pairs) == 0 {
		return
	}
	*m = make(map[string]string, len(pairs))
	for _, p := range pairs {
		(*m)[p.name] = p.value
	}
}
