package meta

import (
	"bytes"
	"testing"
)

func TestLocalKeysSortByAnchorThenSuffix(t *testing.T) {
	anchors := [][]byte{{}, {0}, {0, 0}, {0, 1}, {0, 0xff}, {1}, []byte("a"), []byte("a\x00"), []byte("a\x00b"), []byte("ab"), {0xff}}
	suffixes := [][]byte{{}, {0}, {0xff}}
	var prev []byte
	for _, a := range anchors {
		for _, s := range suffixes {
			k := LocalKey('p', a, s)
			if prev != nil && bytes.Compare(prev, k) >= 0 {
				t.Fatalf("%x does not sort after %x", k, prev)
			}
			prev = k
			table, ga, gs, err := SplitLocalKey(k)
			if err != nil || table != 'p' || !bytes.Equal(ga, a) || !bytes.Equal(gs, s) {
				t.Fatalf("%x splits into %c %x %x, %v", k, table, ga, gs, err)
			}
		}
	}
}

func TestLocalSpanHoldsExactlyItsAnchors(t *testing.T) {
	from, to := []byte("b"), []byte("c\x00")
	span := LocalSpan('p', from, to)
	for _, a := range []string{"a", "b", "b\x00", "bz", "c", "c\x00", "c\x00\x00", "d"} {
		k := LocalKey('p', []byte(a), []byte{0xff})
		in := bytes.Compare(k, span.From) >= 0 && bytes.Compare(k, span.To) < 0
		if want := a >= string(from) && a < string(to); in != want {
			t.Errorf("anchor %q in span: %v, want %v", a, in, want)
		}
	}
}

func TestPrefixEnd(t *testing.T) {
	for in, want := range map[string]string{"a": "b", "a\xff": "b", "a\x00": "a\x01"} {
		if got := PrefixEnd([]byte(in)); string(got) != want {
			t.Errorf("PrefixEnd(%q) = %q, want %q", in, got, want)
		}
	}
	if PrefixEnd([]byte{0xff, 0xff}) != nil {
		t.Error("no end expected after ff ff")
	}
}
