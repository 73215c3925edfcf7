package ring

import (
	"encoding/binary"

	"github.com/zeebo/xxh3"

	"torc/chunk"
	"torc/internal/errs"
)

// The encoding of a Map; docs/formats/ringmap.md is its page. All integers are
// little-endian, names are length-prefixed.
const (
	mapMagic   = "TORCMAP\n"
	mapVersion = 1

	mapHeaderLen = len(mapMagic) + 2 + 8 + 1 + 1 + 2 + 4
	mapSumLen    = 8

	// MapLenMax bounds an encoded map: the largest membership with the longest names.
	MapLenMax = ListLenMax<<BitsMax*2 + ServersMax*(4+3*NameLenMax+AddrLenMax) + NodesMax*(1+NameLenMax+2+8) + mapHeaderLen + mapSumLen
)

// Encode renders m. The last eight bytes are the XXH3-64 of all before them.
func (m *Map) Encode() []byte {
	b := make([]byte, 0, m.encodedLen())
	b = append(b, mapMagic...)
	b = binary.LittleEndian.AppendUint16(b, mapVersion)
	b = binary.LittleEndian.AppendUint64(b, uint64(m.epoch))
	b = append(b, m.bits, byte(m.listLen))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(m.members.Servers)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.members.Nodes)))
	for _, s := range m.members.Servers {
		for _, f := range []string{string(s.ID), string(s.Site), string(s.Zone), s.Addr} {
			b = append(append(b, byte(len(f))), f...)
		}
	}
	for i, n := range m.members.Nodes {
		b = append(append(b, byte(len(n.ID))), n.ID...)
		b = binary.LittleEndian.AppendUint16(b, uint16(m.server[i]))
		b = binary.LittleEndian.AppendUint64(b, n.Weight)
	}
	for _, n := range m.lists {
		if m.entryLen() == 1 {
			b = append(b, byte(n))
		} else {
			b = binary.LittleEndian.AppendUint16(b, n)
		}
	}
	return binary.LittleEndian.AppendUint64(b, xxh3.Hash(b))
}

// entryLen is the bytes of one list entry: one as long as it can.
func (m *Map) entryLen() int { return entryLen(len(m.members.Nodes)) }

func entryLen(nodes int) int {
	if nodes <= 256 {
		return 1
	}
	return 2
}

func (m *Map) encodedLen() int {
	n := mapHeaderLen + mapSumLen + len(m.lists)*m.entryLen()
	for _, s := range m.members.Servers {
		n += 4 + len(s.ID) + len(s.Site) + len(s.Zone) + len(s.Addr)
	}
	for _, d := range m.members.Nodes {
		n += 1 + len(d.ID) + 2 + 8
	}
	return n
}

// DecodeMap reads what Encode wrote and checks all of it. errs.Corrupt if the
// bytes are damaged, errs.Unsupported if a newer version of Torc wrote them.
func DecodeMap(b []byte) (*Map, error) {
	const op = "ring.DecodeMap"
	if len(b) < mapHeaderLen+mapSumLen || len(b) > MapLenMax || string(b[:len(mapMagic)]) != mapMagic {
		return nil, errs.E(op, errs.Corrupt, "%d bytes that are not a ring map", len(b))
	}
	body, sum := b[:len(b)-mapSumLen], binary.LittleEndian.Uint64(b[len(b)-mapSumLen:])
	if got := xxh3.Hash(body); got != sum {
		return nil, errs.E(op, errs.Corrupt, "checksum %016x, want %016x", got, sum)
	}
	r := reader{b: body[len(mapMagic):]}
	if v := r.uint(2); v != mapVersion {
		return nil, errs.E(op, errs.Unsupported, "format version %d, this program reads %d", v, mapVersion)
	}
	epoch, bits, listLen := r.uint(8), r.uint(1), r.uint(1)
	ns, nn := r.uint(2), r.uint(4)
	if bits > BitsMax || listLen > ListLenMax || ns > ServersMax || nn > NodesMax {
		return nil, errs.E(op, errs.Corrupt, "%d bits, lists of %d, %d servers, %d nodes: beyond the limits", bits, listLen, ns, nn)
	}
	members := r.members(int(ns), int(nn))
	size := entryLen(int(nn))
	if r.bad || len(r.b) != int(listLen)<<bits*size {
		return nil, errs.E(op, errs.Corrupt, "lists of %d bytes, want %d", len(r.b), int(listLen)<<bits*size)
	}
	lists := make([]uint16, int(listLen)<<bits)
	for i := range lists {
		lists[i] = uint16(r.uint(size))
	}
	m, err := newMap(chunk.Epoch(epoch), uint8(bits), int(listLen), members, lists)
	if err != nil {
		return nil, errs.E(op, errs.Corrupt, "%w", err)
	}
	return m, nil
}

// reader takes fields off the front of b; bad is set when it runs out.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) uint(n int) (v uint64) {
	for i, c := range r.take(n) {
		v |= uint64(c) << (8 * i)
	}
	return v
}

func (r *reader) text() string { return string(r.take(int(r.uint(1)))) }

// members reads both tables. A node that names a server out of range keeps an
// empty server id, which Validate rejects.
func (r *reader) members(servers, nodes int) (m Members) {
	for i := 0; i < servers && !r.bad; i++ {
		m.Servers = append(m.Servers, Server{chunk.ServerID(r.text()), Site(r.text()), Zone(r.text()), r.text()})
	}
	for i := 0; i < nodes && !r.bad; i++ {
		n := Node{ID: chunk.NodeID(r.text())}
		if s := int(r.uint(2)); s < len(m.Servers) {
			n.Server = m.Servers[s].ID
		}
		n.Weight = r.uint(8)
		m.Nodes = append(m.Nodes, n)
	}
	return m
}
