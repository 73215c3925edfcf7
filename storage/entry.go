package storage

import (
	"encoding/binary"

	"torc/chunk"
	"torc/internal/errs"
)

// entry is what the index knows of a key: the chunk's Info and where its record is.
type entry struct {
	version   chunk.Version
	deleted   bool
	container uint32
	pos       int64
	seq       uint64
	size      int64
	sum       uint32
	groupSize int64
	owner     []byte
	// Containers hideLo..hideHi may hold older records of the key, which this one
	// hides; 0, 0 if there are none. A tombstone must outlive them.
	hideLo, hideHi uint32
}

// beats reports whether e replaces old: the higher version, a tombstone before a
// put of the same version, the later copy of the same record. The order of
// records on the disk does not matter, so replay in any order ends the same.
func (e *entry) beats(old *entry) bool {
	if e.version != old.version {
		return e.version > old.version
	}
	if e.deleted != old.deleted {
		return e.deleted
	}
	return e.seq > old.seq
}

// merge returns what the index holds after record n came to e. It is commutative
// and associative.
func (e entry) merge(n entry) entry {
	winner, loser := e, n
	if n.beats(&e) {
		winner, loser = n, e
	}
	winner.hides(loser.hideLo, loser.hideHi)
	winner.hides(loser.container, loser.container)
	return winner
}

// hides widens the interval of containers with older records.
func (e *entry) hides(lo, hi uint32) {
	if lo == 0 {
		return
	}
	if e.hideLo == 0 || lo < e.hideLo {
		e.hideLo = lo
	}
	e.hideHi = max(e.hideHi, hi)
}

func (e *entry) header(k chunk.Key) header {
	h := header{typ: typePut, key: k, version: e.version, seq: e.seq, container: e.container, pos: e.pos,
		size: e.size, groupSize: e.groupSize, ownerLen: len(e.owner), sum: e.sum}
	if e.deleted {
		h.typ = typeTombstone
	}
	return h
}

func entryOf(h header, owner []byte) entry {
	return entry{version: h.version, deleted: h.typ == typeTombstone, container: h.container, pos: h.pos, seq: h.seq,
		size: h.size, sum: h.sum, groupSize: h.groupSize, owner: owner}
}

func (e *entry) recordLen(k chunk.Key) int64 {
	h := e.header(k)
	return h.recordLen()
}

func (e *entry) info(k chunk.Key) chunk.Info {
	return chunk.Info{Key: k, Version: e.version, Size: e.size, Sum: e.sum, Deleted: e.deleted,
		Attrs: chunk.Attrs{GroupSize: e.groupSize, Owner: e.owner}}
}

const (
	entryFormat  = 1
	entryDeleted = 1 << 0
)

func (e *entry) append(b []byte) []byte {
	flags := byte(0)
	if e.deleted {
		flags |= entryDeleted
	}
	b = append(b, entryFormat, flags)
	b = binary.LittleEndian.AppendUint32(b, e.sum)
	for _, v := range [...]uint64{uint64(e.version), uint64(e.container), uint64(e.pos), e.seq, uint64(e.size),
		uint64(e.groupSize), uint64(e.hideLo), uint64(e.hideHi), uint64(len(e.owner))} {
		b = binary.AppendUvarint(b, v)
	}
	return append(b, e.owner...)
}

// decodeEntry reads what append wrote. The owner is a copy.
func decodeEntry(b []byte) (entry, error) {
	bad := errs.E("storage.decodeEntry", errs.Corrupt, "index entry damaged")
	if len(b) < 6 || b[0] != entryFormat {
		return entry{}, bad
	}
	e := entry{deleted: b[1]&entryDeleted != 0, sum: binary.LittleEndian.Uint32(b[2:])}
	b = b[6:]
	var v [9]uint64
	for i := range v {
		n := 0
		if v[i], n = binary.Uvarint(b); n <= 0 {
			return entry{}, bad
		}
		b = b[n:]
	}
	if v[8] != uint64(len(b)) || v[4] > chunk.SizeMax {
		return entry{}, bad
	}
	e.version, e.container, e.pos, e.seq, e.size = chunk.Version(v[0]), uint32(v[1]), int64(v[2]), v[3], int64(v[4])
	e.groupSize, e.hideLo, e.hideHi = int64(v[5]), uint32(v[6]), uint32(v[7])
	if len(b) > 0 {
		e.owner = append([]byte(nil), b...)
	}
	return e, nil
}

const statFormat = 1

func (s *containerStat) append(b []byte) []byte {
	flags := byte(0)
	if s.sealed {
		flags |= 1
	}
	if s.quarantined {
		flags |= 2
	}
	b = append(b, statFormat, flags)
	for _, v := range [...]uint64{uint64(s.end), s.seq, uint64(s.liveBytes), uint64(s.livePuts), uint64(s.liveData), uint64(s.tombstones), uint64(s.youngest)} {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

func decodeStat(b []byte) (containerStat, error) {
	bad := errs.E("storage.decodeStat", errs.Corrupt, "index damaged: container statistics")
	if len(b) < 2 || b[0] != statFormat {
		return containerStat{}, bad
	}
	s := containerStat{sealed: b[1]&1 != 0, quarantined: b[1]&2 != 0}
	b = b[2:]
	var v [7]uint64
	for i := range v {
		n := 0
		if v[i], n = binary.Uvarint(b); n <= 0 {
			return containerStat{}, bad
		}
		b = b[n:]
	}
	s.end, s.seq, s.liveBytes, s.livePuts, s.liveData, s.tombstones = int64(v[0]), v[1], int64(v[2]), int64(v[3]), int64(v[4]), int64(v[5])
	s.youngest = chunk.Version(v[6])
	return s, nil
}
