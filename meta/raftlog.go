package meta

import (
	"encoding/binary"
	"math"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"torc/internal/errs"
)

// replicaLog is one replica's raft log and hard state in the store's Pebble. It
// implements raft.Storage. Reads come from the driver; writes are added to the
// driver's batch and take effect here at once, because the driver commits that
// batch before it does anything else. The newest entries are kept in memory.
type replicaLog struct {
	db    *pebble.DB
	group groupID

	hard  *raftpb.HardState
	trunc entryID // the entry before the first one
	last  entryID
	bytes int64 // of the entries' data

	tail      []*raftpb.Entry // the newest entries, contiguous up to last
	tailBytes int

	// applied is set by the owner: the state that a snapshot would have.
	applied *appliedState
}

type entryID struct{ index, term uint64 }

// openLog reads and verifies the whole log. A record that fails its checksum, or
// a gap, is errs.Corrupt: a replica must not vote with less than it has acknowledged.
func openLog(db *pebble.DB, g groupID, applied *appliedState) (*replicaLog, error) {
	l := &replicaLog{db: db, group: g, applied: applied}
	rec, err := l.record("hard state", raftHard)
	if err != nil {
		return nil, err
	}
	d := decoder{b: rec, what: "hard state"}
	term, vote, commit := d.uvarint(), d.uvarint(), d.uvarint()
	if err := d.done(); err != nil {
		return nil, err
	}
	if rec, err = l.record("log start", raftTrunc); err != nil {
		return nil, err
	}
	d = decoder{b: rec, what: "log start"}
	l.trunc = entryID{d.uvarint(), d.uvarint()}
	if err := d.done(); err != nil {
		return nil, err
	}
	l.last = l.trunc
	if err := l.load(); err != nil {
		return nil, err
	}
	switch {
	case l.last.index < applied.index:
		return nil, errs.E("meta: open log", errs.Corrupt, "range %d: applied up to %d, but the log ends at %d", g, applied.index, l.last.index)
	case l.last.index < commit:
		return nil, errs.E("meta: open log", errs.Corrupt, "range %d: committed up to %d, but the log ends at %d", g, commit, l.last.index)
	case applied.index < l.trunc.index:
		return nil, errs.E("meta: open log", errs.Corrupt, "range %d: applied up to %d, but the log begins after %d", g, applied.index, l.trunc.index)
	}
	// The commit index is written lazily and may lag what was applied.
	commit = max(commit, applied.index)
	l.hard = hardState(term, vote, commit)
	return l, nil
}

func (l *replicaLog) record(what string, kind byte) ([]byte, error) {
	key := raftKey(l.group, kind)
	rec, err := get(l.db, key)
	if err != nil {
		return nil, errs.Wrap("meta: read "+what, err)
	}
	if rec == nil {
		return nil, errs.E("meta: read "+what, errs.Corrupt, "range %d has none", l.group)
	}
	return unseal(what, key, rec)
}

func (l *replicaLog) load() error {
	return l.scan(l.trunc.index+1, math.MaxUint64, func(e *raftpb.Entry) bool {
		l.last = entryID{e.GetIndex(), e.GetTerm()}
		l.bytes += int64(len(e.Data))
		l.keep(e)
		return true
	})
}

// scan reads entries in [lo, hi), verified and without gaps, until fn returns false.
func (l *replicaLog) scan(lo, hi uint64, fn func(*raftpb.Entry) bool) (err error) {
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: logKey(l.group, lo), UpperBound: logKey(l.group, hi)})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := it.Close(); err == nil {
			err = cerr
		}
	}()
	next := lo
	for it.First(); it.Valid(); it.Next() {
		index := binary.BigEndian.Uint64(it.Key()[len(it.Key())-8:])
		if index != next {
			return errs.E("meta: read log", errs.Corrupt, "range %d: entry %d is missing, %d follows", l.group, next, index)
		}
		body, err := unseal("log", it.Key(), it.Value())
		if err != nil {
			return errs.E("meta: read log", errs.Corrupt, "range %d, entry %d: %w", l.group, index, err)
		}
		d := decoder{b: body, what: "log entry"}
		typ, term := raftpb.EntryType(d.u8()), d.uvarint()
		if d.err != nil {
			return d.err
		}
		next++
		if !fn(&raftpb.Entry{Type: &typ, Term: &term, Index: &index, Data: append([]byte(nil), d.b...)}) {
			return nil
		}
	}
	return it.Error()
}

// append adds entries to b; later entries of an older term are overwritten.
func (l *replicaLog) append(b *pebble.Batch, ents []*raftpb.Entry) error {
	if len(ents) == 0 {
		return nil
	}
	first := ents[0].GetIndex()
	if first <= l.last.index {
		if err := l.cut(b, first); err != nil {
			return err
		}
	}
	for _, e := range ents {
		key := logKey(l.group, e.GetIndex())
		enc := encoder{b: make([]byte, 0, len(e.Data)+16)}
		enc.u8(byte(e.GetType()))
		enc.uvarint(e.GetTerm())
		enc.raw(e.Data)
		if err := b.Set(key, seal(key, enc.b), nil); err != nil {
			return err
		}
		l.last = entryID{e.GetIndex(), e.GetTerm()}
		l.bytes += int64(len(e.Data))
		l.keep(e)
	}
	return nil
}

// cut removes the entries from index on, which raft replaces.
func (l *replicaLog) cut(b *pebble.Batch, index uint64) error {
	err := l.scan(index, l.last.index+1, func(e *raftpb.Entry) bool {
		l.bytes -= int64(len(e.Data))
		return true
	})
	if err != nil {
		return err
	}
	for len(l.tail) > 0 && l.tail[len(l.tail)-1].GetIndex() >= index {
		l.tailBytes -= len(l.tail[len(l.tail)-1].Data)
		l.tail = l.tail[: len(l.tail)-1 : len(l.tail)-1]
	}
	return b.DeleteRange(logKey(l.group, index), logKey(l.group, math.MaxUint64), nil)
}

// keep adds e to the tail and lets the oldest go.
func (l *replicaLog) keep(e *raftpb.Entry) {
	l.tail = append(l.tail, e)
	l.tailBytes += len(e.Data)
	drop := 0
	for l.tailBytes > logTailBytes && drop < len(l.tail)-1 {
		l.tailBytes -= len(l.tail[drop].Data)
		drop++
	}
	if drop > 0 {
		l.tail = append([]*raftpb.Entry(nil), l.tail[drop:]...)
	}
}

// truncate forgets the entries up to and including index.
func (l *replicaLog) truncate(b *pebble.Batch, index uint64) error {
	term, err := l.Term(index)
	if err != nil {
		return err
	}
	err = l.scan(l.trunc.index+1, index+1, func(e *raftpb.Entry) bool {
		l.bytes -= int64(len(e.Data))
		return true
	})
	if err != nil {
		return err
	}
	if err := b.DeleteRange(logKey(l.group, 0), logKey(l.group, index+1), nil); err != nil {
		return err
	}
	l.trunc = entryID{index, term}
	drop := 0
	for drop < len(l.tail) && l.tail[drop].GetIndex() <= index {
		l.tailBytes -= len(l.tail[drop].Data)
		drop++
	}
	l.tail = append([]*raftpb.Entry(nil), l.tail[drop:]...)
	key := raftKey(l.group, raftTrunc)
	return b.Set(key, seal(key, encodeEntryID(l.trunc)), nil)
}

func (l *replicaLog) setHard(b *pebble.Batch, hs *raftpb.HardState) error {
	l.hard = hs
	key := raftKey(l.group, raftHard)
	return b.Set(key, seal(key, encodeHard(hs)), nil)
}

func hardState(term, vote, commit uint64) *raftpb.HardState {
	return &raftpb.HardState{Term: &term, Vote: &vote, Commit: &commit}
}

func encodeHard(hs *raftpb.HardState) []byte {
	enc := encoder{}
	enc.uvarint(hs.GetTerm())
	enc.uvarint(hs.GetVote())
	enc.uvarint(hs.GetCommit())
	return enc.b
}

func encodeEntryID(id entryID) []byte {
	enc := encoder{}
	enc.uvarint(id.index)
	enc.uvarint(id.term)
	return enc.b
}

// InitialState implements raft.Storage.
func (l *replicaLog) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	return l.hard, l.applied.desc.confState(), nil
}

// Entries implements raft.Storage.
func (l *replicaLog) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	if lo <= l.trunc.index {
		return nil, raft.ErrCompacted
	}
	if hi > l.last.index+1 {
		return nil, raft.ErrUnavailable
	}
	var out []*raftpb.Entry
	var size uint64
	take := func(e *raftpb.Entry) bool {
		size += uint64(len(e.Data)) + 16
		if len(out) > 0 && size > maxSize {
			return false
		}
		out = append(out, e)
		return true
	}
	if len(l.tail) > 0 && lo >= l.tail[0].GetIndex() {
		from := lo - l.tail[0].GetIndex()
		for _, e := range l.tail[from : from+hi-lo] {
			if !take(e) {
				break
			}
		}
		return out, nil
	}
	return out, l.scan(lo, hi, take)
}

// Term implements raft.Storage.
func (l *replicaLog) Term(i uint64) (uint64, error) {
	switch {
	case i == l.trunc.index:
		return l.trunc.term, nil
	case i < l.trunc.index:
		return 0, raft.ErrCompacted
	case i > l.last.index:
		return 0, raft.ErrUnavailable
	case len(l.tail) > 0 && i >= l.tail[0].GetIndex():
		return l.tail[i-l.tail[0].GetIndex()].GetTerm(), nil
	}
	ents, err := l.Entries(i, i+1, math.MaxUint64)
	if err != nil {
		return 0, err
	}
	return ents[0].GetTerm(), nil
}

// LastIndex implements raft.Storage.
func (l *replicaLog) LastIndex() (uint64, error) { return l.last.index, nil }

// FirstIndex implements raft.Storage.
func (l *replicaLog) FirstIndex() (uint64, error) { return l.trunc.index + 1, nil }

// Snapshot implements raft.Storage: it names the applied state; the driver
// streams that state itself when raft wants to send it.
func (l *replicaLog) Snapshot() (*raftpb.Snapshot, error) {
	index, term := l.applied.index, l.applied.term
	return &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
		ConfState: l.applied.desc.confState(), Index: &index, Term: &term,
	}}, nil
}
