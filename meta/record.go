package meta

import (
	"encoding/binary"
	"hash/crc32"

	"torc/internal/errs"
)

// formatVersion opens every record, entry and message that this package writes.
const formatVersion = 1

// seal frames a payload that outlives this process:
//
//	version u8 | crc32c u32 of key and payload | payload
//
// The key takes part in the checksum, so a record under the wrong key is caught.
func seal(key, payload []byte) []byte {
	out := make([]byte, 5, 5+len(payload))
	out[0] = formatVersion
	binary.LittleEndian.PutUint32(out[1:], sum(key, payload))
	return append(out, payload...)
}

// unseal verifies a record and returns its payload, which lies in rec.
func unseal(what string, key, rec []byte) ([]byte, error) {
	if len(rec) < 5 {
		return nil, errs.E("meta: read "+what, errs.Corrupt, "record of %d bytes is too short", len(rec))
	}
	if rec[0] != formatVersion {
		return nil, errs.E("meta: read "+what, errs.Corrupt, "format version %d is not known", rec[0])
	}
	if got, want := sum(key, rec[5:]), binary.LittleEndian.Uint32(rec[1:]); got != want {
		return nil, errs.E("meta: read "+what, errs.Corrupt, "checksum %08x, stored %08x", got, want)
	}
	return rec[5:], nil
}

func sum(parts ...[]byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	var s uint32
	for _, p := range parts {
		s = crc32.Update(s, table, p)
	}
	return s
}

// encoder appends fields; decoder reads them back and keeps the first error.
type encoder struct{ b []byte }

func (e *encoder) u8(v byte)        { e.b = append(e.b, v) }
func (e *encoder) uvarint(v uint64) { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) raw(p []byte)     { e.b = append(e.b, p...) }
func (e *encoder) bytes(p []byte) {
	e.uvarint(uint64(len(p)))
	e.raw(p)
}

type decoder struct {
	b    []byte
	what string
	err  error
}

func (d *decoder) fail(msg string) {
	if d.err == nil {
		d.err = errs.E("meta: read "+d.what, errs.Corrupt, "%s", msg)
	}
	d.b = nil
}

func (d *decoder) u8() byte {
	if len(d.b) < 1 {
		d.fail("ends early")
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("bad integer")
		return 0
	}
	d.b = d.b[n:]
	return v
}

// raw returns the next n bytes, which lie in the input.
func (d *decoder) raw(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail("ends early")
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes(lenMax int) []byte {
	n := d.uvarint()
	if n > uint64(lenMax) {
		d.fail("field is too long")
		return nil
	}
	return d.raw(n)
}

// count reads a list's length, which cannot exceed the bytes that follow.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail("list is too long")
		return 0
	}
	return int(n)
}

// done fails unless all input was read.
func (d *decoder) done() error {
	if d.err == nil && len(d.b) != 0 {
		d.fail("has bytes after its end")
	}
	return d.err
}
