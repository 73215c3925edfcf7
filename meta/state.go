package meta

import (
	"go.etcd.io/raft/v3/raftpb"

	"torc/internal/clock"
)

// appliedState is a range's replicated bookkeeping, written with every entry's
// effects, so that data and index can never disagree.
type appliedState struct {
	index  uint64
	term   uint64
	clock  clock.Timestamp
	bucket uint32
	desc   descriptor
}

// descriptor says what a range holds and who its replicas are.
type descriptor struct {
	span     Span // of plain keys
	replicas []replica
}

type replica struct {
	id     replicaID
	server string
}

func (d descriptor) confState() *raftpb.ConfState {
	cs := &raftpb.ConfState{}
	for _, r := range d.replicas {
		cs.Voters = append(cs.Voters, uint64(r.id))
	}
	return cs
}

func (d descriptor) server(id replicaID) string {
	for _, r := range d.replicas {
		if r.id == id {
			return r.server
		}
	}
	return ""
}

func (d descriptor) replica(server string) replicaID {
	for _, r := range d.replicas {
		if r.server == server {
			return r.id
		}
	}
	return 0
}

func (s appliedState) encode() []byte {
	enc := encoder{}
	enc.uvarint(s.index)
	enc.uvarint(s.term)
	enc.uvarint(uint64(s.clock))
	enc.uvarint(uint64(s.bucket))
	enc.bytes(s.desc.span.From)
	enc.bytes(s.desc.span.To)
	enc.uvarint(uint64(len(s.desc.replicas)))
	for _, r := range s.desc.replicas {
		enc.uvarint(uint64(r.id))
		enc.bytes([]byte(r.server))
	}
	return enc.b
}

func decodeAppliedState(b []byte) (appliedState, error) {
	d := decoder{b: b, what: "applied state"}
	s := appliedState{index: d.uvarint(), term: d.uvarint(), clock: clock.Timestamp(d.uvarint()), bucket: uint32(d.uvarint())}
	s.desc.span.From = append([]byte(nil), d.bytes(KeyLenMax)...)
	// An empty upper end means none: no plain key sorts before it.
	if to := d.bytes(KeyLenMax); len(to) > 0 {
		s.desc.span.To = append([]byte(nil), to...)
	}
	for n := d.count(); n > 0 && d.err == nil; n-- {
		s.desc.replicas = append(s.desc.replicas, replica{replicaID(d.uvarint()), string(d.bytes(idLenMax))})
	}
	return s, d.done()
}
