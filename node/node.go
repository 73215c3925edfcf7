package node

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"torc/access/s3"
	"torc/chunk"
	"torc/chunk/remote"
	"torc/heal"
	"torc/identity"
	"torc/internal/clock"
	"torc/internal/errs"
	"torc/internal/loop"
	"torc/internal/transport"
	"torc/meta"
	"torc/object"
	"torc/protect"
	"torc/ring"
)

// Options are what the program, rather than the operator, decides.
type Options struct {
	Log     *slog.Logger
	Version string
	Clock   clock.Clock // nil: the machine's
}

// Server is one running server with all its roles.
type Server struct {
	cfg     Config
	opts    Options
	log     *slog.Logger
	keys    Keyring
	started time.Time

	cache     *pebble.Cache
	disks     []diskSlot
	nodes     map[chunk.NodeID][]diskSlot
	transport *transport.Server
	peers     *transport.Client
	meta      *meta.Store
	db        *meta.Client
	tracker   *ring.Tracker
	gossip    *ring.Gossip
	keeper    *ring.Keeper
	router    *ring.Router
	protect   *protect.Store
	objects   *object.Service
	identity  *identity.Service
	purger    *object.Purger
	sweeper   *object.Sweeper
	repairer  *object.Repairer
	homing    *heal.Homing

	loops     []*loop.Loop
	listeners []*http.Server
	ready     readiness
	up        bool          // Start has succeeded
	failed    chan struct{} // closed when a part that cannot be restarted has ended
	failOnce  sync.Once
	cancel    context.CancelFunc
	work      sync.WaitGroup
	closers   []closer // undone last first
}

// closer ends one part.
type closer struct {
	name string
	fn   func(ctx context.Context) error
}

// Start builds the stack of one server, bottom to top, and returns when it
// listens; it serves objects as soon as the cluster has a metadata leader (see
// Ready). ctx bounds only values: end the server with Close. When Start fails,
// nothing is left running.
func Start(ctx context.Context, cfg Config, opts Options) (_ *Server, err error) {
	if opts.Clock == nil {
		opts.Clock = clock.System{}
	}
	keys, err := LoadKeyring(cfg.Keyring, cfg.Cluster)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Server{cfg: cfg, opts: opts, log: opts.Log.With("server", cfg.Server), keys: keys, cancel: cancel,
		started: opts.Clock.Now(), failed: make(chan struct{})}
	defer func() {
		if err != nil {
			end, stop := context.WithTimeout(ctx, closeTimeout)
			defer stop()
			_ = s.Close(end)
		}
	}()
	for _, step := range []func(context.Context) error{
		s.lockDir, s.openNetwork, s.openStorage, s.openMeta, s.openRing, s.openObjects, s.openAccess, s.listenPeers, s.listenPeople,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	s.up = true
	s.run("bring-up", func() { s.bringUp(ctx) })
	s.log.Info("server started", "version", opts.Version, "s3", cfg.S3.HTTP, "s3_tls", cfg.S3.HTTPS)
	return s, nil
}

// openStorage opens this server's disks and deals them to its storage nodes.
func (s *Server) openStorage(ctx context.Context) error {
	if err := checkDeal(s.cfg); err != nil {
		return err
	}
	s.cache = pebble.NewCache(int64(s.cfg.Storage.CacheMiB) << 20)
	s.onClose("cache", func(context.Context) error { s.cache.Unref(); return nil })
	s.disks = openDisks(s.cfg, s.cache, s.opts.Clock, s.log)
	s.onClose("disks", func(context.Context) error { return closeDisks(s.disks) })
	return nil
}

// openMeta opens this server's replica of the database, if it holds one, and the client that all layers use.
func (s *Server) openMeta(ctx context.Context) error {
	peers := metaPeers(s.cfg)
	handlers := append(append(object.Handlers(), identity.Handlers()...), ring.Handlers()...)
	for _, p := range peers {
		if p.ID != s.cfg.Server {
			continue
		}
		store, err := meta.Open(ctx, meta.Config{
			ClusterID: s.cfg.Cluster, ServerID: s.cfg.Server, Peers: peers, Dir: filepath.Join(s.cfg.Dir, "meta"),
			Cache: s.cache, Caller: s.peers, Clock: s.opts.Clock, Log: s.log, Handlers: handlers,
		})
		if err != nil {
			return err
		}
		s.meta = store
		s.onClose("metadata", store.Close)
	}
	s.db = meta.NewClient(meta.ClientConfig{Caller: s.peers, Ranges: meta.OneRange(peers), Clock: s.opts.Clock, Local: s.meta})
	return nil
}

// openRing stacks protection on the ring on the nodes: waist 1 as the layers above see it.
func (s *Server) openRing(ctx context.Context) error {
	stores, dealt, err := nodeStores(s.cfg, s.disks)
	if err != nil {
		return err
	}
	s.nodes = dealt
	local := make(map[chunk.NodeID]chunk.Store, len(stores))
	for id, st := range stores {
		local[id] = st
	}
	s.tracker = ring.NewTracker(s.opts.Clock)
	s.keeper = ring.NewKeeper(ring.KeeperConfig{DB: s.db, File: filepath.Join(s.cfg.Dir, "ring.map"), Clock: s.opts.Clock, Log: s.log})
	remoteStore := func(addr string, node chunk.NodeID, epoch func() chunk.Epoch) chunk.Store {
		return remote.NewClient(s.peers, addr, node, epoch)
	}
	s.router = ring.NewRouter(ring.RouterConfig{Self: chunk.ServerID(s.cfg.Server), Source: s.keeper, Local: local,
		Remote: remoteStore, Liveness: s.tracker, Reporter: s.tracker})
	guard := ring.NewGuard(ring.GuardConfig{Self: chunk.ServerID(s.cfg.Server), Source: s.keeper, Refresh: s.keeper.RefreshTo,
		Local: local, Remote: remoteStore})
	s.protect = protect.New(s.router, protect.Config{Clock: s.opts.Clock, Local: chunk.ServerID(s.cfg.Server), Events: s.onProtectEvent})
	s.onClose("protection", func(context.Context) error { return s.protect.Close() })

	mux := transport.Mux{MethodStatus: s.serveStatus}
	remote.NewServer(func(id chunk.NodeID) (chunk.ListStore, bool) { st, ok := stores[id]; return st, ok },
		remote.Options{Route: guard.Route}).Register(mux)
	if s.meta != nil {
		s.meta.Register(mux)
	}
	return s.serveMux(ctx, mux)
}

// openObjects makes waist 2 and its housekeeping.
func (s *Server) openObjects(context.Context) (err error) {
	policy, err := s.cfg.ObjectPolicy()
	if err != nil {
		return err
	}
	s.objects, err = object.New(object.Config{DB: s.db, Chunks: s.protect, Clock: s.opts.Clock, Log: s.log,
		Name: s.cfg.Server, Policy: policy, StripeSize: int64(s.cfg.Policy.StripeMiB) << 20, BodyBytesMax: int64(s.cfg.S3.BodyMiB) << 20})
	if err != nil {
		return err
	}
	s.onClose("objects", s.objects.Close)
	s.identity, err = identity.New(identity.Config{DB: s.db, Clock: s.opts.Clock, Log: s.log,
		Keyring: identity.Keyring{Current: s.keys.SealID, Keys: map[string][]byte{s.keys.SealID: s.keys.SealKey()}}})
	return err
}

// openAccess makes the S3 connector.
func (s *Server) openAccess(context.Context) error {
	handler := s3.New(s3.Config{Objects: s.objects, Identity: s.identity, Region: s.cfg.S3.Region, Domains: s.cfg.S3.Domains,
		Log: s.log, Clock: s.opts.Clock, Ready: s.Ready})
	for _, l := range []struct {
		addr   string
		secure bool
	}{{s.cfg.S3.HTTP, false}, {s.cfg.S3.HTTPS, true}} {
		if l.addr == "" {
			continue
		}
		if err := s.listenHTTP("S3", l.addr, s3.NewServer(handler, s.log), l.secure); err != nil {
			return err
		}
	}
	return nil
}

// nodeID names the n-th storage node (from 1) of a server.
func nodeID(server string, n int) chunk.NodeID {
	return chunk.NodeID(server + "n" + itoa(n))
}

// metaPeers are the servers that hold the database's replicas: the first three
// members, or the first alone when there are fewer than three.
func metaPeers(c Config) []meta.Peer {
	n := metaReplicas
	if len(c.Members) < metaReplicas {
		n = 1
	}
	var out []meta.Peer
	for _, m := range c.Members[:n] {
		out = append(out, meta.Peer{ID: m.ID, Addr: m.Addr})
	}
	return out
}

// members turns the configuration into the ring's terms.
func (c Config) members() ring.Members {
	var out ring.Members
	for _, m := range c.Members {
		out.Servers = append(out.Servers, ring.Server{ID: chunk.ServerID(m.ID), Site: ring.Site(m.Site), Zone: ring.Zone(m.Zone), Addr: m.Addr})
		for n := range m.Nodes {
			out.Nodes = append(out.Nodes, ring.Node{ID: nodeID(m.ID, n+1), Server: chunk.ServerID(m.ID), Weight: uint64(m.Weight)})
		}
	}
	return out
}

// Failed is closed when a part has ended that the server cannot go on without.
func (s *Server) Failed() <-chan struct{} { return s.failed }

// fail notes why the server cannot go on.
func (s *Server) fail(part string, err error) {
	s.log.Error("the server cannot go on", "part", part, "error", err)
	s.failOnce.Do(func() { close(s.failed) })
}

// Ready returns nil when a PUT would be served.
func (s *Server) Ready(context.Context) error { return s.ready.check() }

func (s *Server) onClose(name string, fn func(ctx context.Context) error) {
	s.closers = append(s.closers, closer{name, fn})
}

// run starts a goroutine that Close waits for.
func (s *Server) run(_ string, fn func()) {
	s.work.Add(1)
	go func() { defer s.work.Done(); fn() }()
}

// Close ends the server, top to bottom: connectors drain, leadership is handed
// over, disks are closed clean. The first error is returned; all parts are ended,
// unless one does not end although ctx has: a hung disk must not keep the process.
func (s *Server) Close(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.close(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	late, stop := s.opts.Clock.After(closeGrace)
	defer stop()
	select {
	case err := <-done:
		return err
	case <-late:
		return errs.E("server", errs.Timeout, "a part does not end, most likely a disk that hangs; what was acknowledged is safe")
	}
}

func (s *Server) close(ctx context.Context) error {
	s.ready.set(errs.E("server", errs.Closed, "shutting down"))
	var first error
	for _, srv := range s.listeners {
		if err := srv.Shutdown(ctx); err != nil {
			_ = srv.Close()
		}
	}
	s.cancel()
	s.work.Wait()
	for i := len(s.closers) - 1; i >= 0; i-- {
		if err := s.closers[i].fn(ctx); err != nil && first == nil {
			first = errs.Wrap("close "+s.closers[i].name, err)
		}
	}
	s.closers = nil
	if s.up {
		s.log.Info("server ended", "error", first)
	}
	return first
}

// listenHTTP opens addr now, so that a port in use is known at start, and serves it.
func (s *Server) listenHTTP(what, addr string, srv *http.Server, secure bool) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return errs.E("server", errs.Unavailable, "%s cannot listen on %s: %w", what, addr, err)
	}
	s.serveHTTP(what, l, srv, secure)
	return nil
}
