package meta

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3"

	"torc/internal/clock"
)

// readView is a state of the range at least as new as the moment its reader
// asked. It is shared by the readers of one round; each releases it once.
type readView struct {
	snap *pebble.Snapshot
	span Span
	// ceiling is the highest clock reading that a query may return.
	ceiling clock.Timestamp
	hlc     *clock.HLC
	refs    atomic.Int32
}

func (v *readView) release() {
	if v.refs.Add(-1) == 0 {
		_ = v.snap.Close() // a snapshot's Close only fails when called twice
	}
}

// reader is called once: with a view that it must release, or with nil and the
// leader's server id when this replica cannot serve. It must not block.
type reader func(v *readView, hint string)

// readRounds batches linearizable reads: all that wait when a round begins
// share one confirmation by a quorum (raft thesis 6.4).
type readRounds struct {
	waiting []reader
	rounds  []readRound
	lastID  uint64
}

type readRound struct {
	id      uint64
	index   uint64 // 0 until a quorum confirmed it
	readers []reader
}

// readRoundsMax is how many rounds are under way at a time.
const readRoundsMax = 2

func (r *readRounds) add(f reader) { r.waiting = append(r.waiting, f) }

// start begins a round for everybody who waits.
func (r *readRounds) start() (id uint64, ok bool) {
	if len(r.waiting) == 0 || len(r.rounds) >= readRoundsMax {
		return 0, false
	}
	r.lastID++
	r.rounds = append(r.rounds, readRound{id: r.lastID, readers: r.waiting})
	r.waiting = nil
	return r.lastID, true
}

// confirmed notes what raft confirmed.
func (r *readRounds) confirmed(states []raft.ReadState) {
	for _, s := range states {
		for i := range r.rounds {
			if len(s.RequestCtx) == 8 && r.rounds[i].id == binary.BigEndian.Uint64(s.RequestCtx) {
				r.rounds[i].index = s.Index
			}
		}
	}
}

// ready takes out the readers whose round is confirmed and applied.
func (r *readRounds) ready(applied uint64) []reader {
	var out []reader
	kept := r.rounds[:0]
	for _, round := range r.rounds {
		if round.index != 0 && round.index <= applied {
			out = append(out, round.readers...)
		} else {
			kept = append(kept, round)
		}
	}
	r.rounds = kept
	return out
}

func (r *readRounds) fail(hint string) {
	for _, round := range r.rounds {
		for _, f := range round.readers {
			f(nil, hint)
		}
	}
	for _, f := range r.waiting {
		f(nil, hint)
	}
	r.rounds, r.waiting = nil, nil
}

// serveReads hands a view to every reader whose round is complete.
func (g *group) serveReads() {
	readers := g.reads.ready(g.state.index)
	if len(readers) == 0 {
		return
	}
	v := &readView{snap: g.db.NewSnapshot(), span: g.state.desc.span, ceiling: g.state.clock, hlc: g.hlc}
	v.refs.Store(int32(len(readers)))
	for _, f := range readers {
		f(v, "")
	}
}

// enqueueRead takes a query, or refuses it at once.
func (g *group) enqueueRead(f reader) {
	if g.broken != nil || g.role != raft.StateLeader || len(g.reads.waiting) >= queryQueueLenMax {
		f(nil, g.hint())
		return
	}
	g.reads.add(f)
}
