package meta

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"torc/internal/clock"
	"torc/internal/errs"
	"torc/internal/transport"
)

// Store is one server's part of the database: its replicas, its Pebble, the
// goroutine that drives them. Safe for concurrent use.
type Store struct {
	cfg      Config
	log      *slog.Logger
	db       *pebble.DB
	in       *inbox
	drv      *driver
	outboxes map[string]*outbox // by server id
	handlers map[Kind]Handler
	workers  chan struct{} // a slot for each query being evaluated

	id       requestID // of this directory
	recv     receiver
	querying sync.RWMutex // read-held by queries, so that Close waits for them

	ctx     context.Context // the life of the store's goroutines; ended by cancel
	cancel  context.CancelFunc
	stopped chan struct{} // closed when the driver has ended
	done    sync.WaitGroup
	closing sync.Once
	failure atomic.Pointer[error]
	status  atomic.Pointer[Status]
}

// Open opens or creates the store in cfg.Dir, verifies its raft log, and starts
// its replicas. ctx bounds nothing but values: Close ends the store.
//
// Errors: Invalid for a configuration that cannot work, Precondition for a
// directory of another cluster or server, Corrupt when the log or the state do
// not verify. Nothing is changed in these cases.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	// What a crash left of a snapshot being received is of no use.
	if err := cfg.FS.RemoveAll(incomingDir(cfg)); err != nil {
		return nil, errs.Wrap("meta.Open", err)
	}
	db, err := openPebble(cfg)
	if err != nil {
		return nil, err
	}
	s := &Store{
		cfg: cfg, log: cfg.Log, db: db, in: newInbox(),
		outboxes: map[string]*outbox{}, handlers: map[Kind]Handler{},
		workers: make(chan struct{}, queryWorkersMax), stopped: make(chan struct{}),
	}
	for _, h := range cfg.Handlers {
		s.handlers[h.Kind] = h
	}
	if err := s.openGroups(); err != nil {
		return nil, errs.Wrap("meta.Open", closeAfter(db, err))
	}
	s.start(ctx)
	return s, nil
}

func closeAfter(db *pebble.DB, err error) error {
	if cerr := db.Close(); cerr != nil {
		return errs.E("", errs.KindOf(err), "%w (and closing: %v)", err, cerr)
	}
	return err
}

func (s *Store) openGroups() error {
	var err error
	if s.id, err = bootstrap(s.db, s.cfg); err != nil {
		return err
	}
	conf := groupConfig{s.cfg.LogBytesMax, s.cfg.DedupeInterval, s.handlers}
	g, err := openGroup(s.db, firstGroup, s.cfg.ServerID, s.cfg.Clock, s.log, conf)
	if err != nil {
		return err
	}
	s.drv = &driver{db: s.db, groups: map[groupID]*group{g.id: g}, order: []*group{g}, host: s}
	head := frameHead{cluster: s.cfg.ClusterID, server: s.cfg.ServerID}
	for _, p := range s.cfg.Peers {
		if p.ID != s.cfg.ServerID {
			s.outboxes[p.ID] = newOutbox(p.ID, p.Addr, head)
		}
	}
	return nil
}

func (s *Store) start(ctx context.Context) {
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.ctx = ctx
	s.publish(true)
	for _, o := range s.outboxes {
		s.done.Go(func() { o.run(ctx, s.cfg.Caller, s.unreachable) })
	}
	s.done.Go(func() { s.drive(ctx) })
	s.done.Go(func() { s.join(ctx, s.id) })
}

// drive calls pass whenever there is something to do, until ctx ends.
func (s *Store) drive(ctx context.Context) {
	defer close(s.stopped)
	tick, stop := s.cfg.Clock.After(s.cfg.TickInterval)
	defer func() { stop() }()
	for {
		s.publish(false)
		select {
		case <-ctx.Done():
			s.shut(errs.E("meta: store", errs.Closed, ""))
			return
		case <-tick:
			tick, stop = s.cfg.Clock.After(s.cfg.TickInterval)
			s.in.tick()
			s.publish(true)
		case <-s.in.ready:
		}
		if err := s.drv.pass(s.in.take()); err != nil {
			s.log.Error("meta: store stops", "err", err)
			s.shut(err)
			s.publish(true)
			return
		}
	}
}

// shut answers everybody who waits; whoever comes later is refused by the inbox.
func (s *Store) shut(err error) {
	s.failure.Store(&err)
	w := s.in.close()
	for _, c := range w.commands {
		c.item.answer(answer{route: routeNotLeader})
	}
	for _, r := range w.reads {
		r.item(nil, "")
	}
	for _, g := range s.drv.order {
		if g.broken == nil {
			g.broken, g.serving, g.role, g.lead = err, false, raft.StateFollower, 0
			g.giveUp()
		}
	}
}

// send implements host.
func (s *Store) send(g *group, m *raftpb.Message) {
	if o := s.outboxes[g.state.desc.server(replicaID(m.GetTo()))]; o != nil {
		o.add(g.id, m, s.log)
	}
}

// flush implements host.
func (s *Store) flush() {
	for _, o := range s.outboxes {
		o.flush()
	}
}

// evaluate implements host.
func (s *Store) evaluate(g *group, b *batch) {
	s.done.Go(func() {
		res, err := b.evaluate()
		_ = b.base.Close() // a snapshot's Close only fails when called twice
		_ = s.in.call(func() { g.guard(func() { g.propose(b.token, res, err) }) })
	})
}

// ingest implements host.
func (s *Store) ingest(paths []string) error { return s.db.Ingest(s.ctx, paths) }

// unreachable tells raft that a peer does not answer.
func (s *Store) unreachable(server string) {
	_ = s.in.call(func() {
		for _, g := range s.drv.order {
			if id := g.state.desc.replica(server); id != 0 {
				g.guard(func() { g.rn.ReportUnreachable(uint64(id)) })
			}
		}
	})
}

// transferMax bounds the wait for another leader on Close.
const transferMax = 2 * time.Second

// Close hands leadership over, answers everybody who waits, ends all
// goroutines and closes the directory. ctx bounds the handing over only.
func (s *Store) Close(ctx context.Context) error {
	var err error
	s.closing.Do(func() {
		s.handOver(ctx)
		s.cancel()
		s.done.Wait()
		s.querying.Lock() // never released: the Pebble is gone
		s.recv.mu.Lock()
		s.dropIncoming()
		s.recv.mu.Unlock()
		err = errs.Wrap("meta.Close", s.db.Close())
	})
	return err
}

// handOver gives up leadership to the follower that has most, if there is one.
func (s *Store) handOver(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, transferMax)
	defer cancel()
	for asked := false; ; asked = true {
		leads := make(chan bool, 1)
		err := s.in.call(func() {
			n := 0
			for _, g := range s.drv.order {
				if g.handOver(!asked) {
					n++
				}
			}
			leads <- n > 0
		})
		if err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-s.stopped:
			return
		case l := <-leads:
			if !l {
				return
			}
		}
		tick, stop := s.cfg.Clock.After(s.cfg.TickInterval / 4)
		select {
		case <-ctx.Done():
			stop()
			return
		case <-s.stopped:
			stop()
			return
		case <-tick:
		}
	}
}

// Register adds the methods that this store serves.
func (s *Store) Register(mux transport.Mux) {
	mux[methodRaft] = s.serveRaft
	mux[methodDo] = s.serveDo
	mux[methodQuery] = s.serveQuery
	mux[methodSnapshot] = s.serveSnapshot
	mux[methodHello] = s.serveHello
}

// now is a reading of g's clock for a query, and whether it may be used.
func (v *readView) now() (clock.Timestamp, bool) {
	t := v.hlc.Now()
	return min(t, v.ceiling), t <= v.ceiling
}
