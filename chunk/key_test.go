package chunk

import (
	"errors"
	"testing"

	"torc/internal/errs"
)

// The published ARC vectors: specific tells k, m and schema.
func TestPublishedSpecificVectors(t *testing.T) {
	for _, v := range []struct {
		key  string
		want Protection
	}{
		{"4A121AC61828A937E32EAF000000005110206070", EC(4, 2)},
		{"55A0249F5F59A3AF58AB79000000005110206070", EC(4, 2)},
		{"C93AC3EC755EF83FAC62D900000000512430C070", EC(9, 3)},
		{"0000000000000000000000000000005120" + "40C070", EC(8, 4)},
		{"0000000000000000000000000000005" + "91C50C070", EC(7, 5)},
	} {
		k, err := ParseKey(v.key)
		if err != nil {
			t.Fatalf("%s: %v", v.key, err)
		}
		if k.Protection() != v.want || k.Index() != 0 || k.String() != v.key {
			t.Errorf("%s: %v index %d, want %v index 0", v.key, k.Protection(), k.Index(), v.want)
		}
	}
}

func TestNewKeyRoundTrip(t *testing.T) {
	for _, prot := range []Protection{Replicas(1), Replicas(3), Replicas(6), EC(4, 2), EC(20, 8), EC(1, 1)} {
		p := Payload{Object: 0x1122334455667788, Volume: 0x99aabbcc, Service: ServiceS3, Specific: 0xdef}
		k := NewKey(p, prot)
		if k.Protection() != prot {
			t.Errorf("%v: key says %v", prot, k.Protection())
		}
		got := k.Payload()
		if got.Object != p.Object || got.Volume != p.Volume || got.Service != p.Service {
			t.Errorf("%v: payload %+v", prot, got)
		}
		seen := map[Key]bool{}
		for i := range prot.Width() {
			s := k.Sibling(i)
			if s.Index() != i || s.Position() != k.Position() || s.Main() != k || s.Validate() != nil {
				t.Errorf("%v: sibling %d is %s (index %d)", prot, i, s, s.Index())
			}
			seen[s] = true
			if back, err := ParseKey(s.String()); err != nil || back != s {
				t.Errorf("%s does not parse back: %v", s, err)
			}
		}
		if len(seen) != prot.Width() {
			t.Errorf("%v: %d distinct siblings", prot, len(seen))
		}
	}
}

func TestParseKeyRejects(t *testing.T) {
	for _, s := range []string{
		"", "00", "G000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000060", // class 6
		"0000000000000000000000000000000000000023", // copy 3 of 3
		"0000000000000000000000000000005110206076", // fragment 6 of 6
		"0000000000000000000000000000005100206070", // k = 0
		"0000000000000000000000000000005110205070", // schema 5 < 6
		"00000000000000000000000000000000000000800",
	} {
		if k, err := ParseKey(s); !errors.Is(err, errs.Invalid) {
			t.Errorf("ParseKey(%q) = %v, %v; want Invalid", s, k, err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("C93AC3EC755EF83FAC62D900000000512430C070")
	f.Add("0000000000000000000000000000000000000022")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseKey(s)
		if err != nil {
			return
		}
		back, err := ParseKey(k.String())
		if err != nil || back != k {
			t.Fatalf("%q -> %s -> %v", s, k, err)
		}
		if n := k.Protection().Width(); k.Index() >= n || k.Sibling(n-1).Main() != k.Main() {
			t.Fatalf("%s: index %d of %d", k, k.Index(), n)
		}
	})
}
