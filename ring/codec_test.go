package ring

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/zeebo/xxh3"

	"torc/chunk"
	"torc/internal/errs"
)

// tiny is a map small enough for a fixture.
func tiny(t testing.TB) *Map {
	t.Helper()
	m, _ := mustPlan(t, grid(1, 1, 3, 1))
	return m
}

func TestMapRoundTrip(t *testing.T) {
	for _, members := range []Members{grid(1, 1, 1, 1), grid(2, 2, 2, 2), grid(1, 1, 43, 6), randomMembers(rand.New(rand.NewPCG(5, 5)))} {
		m, _ := mustPlan(t, members)
		b := m.Encode()
		if len(b) != m.encodedLen() {
			t.Errorf("%d bytes, encodedLen says %d", len(b), m.encodedLen())
		}
		got, err := DecodeMap(b)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Encode(), b) || got.Epoch() != m.Epoch() || got.Bits() != m.Bits() {
			t.Fatal("the map changed on its way through the encoding")
		}
		for range 100 {
			k := chunk.Key{byte(rand.Int()), byte(rand.Int()), byte(rand.Int())}
			if want := int(binary.BigEndian.Uint32(k[:]) >> (32 - m.Bits())); m.Arc(k) != want {
				t.Fatalf("%v is in arc %d, want %d", k, m.Arc(k), want)
			}
			list := m.Lookup(k)
			for _, n := range list {
				if !m.Owns(m.Nodes()[n].ID, k) {
					t.Fatalf("%v: node %d is in the list and does not own it", k, n)
				}
			}
		}
		if m.Owns("nobody", chunk.Key{}) {
			t.Fatal("an unknown node owns a key")
		}
	}
}

// TestMapFixture opens a map written by format version 1: it must open for ever.
func TestMapFixture(t *testing.T) {
	file := filepath.Join("testdata", "v1.ringmap")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := DecodeMap(b)
	if err != nil {
		t.Fatal(err)
	}
	if m.Epoch() != 1 || m.Bits() != 8 || m.ListLen() != 3 || len(m.Servers()) != 3 || len(m.Nodes()) != 3 {
		t.Errorf("epoch %d, %d bits, lists of %d", m.Epoch(), m.Bits(), m.ListLen())
	}
	s, ok := m.Server("s2")
	if n, found := m.Node("s2n1"); !ok || !found || s != (Server{"s2", "site0", "z0", "127.0.0.1:7001"}) || n.Weight != 8<<40 || n.Server != "s2" {
		t.Errorf("s2 is %+v with %+v", s, n)
	}
}

func TestDecodeMapRefusesDamage(t *testing.T) {
	b := tiny(t).Encode()
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 0x10
		if _, err := DecodeMap(bad); !errs.Is(err, errs.Corrupt) {
			t.Fatalf("byte %d flipped: %v, want corrupt", i, err)
		}
		if _, err := DecodeMap(b[:i]); !errs.Is(err, errs.Corrupt) {
			t.Fatalf("cut at %d: %v, want corrupt", i, err)
		}
	}
	// Damage under a good checksum: fields, not bits.
	for name, c := range map[string]struct {
		at   int
		v    byte
		want errs.Kind
	}{
		"newer version": {8, 2, errs.Unsupported}, "epoch 0": {10, 0, errs.Corrupt}, "21 bits": {18, 21, errs.Corrupt},
		"lists of 4": {19, 4, errs.Corrupt}, "4 servers": {20, 4, errs.Corrupt}, "2 nodes": {22, 2, errs.Corrupt},
		"node twice in a list": {len(b) - 9, b[len(b)-10], errs.Corrupt}, "node out of range": {len(b) - 9, 3, errs.Corrupt},
	} {
		bad := bytes.Clone(b[:len(b)-8])
		bad[c.at] = c.v
		bad = binary.LittleEndian.AppendUint64(bad, xxh3.Hash(bad))
		if _, err := DecodeMap(bad); !errs.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func FuzzDecodeMap(f *testing.F) {
	f.Add(tiny(f).Encode())
	m, _ := mustPlan(f, grid(1, 1, 43, 6))
	f.Add(m.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= 8 { // let the fuzzer past the checksum
			b = binary.LittleEndian.AppendUint64(bytes.Clone(b[:len(b)-8]), xxh3.Hash(b[:len(b)-8]))
		}
		m, err := DecodeMap(b)
		if err == nil && !bytes.Equal(m.Encode(), b) {
			t.Fatal("decoded, but encodes to something else")
		}
	})
}

func TestMembersValidate(t *testing.T) {
	if err := grid(2, 2, 2, 2).Validate(); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		change func(*Members)
		want   errs.Kind
	}{
		"no nodes":        {func(m *Members) { m.Nodes = nil }, errs.Invalid},
		"server twice":    {func(m *Members) { m.Servers[1].ID = m.Servers[0].ID }, errs.Invalid},
		"node twice":      {func(m *Members) { m.Nodes[1].ID = m.Nodes[0].ID }, errs.Invalid},
		"foreign server":  {func(m *Members) { m.Nodes[1].Server = "x" }, errs.Invalid},
		"no weight":       {func(m *Members) { m.Nodes[1].Weight = 0 }, errs.Invalid},
		"too much weight": {func(m *Members) { m.Nodes[1].Weight = 1 << 63 }, errs.TooLarge},
		"no server name":  {func(m *Members) { m.Servers[1].ID = "" }, errs.Invalid},
		"space in a name": {func(m *Members) { m.Nodes[1].ID = "a b" }, errs.Invalid},
		"bad zone":        {func(m *Members) { m.Servers[1].Zone = "\n" }, errs.Invalid},
		"no port":         {func(m *Members) { m.Servers[1].Addr = "127.0.0.1" }, errs.Invalid},
		"too many":        {func(m *Members) { m.Servers = make([]Server, ServersMax+1) }, errs.TooLarge},
	}
	for name, c := range cases {
		m := grid(1, 1, 3, 2)
		c.change(&m)
		if err := m.Validate(); !errs.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if _, _, err := PlanInitial(m); !errs.Is(err, c.want) {
			t.Errorf("%s: planned: %v, want %v", name, err, c.want)
		}
	}
}
