package object

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"torc/chunk"
	"torc/internal/clock"
	"torc/internal/errs"
	"torc/meta"
)

// SweeperConfig is what a Sweeper needs. Zero limits take their defaults.
type SweeperConfig struct {
	DB    meta.DB
	Clock clock.Clock
	Log   *slog.Logger
	// Server is this server's name; Servers returns all that must have swept a
	// session before it is forgotten, this one included.
	Server  string
	Servers func() []string
	// Stores returns this server's storage nodes or disks, all of them. An error
	// means that some cannot be enumerated now: nothing is then reported swept.
	Stores func() ([]chunk.ListStore, error)

	// Grace lets writes that a dead connector left on the network land. Zero means none.
	Grace     time.Duration
	KeysStep  int `default:"65536" help:"chunks looked at in one pass"`
	RefsBatch int `default:"256" help:"references asked for in one query"`
}

// Defaults of SweeperConfig.
const (
	DefaultSweepGrace    = 15 * time.Minute
	DefaultSweepKeysStep = 65536
	DefaultSweepBatch    = 256
)

// SweepStatus is a snapshot, for people.
type SweepStatus struct {
	Sessions int   // being swept
	Store    int   // how many stores are behind the walk
	Stores   int   // of how many
	Looked   int64 // chunks looked at, since the start of this process
	Removed  int64 // orphan chunks removed, likewise
	Foreign  int64 // chunks of a swept session without a readable owner: left alone
}

// Sweeper finds the chunks that closed sessions left without a record and
// deletes them from this server's stores. Why that is safe: ADR 0007. It keeps
// nothing on disk; after a crash it begins again, which is harmless.
type Sweeper struct {
	cfg SweeperConfig
	hlc *clock.HLC

	// The walk under way; only Step touches it.
	targets map[uint32]bool
	stores  []chunk.ListStore
	at      int
	after   *chunk.Key

	mu sync.Mutex
	st SweepStatus
}

// NewSweeper returns a Sweeper. Run Step in a loop.
func NewSweeper(cfg SweeperConfig) *Sweeper {
	orDefault(&cfg.KeysStep, DefaultSweepKeysStep)
	orDefault(&cfg.RefsBatch, DefaultSweepBatch)
	return &Sweeper{cfg: cfg, hlc: clock.NewHLC(cfg.Clock, 0)}
}

// Status returns a snapshot.
func (w *Sweeper) Status() SweepStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.st
}

// Step does one pass: it looks at KeysStep chunks or to the end of the walk.
func (w *Sweeper) Step(ctx context.Context) error {
	const op = "object.Sweeper"
	if len(w.targets) == 0 {
		if err := w.begin(ctx); err != nil || len(w.targets) == 0 {
			return errs.Wrap(op, err)
		}
	}
	for looked := 0; looked < w.cfg.KeysStep && w.at < len(w.stores); {
		infos, err := w.stores[w.at].List(ctx, w.after, min(chunk.ListMax, w.cfg.KeysStep))
		if err != nil {
			w.targets = nil // begin again: what was not seen must not count as swept
			return errs.Wrap(op, err)
		}
		if len(infos) == 0 {
			w.at, w.after = w.at+1, nil
			continue
		}
		if err := w.sweep(ctx, w.stores[w.at], infos); err != nil {
			w.targets = nil
			return errs.Wrap(op, err)
		}
		last := infos[len(infos)-1].Key
		w.after = &last
		looked += len(infos)
	}
	w.report()
	if w.at < len(w.stores) {
		return nil
	}
	return errs.Wrap(op, w.finish(ctx))
}

// begin chooses the sessions to sweep: closed for long enough, not yet swept here.
func (w *Sweeper) begin(ctx context.Context) error {
	all, err := Sessions(ctx, w.cfg.DB)
	if err != nil {
		return err
	}
	targets := map[uint32]bool{}
	for _, s := range all {
		if s.Closed.IsZero() || s.Age < w.cfg.Grace {
			continue
		}
		done := false
		for _, server := range s.Swept {
			done = done || server == w.cfg.Server
		}
		if done { // say so again: the list of servers that must report may have shrunk
			if err := w.mark(ctx, s.ID); err != nil {
				return err
			}
			continue
		}
		targets[s.ID] = true
	}
	if len(targets) == 0 {
		return nil
	}
	if w.stores, err = w.cfg.Stores(); err != nil {
		return err
	}
	w.targets, w.at, w.after = targets, 0, nil
	return nil
}

// suspect is a chunk of a swept session.
type suspect struct {
	info chunk.Info
	ref  reference
}

// sweep deletes from store those of infos that belong to a swept session and to
// no record.
func (w *Sweeper) sweep(ctx context.Context, store chunk.ListStore, infos []chunk.Info) error {
	var batch []suspect
	var foreign int64
	for _, info := range infos {
		base, _, ok := BaseOf(info.Key)
		if !ok || info.Deleted || !w.targets[base.Volume] {
			continue
		}
		owner, err := ParseOwner(info.Owner)
		if err != nil {
			foreign++
			continue
		}
		batch = append(batch, suspect{info, reference{owner, base}})
	}
	var removed int64
	for len(batch) > 0 {
		head := batch[:min(len(batch), w.cfg.RefsBatch)]
		used, err := w.refs(ctx, head)
		if err != nil {
			return err
		}
		for i, u := range used {
			if u {
				continue
			}
			if err := w.remove(ctx, store, head[i].info); err != nil {
				return err
			}
			removed++
		}
		batch = batch[len(used):]
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.st.Looked += int64(len(infos))
	w.st.Removed += removed
	w.st.Foreign += foreign
	return nil
}

// refs asks which of batch are in use; the answer covers at least the first.
func (w *Sweeper) refs(ctx context.Context, batch []suspect) ([]bool, error) {
	var q refsQuery
	for _, s := range batch {
		q.Refs = append(q.Refs, s.ref)
	}
	var r refsReply
	first := q.Refs[0].Owner
	if err := query(ctx, w.cfg.DB, kindRefs, objectKey(first.Bucket, first.Key), &q, &r); err != nil {
		return nil, err
	}
	if len(r.Used) == 0 || len(r.Used) > len(batch) {
		return nil, errs.E("object: ask for references", errs.Other, "%d answers for %d", len(r.Used), len(batch))
	}
	return r.Used, nil
}

func (w *Sweeper) remove(ctx context.Context, store chunk.ListStore, info chunk.Info) error {
	w.hlc.Observe(info.Version)
	_, err := store.Delete(ctx, info.Key, w.hlc.Now())
	if errs.Is(err, errs.Stale) { // deleted or written above meanwhile: another's business
		return nil
	}
	if err == nil {
		w.cfg.Log.Debug("orphan removed", "key", info.Key.String(), "bytes", info.Size)
	}
	return err
}

// finish reports the sessions swept and ends the walk.
func (w *Sweeper) finish(ctx context.Context) error {
	for id := range w.targets {
		if err := w.mark(ctx, id); err != nil {
			return err // the walk stays at its end; the next step reports again
		}
		delete(w.targets, id)
		w.cfg.Log.Info("session swept", "session", id, "server", w.cfg.Server)
	}
	w.stores = nil
	w.report()
	return nil
}

func (w *Sweeper) mark(ctx context.Context, id uint32) error {
	q := sessionSwept{ID: id, Server: w.cfg.Server, Servers: w.cfg.Servers()}
	return do(ctx, w.cfg.DB, kindSessionSwept, sessionKey(id), &q, &empty{})
}

func (w *Sweeper) report() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.st.Sessions, w.st.Store, w.st.Stores = len(w.targets), w.at, len(w.stores)
}
