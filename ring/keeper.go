package ring

import (
	"context"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zeebo/xxh3"

	"torc/chunk"
	"torc/internal/clock"
	"torc/internal/errs"
	"torc/internal/loop"
	"torc/meta"
)

// Source gives the newest map that this process knows; nil before there is one.
type Source interface{ Map() *Map }

// Fixed is a Source of one map.
type Fixed struct{ M *Map }

// Map implements Source.
func (f Fixed) Map() *Map { return f.M }

// DefaultRefreshInterval is how often a Keeper asks meta without being prompted.
const DefaultRefreshInterval = 5 * time.Second

// KeeperConfig is what a Keeper needs.
type KeeperConfig struct {
	DB meta.DB
	// File caches the newest map, so that a restart without a quorum still
	// routes. Empty: no cache.
	File     string
	Interval time.Duration // 0: DefaultRefreshInterval
	Clock    clock.Clock
	Log      *slog.Logger
}

// Keeper holds the newest map this process knows: a Source. Safe for concurrent
// use. Epochs never go back.
type Keeper struct {
	cfg  KeeperConfig
	m    atomic.Pointer[Map]
	loop *loop.Loop
	hint chan struct{}
	busy chan struct{} // holds one token while a refresh is under way

	mu      sync.Mutex
	sum     uint64 // of the encoding of m
	changed chan struct{}
}

// NewKeeper returns a Keeper. It reads the cache file, and carries on without it
// (logging why) when it is absent or damaged.
func NewKeeper(cfg KeeperConfig) *Keeper {
	if cfg.Interval == 0 {
		cfg.Interval = DefaultRefreshInterval
	}
	k := &Keeper{cfg: cfg, hint: make(chan struct{}, 1), busy: make(chan struct{}, 1), changed: make(chan struct{})}
	k.loop = loop.New("ring map refresh", cfg.Clock, cfg.Interval, k.Refresh)
	if m, err := readMapFile(cfg.File); err == nil {
		k.m.Store(m)
		k.sum = xxh3.Hash(m.Encode())
	} else if !errs.Is(err, errs.NotFound) {
		cfg.Log.Warn("ring map cache is not used", "file", cfg.File, "err", err)
	}
	return k
}

// Map implements Source.
func (k *Keeper) Map() *Map { return k.m.Load() }

// Epoch returns the epoch of Map, 0 when there is none.
func (k *Keeper) Epoch() chunk.Epoch {
	if m := k.Map(); m != nil {
		return m.Epoch()
	}
	return 0
}

// Loop returns the refresh loop, for the list of background workers.
func (k *Keeper) Loop() *loop.Loop { return k.loop }

// Changed returns a channel that is closed when the next newer map arrives.
func (k *Keeper) Changed() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.changed
}

// Init plans the first map of members and stores it unless the ring has a map
// already; either way the Keeper then holds the stored one. Any number of servers
// may call it at once. It does not compare the stored map with members.
func (k *Keeper) Init(ctx context.Context, members Members) (*Map, error) {
	_, err := loadHead(ctx, k.cfg.DB)
	if errs.Is(err, errs.NotFound) {
		planned, _, planErr := PlanInitial(members)
		if planErr != nil {
			return nil, planErr
		}
		_, err = storeInitial(ctx, k.cfg.DB, planned)
	}
	if err != nil {
		return nil, err
	}
	if err := k.Refresh(ctx); err != nil {
		return nil, err
	}
	return k.Map(), nil
}

// Refresh asks meta and takes over a newer map. NotFound when none is stored. The
// cache file is written before the map is used; failing to write it is logged.
func (k *Keeper) Refresh(ctx context.Context) error { return k.refresh(ctx, math.MaxUint64) }

// RefreshTo is Refresh, but asks nobody when the map has epoch e or a newer one by
// the time that it is this caller's turn: many may call it at once.
func (k *Keeper) RefreshTo(ctx context.Context, e chunk.Epoch) error { return k.refresh(ctx, e) }

func (k *Keeper) refresh(ctx context.Context, e chunk.Epoch) error {
	select {
	case k.busy <- struct{}{}:
		defer func() { <-k.busy }()
	case <-ctx.Done():
		return errs.Wrap("ring.Keeper.Refresh", ctx.Err())
	}
	if k.Epoch() >= e {
		return nil
	}
	h, err := loadHead(ctx, k.cfg.DB)
	if err != nil || !k.newer(h) {
		return err
	}
	m, err := loadMap(ctx, k.cfg.DB, h)
	if err != nil {
		return err
	}
	if err := writeMapFile(k.cfg.File, m); err != nil {
		k.cfg.Log.Warn("ring map cache is not written", "file", k.cfg.File, "err", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.m.Store(m)
	k.sum = h.sum
	close(k.changed)
	k.changed = make(chan struct{})
	k.cfg.Log.Info("ring map changed", "epoch", m.Epoch(), "nodes", len(m.Nodes()), "arcs", m.Arcs())
	return nil
}

// newer reports whether the map that h names replaces the one held: a higher
// epoch, or other content under the same one (a cache file of a former ring).
func (k *Keeper) newer(h head) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return h.epoch > k.Epoch() || h.epoch == k.Epoch() && h.sum != k.sum
}

// Hint says that somebody knows epoch e; a running Keeper then refreshes soon if
// that is newer. It never blocks.
func (k *Keeper) Hint(e chunk.Epoch) {
	if e <= k.Epoch() {
		return
	}
	select {
	case k.hint <- struct{}{}:
	default: // a refresh is due already
	}
}

// Run refreshes at the interval and on hints until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-k.hint:
				_ = k.loop.Step(ctx) // the loop keeps the error for Status
			}
		}
	}()
	err := k.loop.Run(ctx)
	<-done
	return err
}

func readMapFile(file string) (*Map, error) {
	if file == "" {
		return nil, errs.NotFound
	}
	if st, err := os.Stat(file); err != nil {
		return nil, errs.Wrap("ring: read map file", err)
	} else if st.Size() > int64(MapLenMax) {
		return nil, errs.E("ring: read map file", errs.Corrupt, "%d bytes, at most %d", st.Size(), MapLenMax)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, errs.Wrap("ring: read map file", err)
	}
	return DecodeMap(b)
}

// writeMapFile replaces file atomically and durably.
func writeMapFile(file string, m *Map) (err error) {
	if file == "" {
		return nil
	}
	const op = "ring: write map file"
	tmp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".tmp*")
	if err != nil {
		return errs.Wrap(op, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	if _, err = tmp.Write(m.Encode()); err == nil {
		err = tmp.Sync()
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		return errs.Wrap(op, err)
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return errs.Wrap(op, err)
	}
	defer dir.Close()
	return errs.Wrap(op, dir.Sync())
}
