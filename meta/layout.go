package meta

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"
)

// Physical keys in a store's Pebble, by first byte. docs/formats/meta.md is the
// reference.
//
//	'd' | key                      the ranges' replicated data
//	'r' | group | 'h'              a replica's raft hard state
//	'r' | group | 'l' | index      its log
//	'r' | group | 't'              where its log begins
//	's' | 'i'                      whose store this is
//
// Logical keys under prefixSystem are a range's own replicated bookkeeping:
//
//	0x00 | group | 'a'             applied state: index, term, clock, descriptor
//	0x00 | group | 'q' | bucket | request id   outcome of an applied command
const (
	physData  = 'd'
	physRaft  = 'r'
	physStore = 's'

	raftHard  = 'h'
	raftLog   = 'l'
	raftTrunc = 't'

	sysApplied = 'a'
	sysDedupe  = 'q'
)

// groupID names a range's raft group. The first range is group 1.
type groupID uint64

// replicaID names one replica within its group; it is raft's node id.
type replicaID uint64

const firstGroup groupID = 1

func dataKey(logical []byte) []byte {
	return append(append(make([]byte, 0, len(logical)+1), physData), logical...)
}

// dataSpan turns logical bounds into physical ones.
func dataSpan(s Span) (lower, upper []byte) {
	lower = dataKey(s.From)
	if s.To == nil {
		return lower, []byte{physData + 1}
	}
	return lower, dataKey(s.To)
}

func raftKey(g groupID, kind byte) []byte {
	k := append(make([]byte, 0, 18), physRaft)
	k = binary.BigEndian.AppendUint64(k, uint64(g))
	return append(k, kind)
}

func logKey(g groupID, index uint64) []byte {
	return binary.BigEndian.AppendUint64(raftKey(g, raftLog), index)
}

func sysKey(g groupID, table byte) []byte {
	k := append(make([]byte, 0, 32), prefixSystem)
	k = binary.BigEndian.AppendUint64(k, uint64(g))
	return append(k, table)
}

func dedupeKey(g groupID, bucket uint32, id requestID) []byte {
	k := binary.BigEndian.AppendUint32(sysKey(g, sysDedupe), bucket)
	return append(k, id[:]...)
}

func dedupeBucketSpan(g groupID, from, to uint32) Span {
	return Span{
		From: binary.BigEndian.AppendUint32(sysKey(g, sysDedupe), from),
		To:   binary.BigEndian.AppendUint32(sysKey(g, sysDedupe), to),
	}
}

func identityKey() []byte { return []byte{physStore, 'i'} }

// get reads one physical key; nil when absent. The value is the caller's.
func get(r pebble.Reader, key []byte) ([]byte, error) {
	v, closer, err := r.Get(key)
	if err == pebble.ErrNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, len(v)), v...)
	return out, closer.Close()
}
