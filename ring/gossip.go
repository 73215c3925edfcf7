package ring

import (
	"cmp"
	"context"
	"log"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"torc/chunk"
	"torc/internal/clock"
	"torc/internal/errs"
	"torc/internal/loop"
)

// How fast gossip notices: a dead server is probed by somebody within a few
// hundred milliseconds, suspected after one interval, and given up after two more.
const (
	gossipProbeInterval  = 400 * time.Millisecond
	gossipProbeTimeout   = 200 * time.Millisecond
	gossipSuspicionMult  = 2
	gossipInterval       = 100 * time.Millisecond
	gossipPushPull       = 10 * time.Second
	gossipStreamTimeout  = time.Second
	gossipReclaimTime    = time.Second
	gossipRejoinInterval = 2 * time.Second
	gossipLeaveTimeout   = 500 * time.Millisecond
	// GossipKeyLen is the length of the cluster's gossip key in bytes (AES-256).
	GossipKeyLen = 32
)

// GossipConfig is what Gossip needs.
type GossipConfig struct {
	Cluster string         // cluster id; others are refused
	Self    chunk.ServerID // unique in the cluster
	Addr    string         // where this server answers calls
	Bind    string         // "ip:port" for gossip, TCP and UDP; port 0 picks one
	Key     []byte         // GossipKeyLen bytes, the cluster's secret
	// Seeds gives the gossip addresses to find others at; asked again and again,
	// so that a healed partition finds together. May be nil.
	Seeds func() []string
	// Epoch gives the epoch to announce; OnEpoch hears that of others and OnState
	// what becomes of them. They must not block nor call Gossip.
	Epoch   func() chunk.Epoch
	OnEpoch func(chunk.Epoch)
	OnState func(chunk.ServerID, State)
	Clock   clock.Clock
	Log     *slog.Logger
}

// Peer is a server as gossip sees it.
type Peer struct {
	Server chunk.ServerID
	Addr   string
	Epoch  chunk.Epoch
	State  State
}

// Gossip runs SWIM (Das, Gupta, Motivala, 2002) by hashicorp/memberlist: who is
// there and who has gone, as a hint. Messages are encrypted with the cluster's
// key; a peer of another cluster is refused.
type Gossip struct {
	cfg  GossipConfig
	ml   *memberlist.Memberlist
	loop *loop.Loop

	mu    sync.Mutex
	peers map[chunk.ServerID]Peer
	close sync.Once
}

// NewGossip starts listening and answering; it knows nobody until Run or Join.
func NewGossip(cfg GossipConfig) (*Gossip, error) {
	const op = "ring.NewGossip"
	if len(cfg.Key) != GossipKeyLen {
		return nil, errs.E(op, errs.Invalid, "a gossip key of %d bytes, want %d", len(cfg.Key), GossipKeyLen)
	}
	if !validName(cfg.Cluster) || !validName(string(cfg.Self)) || len(cfg.Addr) > AddrLenMax {
		return nil, errs.E(op, errs.Invalid, "cluster %q, server %q: want 1-%d printable characters; address %q", cfg.Cluster, cfg.Self, NameLenMax, cfg.Addr)
	}
	host, portText, err := net.SplitHostPort(cfg.Bind)
	if err != nil {
		return nil, errs.E(op, errs.Invalid, "gossip address %q: %w", cfg.Bind, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, errs.E(op, errs.Invalid, "gossip address %q: %w", cfg.Bind, err)
	}
	g := &Gossip{cfg: cfg, peers: map[chunk.ServerID]Peer{}}
	g.ml, err = memberlist.Create(g.options(host, int(port)))
	if err != nil {
		return nil, errs.E(op, errs.Unavailable, "listen on %s: %w", cfg.Bind, err)
	}
	g.loop = loop.New("gossip rejoin", cfg.Clock, gossipRejoinInterval, g.rejoin)
	return g, nil
}

func (g *Gossip) options(host string, port int) *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name = string(g.cfg.Self)
	c.BindAddr, c.BindPort = host, port
	c.AdvertiseAddr, c.AdvertisePort = host, port
	c.ProbeInterval, c.ProbeTimeout = gossipProbeInterval, gossipProbeTimeout
	c.SuspicionMult, c.SuspicionMaxTimeoutMult = gossipSuspicionMult, 2
	c.AwarenessMaxMultiplier = 2
	c.GossipInterval, c.PushPullInterval, c.TCPTimeout = gossipInterval, gossipPushPull, gossipStreamTimeout
	c.DeadNodeReclaimTime = gossipReclaimTime
	c.EnableCompression = false
	c.SecretKey = g.cfg.Key
	c.Label = g.cfg.Cluster
	c.Delegate, c.Events, c.Alive = gossipMeta{g}, gossipEvents{g}, gossipEvents{g}
	c.Logger = log.New(slogWriter{g.cfg.Log}, "", 0)
	return c
}

// Addr returns the gossip address that was bound.
func (g *Gossip) Addr() string { return g.ml.LocalNode().Address() }

// Loop returns the rejoin loop, for the list of background workers.
func (g *Gossip) Loop() *loop.Loop { return g.loop }

// Join contacts peers at gossip addresses and returns how many answered; an error
// only if none did.
func (g *Gossip) Join(addrs []string) (int, error) {
	n, err := g.ml.Join(addrs)
	if n > 0 || err == nil {
		return n, nil
	}
	return 0, errs.E("ring.Gossip.Join", errs.Unavailable, "%w", err)
}

// Run looks for seeds that are not among the living until ctx ends.
func (g *Gossip) Run(ctx context.Context) error { return g.loop.Run(ctx) }

func (g *Gossip) rejoin(context.Context) error {
	if g.cfg.Seeds == nil {
		return nil
	}
	alive := map[string]bool{}
	for _, n := range g.ml.Members() {
		alive[n.Address()] = true
	}
	var missing []string
	for _, a := range g.cfg.Seeds() {
		if !alive[a] {
			missing = append(missing, a)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err := g.Join(missing)
	return err
}

// Announce spreads the current epoch; call it when the map has changed.
func (g *Gossip) Announce() error {
	return errs.Wrap("ring.Gossip.Announce", g.ml.UpdateNode(gossipStreamTimeout))
}

// Peers returns everyone ever heard of, this server too, in order of id.
func (g *Gossip) Peers() []Peer {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]Peer, 0, len(g.peers))
	for _, p := range g.peers {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Peer) int { return cmp.Compare(a.Server, b.Server) })
	return out
}

// Close says goodbye and stops. Stop Run first.
func (g *Gossip) Close() error {
	var err error
	g.close.Do(func() {
		if leaveErr := g.ml.Leave(gossipLeaveTimeout); leaveErr != nil {
			g.cfg.Log.Debug("gossip: goodbye was not heard", "err", leaveErr)
		}
		err = g.ml.Shutdown()
	})
	return errs.Wrap("ring.Gossip.Close", err)
}

// note takes in what memberlist says of a node.
func (g *Gossip) note(n *memberlist.Node, state State) {
	p, err := decodePeer(n.Meta, g.cfg.Cluster)
	if err != nil {
		g.cfg.Log.Warn("gossip: peer is ignored", "name", n.Name, "err", err)
		return
	}
	p.State = state
	g.mu.Lock()
	g.peers[p.Server] = p
	g.mu.Unlock()
	if g.cfg.OnState != nil {
		g.cfg.OnState(p.Server, state)
	}
	if g.cfg.OnEpoch != nil && state == StateRun {
		g.cfg.OnEpoch(p.Epoch)
	}
}

// gossipEvents implements memberlist's EventDelegate and AliveDelegate.
type gossipEvents struct{ g *Gossip }

func (e gossipEvents) NotifyJoin(n *memberlist.Node)   { e.g.note(n, StateRun) }
func (e gossipEvents) NotifyUpdate(n *memberlist.Node) { e.g.note(n, StateRun) }
func (e gossipEvents) NotifyLeave(n *memberlist.Node)  { e.g.note(n, StateOffline) }

// NotifyAlive refuses a peer of another cluster, or one whose name is not its id.
func (e gossipEvents) NotifyAlive(n *memberlist.Node) error {
	p, err := decodePeer(n.Meta, e.g.cfg.Cluster)
	if err == nil && string(p.Server) != n.Name {
		err = errs.E("ring.Gossip", errs.Invalid, "server %q calls itself %q", p.Server, n.Name)
	}
	return err
}

// slogWriter takes memberlist's log lines, "[WARN] memberlist: ...".
type slogWriter struct{ log *slog.Logger }

func (w slogWriter) Write(b []byte) (int, error) {
	line := strings.TrimSpace(string(b))
	level, rest, ok := strings.Cut(line, "] ")
	if !ok {
		rest = line
	}
	switch level {
	case "[ERR", "[ERROR":
		w.log.Info(rest) // a late answer is no fault of ours; a lost peer is reported by OnState
	default:
		w.log.Debug(rest)
	}
	return len(b), nil
}
