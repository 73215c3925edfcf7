package meta

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"torc/internal/errs"
)

// apply brings committed entries' effects into the data and answers the
// commands that waited for them. The write is not synced: the log is, and the
// applied index is written with the effects, so a crash repeats what it lost.
func (g *group) apply(ents []*raftpb.Entry) error {
	if len(ents) == 0 {
		return nil
	}
	b := g.db.NewBatch()
	defer b.Close()
	for _, e := range ents {
		if e.GetIndex() != g.state.index+1 {
			return errs.E("meta: apply", errs.Corrupt, "entry %d follows %d", e.GetIndex(), g.state.index)
		}
		if err := g.applyOne(b, e); err != nil {
			return errs.E("meta: apply", errs.KindOf(err), "entry %d: %w", e.GetIndex(), err)
		}
		g.state.index, g.state.term = e.GetIndex(), e.GetTerm()
	}
	if err := putState(b, g.id, g.state); err != nil {
		return err
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return err
	}
	g.applied()
	return nil
}

func (g *group) applyOne(b *pebble.Batch, e *raftpb.Entry) error {
	if e.GetType() != raftpb.EntryNormal {
		return errs.E("", errs.Unsupported, "entry type %s", e.GetType())
	}
	if len(e.Data) == 0 {
		return nil // a new leader's first entry
	}
	en, err := decodeEntry(e.Data)
	if err != nil {
		return err
	}
	if en.base != g.state.index {
		// Cannot happen: a leader proposes only on top of what it evaluated on.
		return errs.E("", errs.Corrupt, "evaluated at %d, applied at %d", en.base, g.state.index)
	}
	if en.bucket > g.state.bucket {
		g.state.bucket = en.bucket
		if keep := uint32(dedupeBuckets - 1); en.bucket > keep {
			lower, upper := dataSpan(dedupeBucketSpan(g.id, 0, en.bucket-keep))
			if err := b.DeleteRange(lower, upper, nil); err != nil {
				return err
			}
		}
	}
	for _, o := range en.outcomes {
		key := dedupeKey(g.id, en.bucket, o.id)
		enc := encoder{}
		o.encode(&enc)
		if err := b.Set(dataKey(key), seal(key, enc.b), nil); err != nil {
			return err
		}
	}
	for _, w := range en.ops {
		if w.del {
			err = b.Delete(dataKey(w.key), nil)
		} else {
			err = b.Set(dataKey(w.key), w.value, nil)
		}
		if err != nil {
			return err
		}
	}
	g.state.clock = max(g.state.clock, en.clock)
	return nil
}

// applied tells who waited, and begins to serve once an entry of this leader's
// own term is applied: only then does it know all that was acknowledged before.
func (g *group) applied() {
	if o := g.out; o != nil && o.index != 0 && o.index <= g.state.index {
		// As long as this replica is leader of o.term, the entry at o.index is o's.
		g.out = nil
		o.reply()
	}
	if g.role == raft.StateLeader && !g.serving && g.state.term == g.term {
		g.serving = true
		g.hlc.Observe(g.state.clock)
		g.bucketSince = g.clock.Now()
	}
}

// compactLog cuts the older half of a log that has grown over its bound, or over
// half of its bound when no follower needs that half any more.
func (g *group) compactLog() error {
	entries := g.log.last.index - g.log.trunc.index
	over := g.log.bytes > g.conf.logBytesMax || entries > logEntriesMax
	if !over && g.log.bytes <= g.conf.logBytesMax/2 && entries <= logEntriesMax/2 {
		return nil
	}
	to := min(g.log.trunc.index+max(entries/2, 1), g.state.index)
	if g.sending != 0 && g.log.bytes <= 4*g.conf.logBytesMax {
		to = min(to, g.sending) // what the receiver will need next
	}
	if to <= g.log.trunc.index || (!over && g.slowestMatch() < to) {
		return nil
	}
	b := g.db.NewBatch()
	defer b.Close()
	if err := g.log.truncate(b, to); err != nil {
		return errs.Wrap("meta: cut log", err)
	}
	return b.Commit(pebble.NoSync)
}

// slowestMatch is the highest index that all followers are known to have; 0 on a follower.
func (g *group) slowestMatch() uint64 {
	if g.role != raft.StateLeader {
		return 0
	}
	low := g.log.last.index
	g.rn.WithProgress(func(_ uint64, _ raft.ProgressType, pr tracker.Progress) { low = min(low, pr.Match) })
	return low
}

// digest is a value equal on replicas that applied the same entries: for tests
// and for comparing replicas. It covers everything but where the replica is.
func (g *group) digest() (uint32, error) {
	lower, upper := dataSpan(Span{From: []byte{prefixLocal}})
	it, err := g.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return 0, err
	}
	var s uint32
	for it.First(); it.Valid(); it.Next() {
		var n [4]byte
		n[0], n[1], n[2], n[3] = byte(s), byte(s>>8), byte(s>>16), byte(s>>24)
		s = sum(n[:], bytes.Clone(it.Key()), it.Value())
	}
	return s, it.Close()
}
