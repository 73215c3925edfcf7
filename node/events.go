package node

import (
	"context"
	"log/slog"

	"torc/chunk"
	"torc/protect"
	"torc/ring"
)

// joinGossip starts listening for the others' liveness and looks for them.
func (s *Server) joinGossip(ctx context.Context) error {
	self, _ := s.cfg.Member(s.cfg.Server)
	g, err := ring.NewGossip(ring.GossipConfig{
		Cluster: s.cfg.Cluster, Self: chunk.ServerID(s.cfg.Server), Addr: self.Addr, Bind: self.Gossip, Key: s.keys.GossipKey(),
		Seeds: s.gossipSeeds, Epoch: s.keeper.Epoch, OnEpoch: s.keeper.Hint, OnState: s.onServerState, Clock: s.opts.Clock, Log: s.log,
	})
	if err != nil {
		return err
	}
	s.gossip = g
	s.onClose("gossip", func(context.Context) error { return g.Close() })
	s.run("gossip", func() { _ = g.Run(ctx) })
	return nil
}

// gossipSeeds are the other members' gossip addresses.
func (s *Server) gossipSeeds() []string {
	var out []string
	for _, m := range s.cfg.Members {
		if m.ID != s.cfg.Server {
			out = append(out, m.Gossip)
		}
	}
	return out
}

// onServerState hears from gossip that a server has come or gone.
func (s *Server) onServerState(id chunk.ServerID, state ring.State) {
	if string(id) == s.cfg.Server {
		return
	}
	s.tracker.Gossip(id, state)
	s.log.Info("server is now "+string(state), "peer", string(id))
}

// onProtectEvent writes down what reads and writes noticed. Degraded writes are
// in the debt ledger; a fragment found bad on a read is worth a line.
func (s *Server) onProtectEvent(e protect.Event) {
	level := slog.LevelDebug
	if e.Kind == protect.FragmentCorrupt || e.Kind == protect.WriteFailed {
		level = slog.LevelWarn
	}
	s.log.Log(context.Background(), level, e.Kind.String(), "key", e.Key.String(), "node", string(e.Node), "error", e.Err)
}
