package node

import (
	"context"
	"sync/atomic"
	"time"

	"torc/chunk"
	"torc/heal"
	"torc/identity"
	"torc/internal/errs"
	"torc/internal/loop"
	"torc/meta"
	"torc/object"
)

// Timing of the background work.
const (
	bringUpPause     = 200 * time.Millisecond
	purgeEvery       = time.Second
	sweepEvery       = 5 * time.Second
	repairEvery      = 5 * time.Second
	maintainEvery    = 5 * time.Second
	homingEvery      = 5 * time.Second
	closeTimeout     = 8 * time.Second
	closeGrace       = 2 * time.Second // for what ends late, once the time to close is over
	rootAccountName  = "root"
	rootAccountEmail = "root@localhost"
)

// readiness holds why the server is not ready; nil error: it is.
type readiness struct{ state atomic.Pointer[error] }

func (r *readiness) set(err error) { r.state.Store(&err) }

func (r *readiness) check() error {
	if p := r.state.Load(); p != nil {
		return *p
	}
	return errs.E("server", errs.Unavailable, "starting")
}

// bringUp does what needs the cluster: the ring map, root's account, this
// connector's session. It repeats until it succeeds, then starts the background
// work and says that the server is ready.
func (s *Server) bringUp(ctx context.Context) {
	steps := []struct {
		name string
		fn   func(context.Context) error
	}{
		{"ring map", func(ctx context.Context) error { _, err := s.keeper.Init(ctx, s.cfg.members()); return err }},
		{"root account", s.bootstrapIdentity},
		{"session", s.objects.Start},
	}
	for _, step := range steps {
		for {
			err := step.fn(ctx)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				break
			}
			s.ready.set(errs.E("server", errs.Unavailable, "bringing up the %s: %w", step.name, err))
			s.log.Debug("bring-up goes on", "step", step.name, "error", err)
			wait, stop := s.opts.Clock.After(bringUpPause)
			select {
			case <-wait:
			case <-ctx.Done():
				stop()
				return
			}
		}
	}
	s.startLoops(ctx)
	s.ready.set(nil)
	s.log.Info("ready", "ring_epoch", uint64(s.router.Epoch()), "after", s.opts.Clock.Now().Sub(s.started).Round(time.Millisecond))
}

func (s *Server) bootstrapIdentity(ctx context.Context) error {
	_, err := s.identity.Bootstrap(ctx, identity.AccessKey{ID: s.keys.RootAccessKey, Secret: s.keys.RootSecretKey})
	return err
}

// startLoops starts the housekeeping. Purge and repair run at the metadata
// leaseholder only; every server sweeps its own disks and brings home what lies there.
func (s *Server) startLoops(ctx context.Context) {
	leads := func() bool { return s.meta != nil && s.meta.IsLeader([]byte{meta.PrefixPlain}) }
	s.purger = object.NewPurger(object.PurgerConfig{DB: s.db, Chunks: s.protect, Clock: s.opts.Clock, Log: s.log, Grace: s.cfg.PurgeGrace, Active: leads})
	s.repairer = object.NewRepairer(object.RepairerConfig{DB: s.db, Chunks: s.protect, Clock: s.opts.Clock, Log: s.log, Active: leads})
	s.sweeper = object.NewSweeper(object.SweeperConfig{DB: s.db, Clock: s.opts.Clock, Log: s.log, Server: s.cfg.Server,
		Servers: s.cfg.memberIDs, Stores: s.allDisks, Grace: s.cfg.OrphanGrace})
	s.homing = heal.NewHoming(heal.HomingConfig{Topology: s.router, Stores: s.openDisksByNode, Clock: s.opts.Clock, Log: s.log})
	for _, l := range []*loop.Loop{
		loop.New("homing", s.opts.Clock, homingEvery, s.homing.Step),
		loop.New("purge", s.opts.Clock, purgeEvery, s.purger.Step),
		loop.New("repair", s.opts.Clock, repairEvery, s.repairer.Step),
		loop.New("orphan sweep", s.opts.Clock, sweepEvery, s.sweeper.Step),
		loop.New("sessions", s.opts.Clock, maintainEvery, s.objects.Maintain),
	} {
		s.loops = append(s.loops, l)
		s.run(l.Status().Name, func() { _ = l.Run(ctx) })
	}
	s.run("ring map refresh", func() { _ = s.keeper.Run(ctx) })
}

// allDisks returns every disk of this server, or an error while one is out of
// service: bytes on it cannot be swept, so nothing may be called swept.
func (s *Server) allDisks() ([]chunk.ListStore, error) {
	var out []chunk.ListStore
	for _, d := range s.disks {
		if d.disk == nil {
			return nil, errs.E("server", errs.Unavailable, "disk %s is out of service: %w", d.cfg.Path, d.err)
		}
		out = append(out, d.disk)
	}
	return out, nil
}

// openDisksByNode returns the disks in service of each node of this server.
func (s *Server) openDisksByNode() map[chunk.NodeID][]chunk.ListStore {
	out := map[chunk.NodeID][]chunk.ListStore{}
	for id, slots := range s.nodes {
		for _, d := range slots {
			if d.disk != nil {
				out[id] = append(out[id], d.disk)
			}
		}
	}
	return out
}

func (c Config) memberIDs() []string {
	var ids []string
	for _, m := range c.Members {
		ids = append(ids, m.ID)
	}
	return ids
}
