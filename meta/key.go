package meta

import (
	"bytes"

	"torc/internal/errs"
)

// Key space, by first byte: 0x00 the range's own bookkeeping (not reachable by
// handlers), 0x01 local keys, 0x02 and up plain keys chosen by the layers above.
const (
	prefixSystem = 0x00
	prefixLocal  = 0x01
	// PrefixPlain is the lowest first byte of a plain key.
	PrefixPlain = 0x02
)

// LocalKey returns the key of a record in a local table that always lives in
// the range holding the plain key anchor:
//
//	0x01 | table | escape(anchor) | 0x00 0x01 | suffix
//
// where escape turns 0x00 into 0x00 0xFF. Within a table, records are ordered
// by anchor, then by suffix, so all records of the anchors in an interval are
// one scan: see LocalSpan.
func LocalKey(table byte, anchor, suffix []byte) []byte {
	k := make([]byte, 0, len(anchor)+len(suffix)+8)
	k = append(k, prefixLocal, table)
	k = appendEscaped(k, anchor)
	k = append(k, 0x00, 0x01)
	return append(k, suffix...)
}

// LocalSpan returns the span of a local table's records whose anchor lies in
// [from, to); nil to means all the rest of the table.
func LocalSpan(table byte, from, to []byte) Span {
	s := Span{From: appendEscaped([]byte{prefixLocal, table}, from)}
	if to == nil {
		s.To = []byte{prefixLocal, table + 1}
		if table == 0xff {
			s.To = []byte{prefixLocal + 1}
		}
		return s
	}
	s.To = appendEscaped([]byte{prefixLocal, table}, to)
	return s
}

// SplitLocalKey undoes LocalKey. errs.Corrupt if k is not a local key.
func SplitLocalKey(k []byte) (table byte, anchor, suffix []byte, err error) {
	if len(k) < 4 || k[0] != prefixLocal {
		return 0, nil, nil, errs.E("meta.SplitLocalKey", errs.Corrupt, "%x is not a local key", k)
	}
	rest := k[2:]
	for {
		i := bytes.IndexByte(rest, 0x00)
		if i < 0 || i+1 >= len(rest) {
			return 0, nil, nil, errs.E("meta.SplitLocalKey", errs.Corrupt, "%x has no anchor end", k)
		}
		anchor = append(anchor, rest[:i]...)
		end := rest[i+1]
		rest = rest[i+2:]
		switch end {
		case 0x01:
			return k[1], anchor, rest, nil
		case 0xff:
			anchor = append(anchor, 0x00)
		default:
			return 0, nil, nil, errs.E("meta.SplitLocalKey", errs.Corrupt, "%x has a bad escape", k)
		}
	}
}

// PrefixEnd returns the first key after all keys that begin with prefix; nil if there is none.
func PrefixEnd(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] != 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}

func appendEscaped(dst, b []byte) []byte {
	for _, c := range b {
		if dst = append(dst, c); c == 0x00 {
			dst = append(dst, 0xff)
		}
	}
	return dst
}
