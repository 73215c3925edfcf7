package meta

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"torc/internal/errs"
)

// driver moves all replicas of a store. One goroutine calls pass; it alone
// touches the groups. One pass steps everything that arrived, then writes what
// all groups must persist in one synced batch.
type driver struct {
	db     *pebble.DB
	groups map[groupID]*group
	order  []*group // the same, in a fixed order
	host   host
}

// host is what a driver needs done for it. None of the calls may block.
type host interface {
	// send passes a message to the server that holds its receiver.
	send(g *group, m *raftpb.Message)
	// flush ends a run of sends.
	flush()
	// evaluate runs b elsewhere and brings the result back to g.propose.
	evaluate(g *group, b *batch)
	// sendSnapshot streams g's data, as it is now, to m's receiver, then m.
	sendSnapshot(g *group, m *raftpb.Message)
	// ingest adds complete files to the store's Pebble, all at once, durably.
	ingest(paths []string) error
}

// pass handles w and everything that follows from it. An error means that the
// store's Pebble failed: nothing can go on.
func (d *driver) pass(w work) error {
	for _, m := range w.msgs {
		if g := d.groups[m.group]; g != nil {
			g.guard(func() { g.step(m.msg) })
		}
	}
	for range w.ticks {
		for _, g := range d.order {
			g.guard(g.tick)
		}
	}
	for _, f := range w.calls {
		f()
	}
	for _, g := range d.order {
		g.guard(g.observe)
	}
	for _, c := range w.commands {
		if g := d.groups[c.group]; g != nil {
			g.enqueue(c.item)
		} else {
			c.item.answer(answer{route: routeNotLeader})
		}
	}
	for _, r := range w.reads {
		if g := d.groups[r.group]; g != nil {
			g.enqueueRead(r.item)
		} else {
			r.item(nil, "")
		}
	}
	for {
		for _, g := range d.order {
			g.guard(g.startReads)
		}
		more, err := d.ready()
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	for _, g := range d.order {
		g.discardIncoming()
		g.guard(func() {
			g.checkJoined()
			if b := g.nextBatch(); b != nil {
				d.host.evaluate(g, b)
			}
		})
	}
	return nil
}

// guard runs f unless the group is broken; a panic of the raft library breaks
// the one group, not the process.
func (g *group) guard(f func()) {
	if g.broken != nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			g.fail(errs.E("meta: range", errs.Other, "%s", fmt.Sprint(p)))
		}
	}()
	f()
}

// readyGroup is a group's share of one synced write.
type readyGroup struct {
	g  *group
	rd raft.Ready
}

// ready handles one Ready of every group that has one: messages that may leave
// before this replica's own write, one write for all, the other messages, then
// the committed entries. It reports whether there may be more to do.
func (d *driver) ready() (bool, error) {
	var rds []readyGroup
	b := d.db.NewBatch()
	defer b.Close()
	sync := false
	for _, g := range d.order {
		g.guard(func() {
			g.observe()
			if !g.rn.HasReady() {
				return
			}
			rd := g.rn.Ready()
			rds = append(rds, readyGroup{g, rd})
			sync = sync || rd.MustSync
			g.observe()
			g.reads.confirmed(rd.ReadStates)
			d.sendEarly(g, rd)
		})
	}
	if len(rds) == 0 {
		d.serve()
		return false, nil
	}
	d.host.flush()
	if err := d.persist(b, rds, sync); err != nil {
		return false, err
	}
	for _, r := range rds {
		r.g.guard(func() { d.sendLate(r.g, r.rd) })
	}
	d.host.flush()
	for _, r := range rds {
		r.g.guard(func() {
			if err := r.g.apply(r.rd.CommittedEntries); err != nil {
				r.g.fail(err)
				return
			}
			r.g.rn.Advance(r.rd)
			r.g.observe()
			if err := r.g.compactLog(); err != nil {
				r.g.fail(err)
			}
		})
	}
	d.serve()
	return true, nil
}

func (d *driver) serve() {
	for _, g := range d.order {
		g.guard(g.serveReads)
	}
}

func (d *driver) persist(b *pebble.Batch, rds []readyGroup, sync bool) error {
	for _, r := range rds {
		var err error
		r.g.guard(func() {
			if !raft.IsEmptySnap(r.rd.Snapshot) {
				err = r.g.install(d.host, r.rd)
			}
			if err == nil {
				err = r.g.log.append(b, r.rd.Entries)
			}
			if err == nil && !raft.IsEmptyHardState(r.rd.HardState) {
				err = r.g.log.setHard(b, r.rd.HardState)
			}
		})
		if err == nil {
			err = r.g.broken // half a Ready must not be written
		}
		if err != nil {
			return errs.Wrap("meta: persist", err)
		}
	}
	if b.Empty() {
		return nil
	}
	opt := pebble.NoSync
	if sync {
		opt = pebble.Sync
	}
	if err := b.Commit(opt); err != nil {
		return errs.Wrap("meta: persist", err)
	}
	return nil
}

// early reports whether a message may leave before this replica has written its
// part: appends and heartbeats promise nothing about the sender's disk (raft thesis 10.2.1).
func early(m *raftpb.Message) bool {
	t := m.GetType()
	return t == raftpb.MsgApp || t == raftpb.MsgHeartbeat
}

func (d *driver) sendEarly(g *group, rd raft.Ready) {
	for _, m := range rd.Messages {
		if early(m) {
			d.host.send(g, m)
		}
	}
}

func (d *driver) sendLate(g *group, rd raft.Ready) {
	for _, m := range rd.Messages {
		switch {
		case early(m):
		case m.GetType() == raftpb.MsgSnap:
			d.host.sendSnapshot(g, m)
		default:
			d.host.send(g, m)
		}
	}
}
