package meta

import (
	"math"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"torc/internal/errs"
)

// snapshot gives a received snapshot to raft, which takes it or not; the Ready
// of the same pass tells.
func (d *driver) snapshot(id groupID, m *raftpb.Message, in *incoming) {
	g := d.groups[id]
	if g == nil || g.incoming != nil {
		in.remove()
		return
	}
	g.incoming = in
	g.guard(func() { g.step(m) })
}

// discardIncoming removes a snapshot that raft did not want.
func (g *group) discardIncoming() {
	if g.incoming != nil {
		g.incoming.remove()
		g.incoming = nil
	}
}

// install replaces the replica by the received snapshot: its records, an empty
// log that begins after it, and the hard state, all in one ingestion, which
// Pebble makes durable at once or not at all. A crash before it leaves the old
// replica; there is no moment at which the replica votes with half a log.
func (g *group) install(host host, rd raft.Ready) error {
	in, meta := g.incoming, rd.Snapshot.GetMetadata()
	if in == nil {
		return errs.E("meta: install snapshot", errs.Other, "raft took snapshot %d, which was not received", meta.GetIndex())
	}
	hard := g.log.hard
	if !raft.IsEmptyHardState(rd.HardState) {
		hard = rd.HardState
	}
	hard = hardState(hard.GetTerm(), hard.GetVote(), max(hard.GetCommit(), meta.GetIndex()))
	start := entryID{meta.GetIndex(), meta.GetTerm()}
	if err := in.addRaftState(g.id, hard, start); err != nil {
		return errs.Wrap("meta: install snapshot", err)
	}
	if err := host.ingest(in.paths); err != nil {
		return errs.Wrap("meta: install snapshot", err)
	}
	g.discardIncoming()
	if err := g.loadState(); err != nil {
		return err
	}
	if g.state.index != start.index || g.state.term != start.term {
		return errs.E("meta: install snapshot", errs.Corrupt, "applied %d.%d in snapshot %d.%d", g.state.term, g.state.index, start.term, start.index)
	}
	g.log.reset(hard, start)
	g.slog.Info("meta: installed a snapshot", "index", start.index)
	return nil
}

// addRaftState adds the file that empties the log and starts it after start.
func (in *incoming) addRaftState(g groupID, hard *raftpb.HardState, start entryID) error {
	w, err := in.create()
	if err != nil {
		return err
	}
	key := raftKey(g, raftHard)
	if err := w.Set(key, seal(key, encodeHard(hard))); err != nil {
		return err
	}
	if err := w.DeleteRange(logKey(g, 0), logKey(g, math.MaxUint64)); err != nil {
		return err
	}
	key = raftKey(g, raftTrunc)
	if err := w.Set(key, seal(key, encodeEntryID(start))); err != nil {
		return err
	}
	return w.Close()
}

// reset makes the log empty, beginning after start.
func (l *replicaLog) reset(hard *raftpb.HardState, start entryID) {
	l.hard, l.trunc, l.last = hard, start, start
	l.bytes, l.tail, l.tailBytes = 0, nil, 0
}
