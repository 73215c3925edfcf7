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
	// suspect is the server as a whole: two of its nodes failed and nothing of it
	// answered in between. One answer clears it.
	suspect mark
	answers atomic.Uint64 // answers so far
	// The last failure: of which node, and after how many answers.
	failed      chunk.NodeID
	failedAfter uint64
}

type nodeLife struct {
	failures int // in a row
	down     mark
}

// mark says that something is taken to be down by evidence.
type mark struct {
	until     time.Time // zero: not marked
	notBefore time.Time // what has just come back is not marked again until then
}

func (m *mark) set() bool { return !m.until.IsZero() }

// raise marks, unless it is marked or was until just now; it reports a change.
func (m *mark) raise(now time.Time) bool {
	if m.set() || now.Before(m.notBefore) {
		return false
	}
	m.until = now.Add(EvidenceHold)
	return true
}

// lower ends the mark because of an answer; it reports a change.
func (m *mark) lower(now time.Time) bool {
	if !m.set() {
		return false
	}
	*m = mark{notBefore: now.Add(EvidenceHold)}
	return true
}

// expire ends the mark if its time has come; it reports a change.
func (m *mark) expire(now time.Time) bool {
	if !m.set() || now.Before(m.until) {
		return false
	}
	*m = mark{}
	return true
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
	return s.state != StateOffline && !s.suspect.set() && (n == nil || !n.down.set())
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
	changed := false
	for _, s := range t.servers {
		changed = s.suspect.expire(now) || changed
		for _, n := range s.nodes {
			if n.down.expire(now) {
				n.failures = failuresMax - 1 // one more failure is enough
				changed = true
			}
		}
	}
	t.setDue(changed)
}

// setDue finds the next end of a hold and, if Up may have changed, moves the
// generation on. mu is held.
func (t *Tracker) setDue(changed bool) {
	var due int64
	note := func(m *mark) {
		if at := m.until.UnixNano(); m.set() && (due == 0 || at < due) {
			due = at
		}
	}
	for _, s := range t.servers {
		note(&s.suspect)
		for _, n := range s.nodes {
			note(&n.down)
		}
	}
	t.due.Store(due)
	if changed {
		t.gen.Add(1)
	}
}

// Gossip records what gossip says of a server. Hearing that a server runs clears
// the evidence against its nodes.
func (t *Tracker) Gossip(server chunk.ServerID, state State) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.server(server)
	if state == StateRun {
		clear(s.nodes)
		s.suspect, s.failed = mark{}, ""
	}
	s.state = state
	t.setDue(true)
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
	now, answers := t.clock.Now(), s.answers.Load()
	changed := false
	if s.failed != "" && s.failed != node && s.failedAfter == answers {
		changed = s.suspect.raise(now)
	}
	s.failed, s.failedAfter = node, answers
	if n.failures++; n.failures >= failuresMax {
		changed = n.down.raise(now) || changed
	}
	if changed {
		t.setDue(true)
	}
}

func (t *Tracker) answered(server chunk.ServerID, node chunk.NodeID) {
	t.mu.RLock()
	s, ok := t.servers[server]
	clean := true
	if ok {
		s.answers.Add(1)
		n := s.nodes[node]
		clean = s.state != StateOffline && !s.suspect.set() && (n == nil || n.failures == 0)
	}
	t.mu.RUnlock()
	if clean {
		return // the usual case takes no write lock
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock.Now()
	changed := s.suspect.lower(now)
	if s.state == StateOffline { // gossip is late
		s.state, changed = StateRun, true
	}
	if n := s.nodes[node]; n != nil {
		changed = n.down.lower(now) || changed
		n.failures = 0
	}
	t.setDue(changed)
}
