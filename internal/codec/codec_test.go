package codec

import (
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"torc/internal/clock"
	"torc/internal/errs"
)

type all struct {
	n    uint64
	i    int64
	s    string
	b    []byte
	f    bool
	at   clock.Timestamp
	when time.Time
	m    map[string]string
	l    []int
}

func (a *all) code(c *Coder) {
	c.Uvarint(&a.n)
	Number(c, &a.i)
	Text(c, &a.s)
	c.Bytes(&a.b)
	c.Flag(&a.f)
	c.Stamp(&a.at)
	c.When(&a.when)
	c.Dict(&a.m)
	List(c, &a.l, func(c *Coder, e *int) { Number(c, e) })
}

func TestRoundTrip(t *testing.T) {
	a := all{math.MaxUint64, math.MaxInt64, "é", []byte{0}, true, 7, time.UnixMilli(5).UTC(), map[string]string{"b": "1", "a": ""}, []int{0, 300}}
	w := Writer(nil)
	a.code(&w)
	var b all
	r := Reader(string(w.Out()))
	b.code(&r)
	if r.Err() != nil || r.Left() != 0 || a.n != b.n || a.i != b.i || a.s != b.s || string(a.b) != string(b.b) || a.f != b.f ||
		a.at != b.at || !a.when.Equal(b.when) || !maps.Equal(a.m, b.m) || !slices.Equal(a.l, b.l) {
		t.Fatalf("wrote %+v, read %+v, %v", a, b, r.Err())
	}
	for i := range w.Out() {
		r := Reader(string(w.Out()[:i]))
		if new(all).code(&r); !errs.Is(r.Err(), errs.Corrupt) {
			t.Fatalf("the first %d bytes read without an error: %v", i, r.Err())
		}
	}
}

func TestRefusals(t *testing.T) {
	read := func(s string, f func(c *Coder)) {
		t.Helper()
		c := Reader(s)
		if f(&c); !errs.Is(c.Err(), errs.Corrupt) || c.Left() != 0 {
			t.Fatalf("%q: %v, %d bytes left", s, c.Err(), c.Left())
		}
	}
	read("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", func(c *Coder) { c.Uvarint(new(uint64)) }) // 65 bits
	read("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", func(c *Coder) { Number(c, new(int64)) })  // negative
	read("\x80\x02", func(c *Coder) { Number(c, new(uint8)) })
	read("\x02", func(c *Coder) { c.Flag(new(bool)) })
	read("\x05abcd", func(c *Coder) { Text(c, new(string)) })
	read("\xff\xff\xff\xff\x0f\x01", func(c *Coder) { List(c, new([]int), func(c *Coder, e *int) { Number(c, e) }) })
}
