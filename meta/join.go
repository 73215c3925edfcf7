package meta

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"torc/internal/errs"
	"torc/internal/transport"
)

// A replica that lost its disk comes back empty, under the same name. If it
// voted or acknowledged as before, it could break promises that it no longer
// remembers. So every new directory has a random store id, and takes no part
// until all its peers have recorded that id:
//
//   - no peer knew another store of that server: the replica is new, a member;
//   - a peer did: the replica is recovering. It neither votes nor stands for
//     election, and listens only to leaders of terms later than any its peers
//     had reached. Such a leader was elected without it, so it has all that was
//     ever committed; once the replica holds an entry of that leader's own term,
//     its log holds all that too, and it is a member again.
//
// The new store records its peers' ids in turn before it takes part, since it
// replaces one that knew them: every member knows the stores of all others,
// however many disks were replaced, one after the other.
//
// Peers that lead an older term hand leadership over when they hear of it.
type joinState byte

const (
	joinNew        joinState = 0 // its peers have not recorded it yet
	joinRecovering joinState = 1
	joinMember     joinState = 2
)

// membership is durable: how far this store's replicas have joined.
type membership struct {
	state joinState
	floor uint64 // joinRecovering: messages of terms up to this are ignored
}

const helloCallMax = time.Second

func joinKey() []byte { return []byte{physStore, 'j'} }

func peerKey(server string) []byte { return append([]byte{physStore, 'p'}, server...) }

func putMembership(w pebble.Writer, m membership, o *pebble.WriteOptions) error {
	enc := encoder{}
	enc.u8(byte(m.state))
	enc.uvarint(m.floor)
	return w.Set(joinKey(), seal(joinKey(), enc.b), o)
}

func loadMembership(db *pebble.DB) (membership, error) {
	rec, err := get(db, joinKey())
	if err != nil {
		return membership{}, err
	}
	body, err := unseal("membership", joinKey(), rec)
	if err != nil {
		return membership{}, err
	}
	d := decoder{b: body, what: "membership"}
	m := membership{state: joinState(d.u8()), floor: d.uvarint()}
	if m.state > joinMember {
		d.fail("unknown state")
	}
	return m, d.done()
}

// hello is what a store that has not joined asks its peers.
type hello struct {
	from   frameHead
	voters string // all servers of its configuration
	store  requestID
	floor  uint64 // 0 until all peers have answered once
}

// helloReply is a peer's answer.
type helloReply struct {
	replaced bool   // it knew another store of that server
	term     uint64 // its own
	store    requestID
}

// welcome is what all peers together answered.
type welcome struct {
	replaced bool                 // one of them knew another store of this server
	term     uint64               // the highest
	stores   map[string]requestID // their own, by server id
}

func (h hello) encode() []byte {
	enc := encoder{}
	enc.bytes(h.from.encode())
	enc.bytes([]byte(h.voters))
	enc.raw(h.store[:])
	enc.uvarint(h.floor)
	return enc.b
}

func decodeHello(b []byte) (hello, error) {
	d := decoder{b: b, what: "hello"}
	from, err := decodeFrameHead(d.bytes(4 * idLenMax))
	if err != nil {
		return hello{}, err
	}
	h := hello{from: from, voters: string(d.bytes((peersMax + 1) * (idLenMax + 1)))}
	copy(h.store[:], d.raw(uint64(len(h.store))))
	h.floor = d.uvarint()
	return h, d.done()
}

// voters names the replicas of d in one string, to compare configurations.
func (d descriptor) voters() string {
	var names []string
	for _, r := range d.replicas {
		names = append(names, r.server)
	}
	return strings.Join(names, "\n")
}

// serveHello records a peer's store.
func (s *Store) serveHello(ctx context.Context, peer transport.Peer, req transport.Request) (*transport.Reply, error) {
	h, err := decodeHello(req.Head)
	if err != nil {
		return nil, err
	}
	if err := s.checkPeer(h.from, peer); err != nil {
		return nil, err
	}
	type result struct {
		r   helloReply
		err error
	}
	got := make(chan result, 1)
	if err := s.in.call(func() {
		r, err := s.drv.meet(h)
		got <- result{r, err}
	}); err != nil {
		return nil, err
	}
	select {
	case r := <-got:
		enc := encoder{}
		if r.r.replaced {
			enc.u8(1)
		} else {
			enc.u8(0)
		}
		enc.uvarint(r.r.term)
		enc.raw(s.id[:])
		return transport.NewReply(enc.b, nil, nil), r.err
	case <-s.stopped:
	case <-ctx.Done():
	}
	return nil, errs.E("meta: hello", errs.Unavailable, "no answer in time")
}

// meet remembers for ever that a server has had more than one store.
func (d *driver) meet(h hello) (helloReply, error) {
	g := d.groups[firstGroup]
	if v := g.state.desc.voters(); v != h.voters {
		return helloReply{}, errs.E("meta: hello", errs.Precondition, "server %s is configured with peers %q, this one with %q", h.from.server, h.voters, v)
	}
	b := d.db.NewBatch()
	defer b.Close()
	replaced, err := know(d.db, b, h.from.server, h.store)
	if err == nil && !b.Empty() {
		err = b.Commit(pebble.Sync)
	}
	if err != nil {
		return helloReply{}, err
	}
	if h.floor != 0 && g.term <= h.floor {
		g.handOver(true) // the replica waits for a leader of a later term
	}
	return helloReply{replaced: replaced, term: g.log.hard.GetTerm()}, nil
}

// know adds to b that a server's store is the given one, and reports whether
// that server ever had another.
func know(db *pebble.DB, b *pebble.Batch, server string, store requestID) (replaced bool, err error) {
	key := peerKey(server)
	rec, err := get(db, key)
	if err != nil {
		return false, err
	}
	if rec != nil {
		body, err := unseal("peer", key, rec)
		if err != nil {
			return false, err
		}
		var known requestID
		d := decoder{b: body, what: "peer"}
		replaced = d.u8() == 1
		copy(known[:], d.raw(uint64(len(known))))
		if err := d.done(); err != nil || known == store {
			return replaced, err
		}
		replaced = true
	}
	enc := encoder{}
	if replaced {
		enc.u8(1)
	} else {
		enc.u8(0)
	}
	enc.raw(store[:])
	return replaced, b.Set(key, seal(key, enc.b), nil)
}

// join asks the peers until the store is a member.
func (s *Store) join(ctx context.Context, store requestID) {
	for {
		m, ok := s.membership(ctx)
		if !ok || m.state == joinMember {
			return
		}
		s.askPeers(ctx, store, m)
		wait, stop := s.cfg.Clock.After(s.cfg.TickInterval)
		select {
		case <-wait:
		case <-ctx.Done():
			stop()
			return
		}
	}
}

func (s *Store) membership(ctx context.Context) (membership, bool) {
	got := make(chan membership, 1)
	if s.in.call(func() { got <- s.drv.groups[firstGroup].joined }) != nil {
		return membership{}, false
	}
	select {
	case m := <-got:
		return m, true
	case <-s.stopped:
	case <-ctx.Done():
	}
	return membership{}, false
}

// askPeers says hello to all; when all have answered, the driver decides.
func (s *Store) askPeers(ctx context.Context, store requestID, m membership) {
	all := welcome{term: firstTerm, stores: map[string]requestID{}}
	for _, p := range s.cfg.Peers {
		if p.ID == s.cfg.ServerID {
			continue
		}
		r, err := s.sayHello(ctx, p, store, m.floor)
		if err != nil {
			s.log.Debug("meta: has not joined yet", "peer", p.ID, "err", err)
			return
		}
		all.replaced = all.replaced || r.replaced
		all.term = max(all.term, r.term)
		all.stores[p.ID] = r.store
	}
	if m.state == joinNew {
		_ = s.in.call(func() { s.drv.admit(all) })
	}
}

func (s *Store) sayHello(ctx context.Context, p Peer, store requestID, floor uint64) (helloReply, error) {
	ctx, cancel := context.WithTimeout(ctx, helloCallMax)
	defer cancel()
	h := hello{from: frameHead{s.cfg.ClusterID, s.cfg.ServerID}, voters: newDescriptor(s.cfg.Peers).voters(), store: store, floor: floor}
	reply, err := s.cfg.Caller.Call(ctx, p.Addr, transport.Request{Method: methodHello, Head: h.encode()})
	if err != nil {
		return helloReply{}, err
	}
	defer reply.Release()
	d := decoder{b: reply.Head, what: "hello reply"}
	r := helloReply{replaced: d.u8() == 1, term: d.uvarint()}
	copy(r.store[:], d.raw(uint64(len(r.store))))
	return r, d.done()
}

// admit makes a new store a member, or lets it recover.
func (d *driver) admit(all welcome) {
	g := d.groups[firstGroup]
	if g.joined.state != joinNew {
		return
	}
	g.guard(func() {
		m := membership{state: joinMember}
		if all.replaced {
			m = membership{state: joinRecovering, floor: all.term}
			g.slog.Warn("meta: this server had another store before: recovers from its peers", "term", all.term)
		}
		if err := g.rejoin(m, all.stores); err != nil {
			g.fail(errs.Wrap("meta: join", err))
		}
	})
}

// rejoin makes m durable, with the peers' stores and a hard state that has
// spent its votes up to m.floor, and starts raft from it.
func (g *group) rejoin(m membership, peers map[string]requestID) error {
	b := g.db.NewBatch()
	defer b.Close()
	for server, store := range peers {
		if _, err := know(g.db, b, server, store); err != nil {
			return err
		}
	}
	if m.state == joinRecovering {
		term, vote, commit := m.floor, uint64(g.self), g.log.hard.GetCommit()
		if err := g.log.setHard(b, hardState(term, vote, commit)); err != nil {
			return err
		}
	}
	if err := putMembership(b, m, nil); err != nil {
		return err
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return err
	}
	g.joined = m
	return g.startRaft()
}

// checkJoined ends the recovery once an entry of a later term is in the log.
func (g *group) checkJoined() {
	if g.joined.state != joinRecovering || g.log.last.term <= g.joined.floor {
		return
	}
	m := membership{state: joinMember}
	if err := putMembership(g.db, m, pebble.Sync); err != nil {
		g.fail(errs.Wrap("meta: join", err))
		return
	}
	g.joined = m
	g.slog.Info("meta: recovered; takes part again", "index", g.log.last.index)
}

func newStoreID() (id requestID) {
	rand.Read(id[:])
	return id
}
