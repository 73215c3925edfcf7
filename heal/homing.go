package heal

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"torc/chunk"
	"torc/internal/clock"
	"torc/internal/errs"
)

// Defaults of HomingConfig.
const (
	DefaultKeysStep  = 65536            // chunks looked at in one pass
	DefaultMovesStep = 256              // chunks brought home in one pass
	DefaultCallMax   = 30 * time.Second // one question to a home
)

// HomingConfig is what a Homing needs. Zero limits take their defaults.
type HomingConfig struct {
	Topology chunk.Topology
	// Stores returns what each of this server's nodes holds, disk by disk. Asked
	// at the start of each round; a disk that is out of service is left out.
	Stores func() map[chunk.NodeID][]chunk.ListStore
	Clock  clock.Clock
	Log    *slog.Logger

	KeysStep  int `default:"65536" help:"chunks looked at in one pass"`
	MovesStep int `default:"256" help:"chunks brought home in one pass"`
}

// HomingStatus is a snapshot, for people.
type HomingStatus struct {
	Rounds    int64 // walks over everything that have ended
	Looked    int64 // chunks looked at since the start of this process
	Misplaced int64 // hand-off copies met in the last whole round that are still there
	Homed     int64 // copies that went home, or were there already, and were removed here
	Waiting   int64 // times that a home could not take or confirm its chunk
}

// Homing brings this server's misplaced chunks home. Run Step in a loop.
type Homing struct {
	cfg HomingConfig

	// The round under way; only Step touches it.
	todo  []held
	after *chunk.Key
	left  int64 // misplaced ones of this round that stayed

	mu sync.Mutex
	st HomingStatus
}

// held is one store of a node.
type held struct {
	node  chunk.NodeID
	store chunk.ListStore
}

// NewHoming returns a Homing.
func NewHoming(cfg HomingConfig) *Homing {
	if cfg.KeysStep <= 0 {
		cfg.KeysStep = DefaultKeysStep
	}
	if cfg.MovesStep <= 0 {
		cfg.MovesStep = DefaultMovesStep
	}
	return &Homing{cfg: cfg}
}

// Status returns a snapshot.
func (h *Homing) Status() HomingStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.st
}

func (h *Homing) note(f func(*HomingStatus)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(&h.st)
}

// Step does one pass: it goes on with the round where the last pass stopped and
// ends with the round at the latest.
func (h *Homing) Step(ctx context.Context) error {
	if len(h.todo) == 0 {
		h.begin()
	}
	keys, moves := h.cfg.KeysStep, h.cfg.MovesStep
	for len(h.todo) > 0 && keys > 0 && moves > 0 {
		cur := h.todo[0]
		page, err := cur.store.List(ctx, h.after, min(keys, chunk.ListMax))
		if err != nil {
			h.next() // the disk has failed: its chunks are for repair
			return errs.Wrap("heal.Homing", err)
		}
		if len(page) == 0 {
			h.next()
			continue
		}
		for _, info := range page {
			if keys--; moves <= 0 {
				break
			}
			h.after = &info.Key
			h.note(func(s *HomingStatus) { s.Looked++ })
			home, misplaced := h.home(cur.node, info)
			if !misplaced {
				continue
			}
			moves--
			if err := h.bring(ctx, cur.store, home, info); err != nil {
				if ctx.Err() != nil {
					return errs.Wrap("heal.Homing", ctx.Err())
				}
				h.left++
				h.note(func(s *HomingStatus) { s.Waiting++ })
				h.cfg.Log.Debug("a hand-off copy waits", "key", info.Key.String(), "home", string(home.Node), "error", err)
			}
		}
	}
	if len(h.todo) == 0 {
		h.note(func(s *HomingStatus) { s.Rounds++; s.Misplaced = h.left })
	}
	return nil
}

func (h *Homing) begin() {
	h.left, h.after = 0, nil
	for node, stores := range h.cfg.Stores() {
		for _, s := range stores {
			h.todo = append(h.todo, held{node, s})
		}
	}
}

func (h *Homing) next() { h.todo, h.after = h.todo[1:], nil }

// home returns the home of a live chunk that node holds, if that is another node.
// Tombstones stay where they are: they die with their container.
func (h *Homing) home(node chunk.NodeID, info chunk.Info) (chunk.Place, bool) {
	if info.Deleted {
		return chunk.Place{}, false
	}
	places, i := h.cfg.Topology.Places(info.Key), info.Key.Index()
	if i >= len(places) || places[i].Node == node {
		return chunk.Place{}, false
	}
	return places[i], true
}

// bring makes sure that home holds what local holds, verified, then deletes it here.
func (h *Homing) bring(ctx context.Context, local chunk.Store, home chunk.Place, info chunk.Info) error {
	if !home.Up {
		return errs.E("heal.Homing", errs.Unavailable, "node %s is away", home.Node)
	}
	ctx, cancel := context.WithTimeout(ctx, DefaultCallMax)
	defer cancel()
	at, err := home.Store.Stat(ctx, info.Key)
	switch {
	case err == nil && at.Version >= info.Version && at.Deleted:
		return h.drop(ctx, local, info)
	case errs.Is(err, errs.NotFound) || err == nil && at.Version < info.Version:
		if err := h.send(ctx, local, home, info); err != nil && !errs.Is(err, errs.Stale) {
			return err
		}
	case err != nil:
		return err
	}
	if err := confirm(ctx, home, info); err != nil {
		return err
	}
	return h.drop(ctx, local, info)
}

// send copies the chunk to its home under the version it has.
func (h *Homing) send(ctx context.Context, local chunk.Store, home chunk.Place, info chunk.Info) error {
	c, err := local.Get(ctx, info.Key, chunk.All)
	if err != nil {
		return err
	}
	defer c.Release()
	_, err = home.Store.Put(ctx, chunk.Write{Key: info.Key, Version: c.Version, Attrs: c.Attrs, Data: c.Data})
	return err
}

// confirm reads the chunk at home, every byte verified: the same version with
// the same checksum, or something newer.
func confirm(ctx context.Context, home chunk.Place, info chunk.Info) error {
	c, err := home.Store.Get(ctx, info.Key, chunk.All)
	if errs.Is(err, errs.NotFound) { // deleted meanwhile: the tombstone is newer, or the next round sends again
		at, serr := home.Store.Stat(ctx, info.Key)
		if serr == nil && at.Deleted && at.Version >= info.Version {
			return nil
		}
	}
	if err != nil {
		return err
	}
	defer c.Release()
	if c.Version < info.Version || c.Version == info.Version && (c.Sum != info.Sum || c.Size != info.Size) {
		return errs.E("heal.Homing", errs.Corrupt, "%s at its home %s is not what lies here", info.Key, home.Node)
	}
	return nil
}

// drop deletes the copy here: a delete of the same version, which a newer write outlives.
func (h *Homing) drop(ctx context.Context, local chunk.Store, info chunk.Info) error {
	if _, err := local.Delete(ctx, info.Key, info.Version); err != nil && !errs.Is(err, errs.Stale) {
		return err
	}
	h.note(func(s *HomingStatus) { s.Homed++ })
	return nil
}
