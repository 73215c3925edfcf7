package meta

import (
	"encoding/binary"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"torc/internal/clock"
	"torc/internal/errs"
)

// group is this server's replica of one range. Only the store's driver touches
// it: it has no locks and no goroutines, and does no I/O but on the store's
// Pebble. What must happen outside (send, evaluate) it hands to its host.
type group struct {
	id    groupID
	self  replicaID
	db    *pebble.DB
	clock clock.Clock
	slog  *slog.Logger
	conf  groupConfig

	rn    *raft.RawNode
	log   *replicaLog
	state appliedState
	hlc   *clock.HLC

	term    uint64 // raft's, as of the last pass
	role    raft.StateType
	lead    replicaID
	serving bool // leader, and an entry of its own term is applied

	queue      []*command
	queueBytes int
	out        *outstanding
	reads      readRounds

	joined   membership
	incoming *incoming // a received snapshot, within one pass
	sending  uint64    // index of the snapshot being sent to a follower; 0 if none

	bucketSince time.Time // monotonic: when this leader began to fill state.bucket
	broken      error     // set once: the replica no longer takes part
	shown       bool      // serving, as last published
}

type groupConfig struct {
	logBytesMax    int64
	dedupeInterval time.Duration
	handlers       map[Kind]Handler
}

// outstanding is the one group of commands being evaluated or in the log.
type outstanding struct {
	term    uint64
	base    uint64
	cmds    []*command
	answers []answer // set when evaluated
	index   uint64   // of its entry, once proposed
}

// openGroup reads a replica's state and starts its raft node.
func openGroup(db *pebble.DB, id groupID, server string, c clock.Clock, log *slog.Logger, conf groupConfig) (*group, error) {
	g := &group{id: id, db: db, clock: c, slog: log.With("range", uint64(id)), conf: conf}
	if err := g.loadState(); err != nil {
		return nil, err
	}
	if g.self = g.state.desc.replica(server); g.self == 0 {
		return nil, errs.E("meta: open range", errs.Invalid, "server %s has no replica of range %d", server, id)
	}
	var err error
	if g.log, err = openLog(db, id, &g.state); err != nil {
		return nil, err
	}
	if g.joined, err = loadMembership(db); err != nil {
		return nil, err
	}
	g.hlc = clock.NewHLC(c, g.state.clock)
	return g, g.startRaft()
}

// startRaft makes the raft node from what is on disk.
func (g *group) startRaft() (err error) {
	g.rn, err = raft.NewRawNode(&raft.Config{
		ID: uint64(g.self), ElectionTick: electionTicks, HeartbeatTick: heartbeatTicks,
		Storage: g.log, Applied: g.state.index,
		MaxSizePerMsg: raftMessageBytes, MaxCommittedSizePerReady: 4 * raftMessageBytes,
		MaxUncommittedEntriesSize: uncommittedBytes, MaxInflightMsgs: raftInflightMax,
		CheckQuorum: true, PreVote: true, ReadOnlyOption: raft.ReadOnlySafe,
		DisableProposalForwarding: true, Logger: raftLogger{g.slog},
	})
	if err != nil {
		return errs.Wrap("meta: open range", err)
	}
	g.term = g.rn.BasicStatus().GetTerm()
	return nil
}

func (g *group) loadState() error {
	key := sysKey(g.id, sysApplied)
	rec, err := get(g.db, dataKey(key))
	if err != nil {
		return errs.Wrap("meta: read applied state", err)
	}
	if rec == nil {
		return errs.E("meta: read applied state", errs.Corrupt, "range %d has none", g.id)
	}
	body, err := unseal("applied state", key, rec)
	if err != nil {
		return err
	}
	g.state, err = decodeAppliedState(body)
	return err
}

func putState(b *pebble.Batch, id groupID, s appliedState) error {
	key := sysKey(id, sysApplied)
	return b.Set(dataKey(key), seal(key, s.encode()), nil)
}

// step takes one message of another replica.
func (g *group) step(m *raftpb.Message) {
	switch m.GetType() {
	case raftpb.MsgApp, raftpb.MsgAppResp, raftpb.MsgVote, raftpb.MsgVoteResp, raftpb.MsgPreVote, raftpb.MsgPreVoteResp,
		raftpb.MsgHeartbeat, raftpb.MsgHeartbeatResp, raftpb.MsgTimeoutNow, raftpb.MsgSnap:
	default:
		return // proposals and reads are never forwarded
	}
	if g.deaf(m) {
		return
	}
	if m.GetTo() != uint64(g.self) || g.state.desc.server(replicaID(m.GetFrom())) == "" {
		return
	}
	if err := g.rn.Step(m); err != nil {
		g.slog.Debug("meta: raft message refused", "type", m.GetType().String(), "err", err)
	}
}

// deaf reports whether the replica, which has not joined, must ignore m.
func (g *group) deaf(m *raftpb.Message) bool {
	switch g.joined.state {
	case joinMember:
		return false
	case joinNew:
		return true
	}
	switch m.GetType() {
	case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap:
		return m.GetTerm() <= g.joined.floor
	default:
		return true // above all votes
	}
}

// tick moves raft's time; a replica that has not joined must not stand for election.
func (g *group) tick() {
	if g.joined.state == joinMember {
		g.rn.Tick()
	}
}

// observe notes what stepping changed: a leader that lost its place answers
// everybody who waits on it.
func (g *group) observe() {
	st := g.rn.BasicStatus()
	g.lead = replicaID(st.Lead)
	if st.RaftState == g.role && st.GetTerm() == g.term {
		return
	}
	if st.RaftState == raft.StateLeader || g.role == raft.StateLeader {
		g.slog.Info("meta: leadership", "role", st.RaftState.String(), "term", st.GetTerm())
	}
	g.role, g.term, g.serving = st.RaftState, st.GetTerm(), false
	g.giveUp()
}

// giveUp answers everybody waiting that they must ask elsewhere.
func (g *group) giveUp() {
	hint := g.hint()
	if g.out != nil {
		r := answer{route: routeNotLeader, hint: hint}
		if g.out.index != 0 {
			r.route = routeLost
		}
		for _, c := range g.out.cmds {
			c.answer(r)
		}
		g.out = nil
	}
	for _, c := range g.queue {
		c.answer(answer{route: routeNotLeader, hint: hint})
	}
	g.queue, g.queueBytes = nil, 0
	g.reads.fail(hint)
}

// hint names the leader's server, "" if there is none or it is this one.
func (g *group) hint() string {
	if g.lead == g.self {
		return ""
	}
	return g.state.desc.server(g.lead)
}

// enqueue takes a command, or refuses it at once.
func (g *group) enqueue(c *command) {
	switch {
	case g.broken != nil:
		c.answer(answer{route: routeNotLeader})
	case g.role != raft.StateLeader:
		c.answer(answer{route: routeNotLeader, hint: g.hint()})
	case len(g.queue) >= commandQueueLenMax || g.queueBytes+len(c.body) > commandQueueBytes:
		c.answer(answer{err: errs.E("meta.Do", errs.Overload, "%d commands are waiting", len(g.queue))})
	default:
		g.queue = append(g.queue, c)
		g.queueBytes += len(c.body)
	}
}

// nextBatch begins the next group of commands when nothing is outstanding and
// everything in the log is applied; nil when it is not time. The caller
// evaluates it elsewhere and brings the result to propose.
func (g *group) nextBatch() *batch {
	if !g.serving || g.out != nil || len(g.queue) == 0 || g.state.index != g.log.last.index || g.rn.HasReady() {
		return nil
	}
	n := min(len(g.queue), groupCommandsMax)
	g.out = &outstanding{term: g.term, base: g.state.index, cmds: append([]*command(nil), g.queue[:n]...)}
	for _, c := range g.out.cmds {
		g.queueBytes -= len(c.body)
	}
	g.queue = append([]*command(nil), g.queue[n:]...)
	bucket := g.state.bucket
	if now := g.clock.Now(); now.Sub(g.bucketSince) >= g.conf.dedupeInterval {
		g.bucketSince = now
		bucket++
	}
	return &batch{
		group: g.id, base: g.db.NewSnapshot(), state: g.state, bucket: bucket, handlers: g.conf.handlers,
		tick: g.hlc.Now, ceiling: g.ceiling(), cmds: g.out.cmds, token: g.out,
	}
}

// ceiling is what the next entry persists of the clock. It is counted from the
// range's clock, which may be ahead of this server's wall clock for long.
func (g *group) ceiling() clock.Timestamp {
	return clock.MakeTimestamp(g.hlc.Now().Time().Add(clockLead), 0)
}

// propose takes a batch's evaluation and puts its entry into the log.
func (g *group) propose(token *outstanding, res evaluated, err error) {
	if g.out != token || token.term != g.term || g.role != raft.StateLeader {
		return // given up meanwhile: everybody was told
	}
	if err != nil {
		g.fail(errs.Wrap("meta: evaluate", err))
		return
	}
	n := len(res.answers)
	rest := token.cmds[n:]
	token.cmds, token.answers = token.cmds[:n:n], res.answers
	g.queue = append(append([]*command(nil), rest...), g.queue...)
	for _, c := range rest {
		g.queueBytes += len(c.body)
	}
	if res.entry == nil {
		// Nothing to replicate, but the answers may rest on this replica being
		// the leaseholder: confirm that it still was.
		g.out = nil
		g.reads.add(token.confirm)
		return
	}
	if err := g.rn.Propose(res.entry.encode()); err != nil {
		g.out = nil
		for _, c := range token.cmds {
			c.answer(answer{route: routeNotLeader})
		}
		return
	}
	token.index = token.base + 1
}

// confirm answers a group that replicates nothing.
func (o *outstanding) confirm(v *readView, hint string) {
	if v == nil {
		for _, c := range o.cmds {
			c.answer(answer{route: routeNotLeader, hint: hint})
		}
		return
	}
	v.release()
	o.reply()
}

func (o *outstanding) reply() {
	for i, c := range o.cmds {
		c.answer(o.answers[i])
	}
}

// startReads asks raft to confirm the reads that wait, all in one round.
func (g *group) startReads() {
	if !g.serving {
		return
	}
	if id, ok := g.reads.start(); ok {
		g.rn.ReadIndex(binary.BigEndian.AppendUint64(nil, id))
	}
}

// fail takes the replica out of service until the store is opened again.
func (g *group) fail(err error) {
	if g.broken != nil {
		return
	}
	g.slog.Error("meta: replica stops", "err", err)
	g.broken, g.serving = err, false
	g.lead, g.role = 0, raft.StateFollower
	g.giveUp()
}
