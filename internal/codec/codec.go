// Package codec is the compact encoding of records and messages: fields in a
// fixed order, without names, integers as LEB128. One function walks the fields
// of a type for writing and for reading. Versions are the caller's business, the
// first byte before the fields.
package codec

import (
	"encoding/binary"
	"sort"
	"time"

	"torc/internal/clock"
	"torc/internal/errs"
)

// Coder either appends fields or reads them back, so that one
// function describes both directions and they cannot drift apart. Strings read
// share in's memory: a page of a thousand keys is one allocation.
type Coder struct {
	out     []byte
	in      string
	reading bool
	err     error
}

// Writer returns a Coder that appends to dst.
func Writer(dst []byte) Coder { return Coder{out: dst} }

// Reader returns a Coder that reads s.
func Reader(s string) Coder { return Coder{in: s, reading: true} }

// Reading reports whether fields are read.
func (c *Coder) Reading() bool { return c.reading }

// Out returns what was written.
func (c *Coder) Out() []byte { return c.out }

// Err returns the failure of a reading.
func (c *Coder) Err() error { return c.err }

// Left returns how many bytes are not yet read.
func (c *Coder) Left() int { return len(c.in) }

// Fail makes the reading fail with errs.Corrupt; the first failure counts.
func (c *Coder) Fail(format string, args ...any) {
	if c.err == nil {
		c.err = errs.E("", errs.Corrupt, format, args...)
	}
	c.in = ""
}

// Uvarint reads or writes an unsigned LEB128 integer.
func (c *Coder) Uvarint(v *uint64) {
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
	c.Fail("bad integer")
}

// Number codes any integer type that is never negative.
func Number[T ~int | ~int64 | ~uint8 | ~uint32 | ~uint64](c *Coder, v *T) {
	u := uint64(*v)
	c.Uvarint(&u)
	if c.reading {
		if *v = T(u); uint64(*v) != u || *v < 0 {
			c.Fail("integer %d out of range", u)
			*v = 0
		}
	}
}

// Text codes a string: its length, then its bytes.
func Text[T ~string](c *Coder, s *T) {
	n := uint64(len(*s))
	c.Uvarint(&n)
	if !c.reading {
		c.out = append(c.out, *s...)
		return
	}
	if n > uint64(len(c.in)) {
		c.Fail("string of %d bytes, %d left", n, len(c.in))
		*s = ""
		return
	}
	*s, c.in = T(c.in[:n]), c.in[n:]
}

// AppendBytes appends what Bytes would write.
func AppendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// Bytes codes bytes as Text does; nothing reads as nil.
func (c *Coder) Bytes(b *[]byte) {
	if !c.reading {
		c.out = AppendBytes(c.out, *b)
		return
	}
	var s string
	if Text(c, &s); s != "" {
		*b = []byte(s)
	}
}

// Flag codes a truth as the integer 0 or 1.
func (c *Coder) Flag(v *bool) {
	var u uint64
	if *v {
		u = 1
	}
	if c.Uvarint(&u); u > 1 {
		c.Fail("flag %d", u)
	}
	*v = u == 1
}

// Stamp is a Timestamp in 8 bytes, so that records compare by it.
func (c *Coder) Stamp(t *clock.Timestamp) {
	if !c.reading {
		c.out = binary.BigEndian.AppendUint64(c.out, uint64(*t))
		return
	}
	if len(c.in) < 8 {
		c.Fail("truncated time stamp")
		return
	}
	var u uint64
	for i := range 8 {
		u = u<<8 | uint64(c.in[i])
	}
	*t, c.in = clock.Timestamp(u), c.in[8:]
}

// When is a time of millisecond precision; the zero time stays zero.
func (c *Coder) When(t *time.Time) {
	var ts clock.Timestamp
	if !t.IsZero() {
		ts = clock.MakeTimestamp(*t, 0)
	}
	if c.Stamp(&ts); c.reading && ts != 0 {
		*t = ts.Time()
	}
}

// List codes a slice; a count larger than the bytes left cannot be honest,
// because each element takes at least one byte.
func List[T any](c *Coder, v *[]T, each func(c *Coder, e *T)) {
	n := uint64(len(*v))
	c.Uvarint(&n)
	if c.reading {
		if n > uint64(len(c.in)) {
			c.Fail("list of %d, %d bytes left", n, len(c.in))
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

// Dict codes a map of strings in name order, so that equal maps are equal bytes.
func (c *Coder) Dict(m *map[string]string) {
	type pair struct{ name, value string }
	var pairs []pair
	for k, v := range *m {
		pairs = append(pairs, pair{k, v})
	}
	sort.Slice(pairs, func(i, j int) bool { return pairs[i].name < pairs[j].name })
	List(c, &pairs, func(c *Coder, p *pair) { Text(c, &p.name); Text(c, &p.value) })
	if !c.reading || len(pairs) == 0 {
		return
	}
	*m = make(map[string]string, len(pairs))
	for _, p := range pairs {
		(*m)[p.name] = p.value
	}
}
