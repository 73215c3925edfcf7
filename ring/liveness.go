package ring

import (
	"sync"
	"sync/atomic"
	"time"

	"torc/chunk"
	"torc/internal/clock"
	"torc/internal/errs"
)

// Liveness is the hint of who answers. Safe for concurrent use.
type Liveness interface {
	// Up reports whether to expect an answer from a node of a server.
	Up(server chunk.ServerID, node chunk.NodeID) bool
	// Generation changes whenever an answer of Up may have changed.
	Generation() uint64
}

// Reporter takes the outcome of a call to a node as evidence; err may be nil.
type Reporter interface {
	Report(server chunk.ServerID, node chunk.NodeID, err error)
}

// State is what a person sees of a server; the words are the established ones.
type State string

// The states that liveness can tell. Membership adds the others (LEAVING, ...).
const (
	StateLoading State = "LOADING" // never heard of
	StateRun     State = "RUN"
	StateOffline State = "OFFLINE"
)

const (
	// EvidenceHold is for how long failed calls keep a node marked down when
	// nothing else is heard; then it is tried again.
	EvidenceHold = 2 * time.Second
	// failuresMax failures of a node in a row mark it down: one may be a single
	// bad disk of several.
	failuresMax = 2
)

// Tracker combines gossip and the outcomes of calls into Liveness. A server is up
// until gossip or evidence says otherwise: an unjustified try costs a timeout, an
// unjustified refusal would cost availability.
type Tracker struct {
	clock clock.Clock
	gen   atomic.Uint64
	due   atomic.Int64 // UnixNano of the next end of an EvidenceHold; 0: none

	mu      sync.RWMutex
	servers map[chunk.ServerID]*serverLife
}

type serverLife struct {
	state State // what gossip says
	nodes map[chunk.NodeID]*nodeLife
}

type nodeLife struct {
	failures  int
	downUntil time.Time // zero: not marked down
	notBefore time.Time // a node that has just come back is not marked again until then
}

// NewTracker returns a Tracker that expects everyone to be up.
func NewTracker(c clock.Clock) *Tracker {
	return &Tracker{clock: c, servers: map[chunk.ServerID]*serverLife{}}
}

// Up implements Liveness.
func (t *Tracker) Up(server chunk.ServerID, node chunk.NodeID) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	s, ok := t.servers[server]
	if !ok {
		return true
	}
	n := s.nodes[node]
	return s.state != StateOffline && (n == nil || n.downUntil.IsZero()) && s.down() < failuresMax
}

// down counts the nodes of a server that are marked down; two different ones mean
// that it is the server.
func (s *serverLife) down() (n int) {
	for _, l := range s.nodes {
		if !l.downUntil.IsZero() {
			n++
		}
	}
	return n
}

// State returns what gossip says of a server.
func (t *Tracker) State(server chunk.ServerID) State {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if s, ok := t.servers[server]; ok {
		return s.state
	}
	return StateLoading
}

// Generation implements Liveness. It also ends holds that have run out, so that
// no timer is needed.
func (t *Tracker) Generation() uint64 {
	if due := t.due.Load(); due != 0 {
		if now := t.clock.Now(); now.UnixNano() >= due {
			t.expire(now)
		}
	}
	return t.gen.Load()
}

func (t *Tracker) expire(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.servers {
		for _, n := range s.nodes {
			if !n.downUntil.IsZero() && !now.Before(n.downUntil) {
				*n = nodeLife{failures: failuresMax - 1} // one more failure is enough
				t.gen.Add(1)
			}
		}
	}
	t.setDue()
}

// setDue finds the next end of a hold. mu is held.
func (t *Tracker) setDue() {
	var due int64
	for _, s := range t.servers {
		for _, n := range s.nodes {
			if !n.downUntil.IsZero() && (due == 0 || n.downUntil.UnixNano() < due) {
				due = n.downUntil.UnixNano()
			}
		}
	}
	t.due.Store(due)
}

// Gossip records what gossip says of a server. Hearing that a server runs clears
// the evidence against its nodes.
func (t *Tracker) Gossip(server chunk.ServerID, state State) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.server(server)
	if state == StateRun {
		clear(s.nodes)
		t.setDue()
	}
	s.state = state
	t.gen.Add(1)
}

// server returns the record of a server, made if absent. mu is held.
func (t *Tracker) server(id chunk.ServerID) *serverLife {
	s, ok := t.servers[id]
	if !ok {
		s = &serverLife{state: StateLoading, nodes: map[chunk.NodeID]*nodeLife{}}
		t.servers[id] = s
	}
	return s
}

// Report implements Reporter. Unavailable, Unknown and Timeout are evidence
// against the node; Canceled, Overload and Closed are evidence of nothing; every
// other outcome is an answer, so the node and its server live.
func (t *Tracker) Report(server chunk.ServerID, node chunk.NodeID, err error) {
	switch errs.KindOf(err) {
	case errs.Unavailable, errs.Unknown, errs.Timeout:
		if err != nil {
			t.failed(server, node)
			return
		}
	case errs.Canceled, errs.Overload, errs.Closed:
		return
	}
	t.answered(server, node)
}

func (t *Tracker) failed(server chunk.ServerID, node chunk.NodeID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.server(server)
	n := s.nodes[node]
	if n == nil {
		n = &nodeLife{}
		s.nodes[node] = n
	}
	now := t.clock.Now()
	n.failures++
	another := false // another node of the server has failed since it last answered
	for id, other := range s.nodes {
		another = another || id != node && other.failures > 0
	}
	if n.failures < failuresMax && !another || !n.downUntil.IsZero() || now.Before(n.notBefore) {
		return
	}
	for _, l := range s.nodes {
		if l.failures > 0 && l.downUntil.IsZero() && !now.Before(l.notBefore) {
			l.downUntil = now.Add(EvidenceHold)
		}
	}
	t.gen.Add(1)
	t.setDue()
}

func (t *Tracker) answered(server chunk.ServerID, node chunk.NodeID) {
	t.mu.RLock()
	s, ok := t.servers[server]
	clean := !ok || s.state != StateOffline && (s.nodes[node] == nil || s.nodes[node].failures == 0)
	t.mu.RUnlock()
	if clean {
		return // the usual case takes no write lock
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.state == StateOffline { // gossip is late
		s.state = StateRun
		t.gen.Add(1)
	}
	if n := s.nodes[node]; n != nil {
		if !n.downUntil.IsZero() {
			n.notBefore = t.clock.Now().Add(EvidenceHold)
			t.gen.Add(1)
		}
		n.failures, n.downUntil = 0, time.Time{}
	}
	t.setDue()
}
