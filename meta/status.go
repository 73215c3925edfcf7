package meta

import (
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"torc/internal/errs"
)

// Status is a snapshot of a store, for people and for metrics.
type Status struct {
	ServerID string
	Ranges   []RangeStatus
	// Err is set when the store has stopped.
	Err error
}

// RangeStatus is a snapshot of one replica.
type RangeStatus struct {
	Group     uint64
	Span      Span
	Role      string // "leader", "follower", "candidate", "pre-candidate", "joining", "recovering", "broken"
	Serving   bool   // leader that answers requests
	Leader    string // server id, "" if unknown
	Term      uint64
	Applied   uint64 // log index
	Committed uint64 // log index
	LogFirst  uint64 // log index of the oldest entry kept
	LogLast   uint64
	LogBytes  int64
	Queued    int               // commands waiting
	Followers map[string]uint64 // on the leader: highest log index each replica is known to have
	Err       error             // why the replica is broken
}

// Status returns the state as of the driver's last pass.
func (s *Store) Status() Status {
	st := Status{ServerID: s.cfg.ServerID}
	if p := s.status.Load(); p != nil {
		st = *p
	}
	if p := s.failure.Load(); p != nil {
		st.Err = *p
	}
	return st
}

// IsLeader reports whether this server leads, and serves, the range that holds
// key: work that must run in one place (a purge worker) runs there. It is a
// hint: the commands it leads to are what decides.
func (s *Store) IsLeader(key []byte) bool {
	at, err := anchorOf(key)
	if err != nil {
		return false
	}
	for _, r := range s.Status().Ranges {
		if r.Serving && r.Span.holds(at) {
			return true
		}
	}
	return false
}

// publish makes the driver's state visible to Status: at every tick, and at once
// when a replica begins or ceases to serve.
func (s *Store) publish(always bool) {
	for _, g := range s.drv.order {
		always = always || g.shown != g.serving
		g.shown = g.serving
	}
	if !always && s.status.Load() != nil {
		return
	}
	st := Status{ServerID: s.cfg.ServerID}
	for _, g := range s.drv.order {
		st.Ranges = append(st.Ranges, g.status())
	}
	s.status.Store(&st)
}

func (g *group) status() RangeStatus {
	r := RangeStatus{
		Group: uint64(g.id), Span: g.state.desc.span, Role: "broken", Serving: g.serving,
		Leader: g.state.desc.server(g.lead), Term: g.term, Applied: g.state.index,
		Committed: g.log.hard.GetCommit(), LogFirst: g.log.trunc.index + 1, LogLast: g.log.last.index,
		LogBytes: g.log.bytes, Queued: len(g.queue), Err: g.broken,
	}
	if g.broken != nil {
		return r
	}
	switch g.joined.state {
	case joinNew:
		r.Role = "joining"
		return r
	case joinRecovering:
		r.Role = "recovering"
		return r
	}
	switch g.role {
	case raft.StateLeader:
		r.Role = "leader"
		r.Followers = map[string]uint64{}
		g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
			r.Followers[g.state.desc.server(replicaID(id))] = pr.Match
		})
	case raft.StateCandidate:
		r.Role = "candidate"
	case raft.StatePreCandidate:
		r.Role = "pre-candidate"
	default:
		r.Role = "follower"
	}
	return r
}

// handOver asks the most advanced follower to lead, if this replica leads and
// there is one; it reports whether this replica still leads.
func (g *group) handOver(ask bool) bool {
	if g.broken != nil || g.role != raft.StateLeader || len(g.state.desc.replicas) < 2 {
		return false
	}
	if !ask {
		return true
	}
	var best, match uint64
	g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if id != uint64(g.self) && pr.RecentActive && pr.Match > match {
			best, match = id, pr.Match
		}
	})
	if best == 0 {
		return false
	}
	g.guard(func() { g.rn.TransferLeader(best) })
	return true
}

// Err reports why the store stopped; nil while it runs.
func (s *Store) Err() error {
	if p := s.failure.Load(); p != nil {
		return errs.Wrap("meta: store", *p)
	}
	return nil
}
