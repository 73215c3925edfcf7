package object

import (
	"context"
	"log/slog"
	"slices"
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
	Grace time.Duration
	// FullEvery is how often a walk looks at the chunks of all sessions that are
	// not open, forgotten ones too: a connector that was closed while it still
	// ran may have written after its session had been swept.
	FullEvery time.Duration `default:"168h" help:"time between full sweeps"`
	KeysStep  int           `default:"65536" help:"chunks looked at in one pass"`
	RefsBatch int           `default:"256" help:"references asked for in one query"`
}

// Defaults of SweeperConfig.
const (
	DefaultSweepGrace    = 15 * time.Minute
	DefaultSweepFull     = 7 * 24 * time.Hour
	DefaultSweepKeysStep = 65536
	DefaultSweepBatch    = 256
)

// SweepStatus is a snapshot, for people.
type SweepStatus struct {
	Walking  bool
	Full     bool  // the walk covers all sessions that are not open
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
	walking bool
	targets map[uint32]bool // to be reported swept at the end
	full    bool
	spared  map[uint32]bool // in a full walk: open, or closed too recently
	newest  uint32          // in a full walk: later ids are spared
	stores  []chunk.ListStore
	at      int
	after   *chunk.Key

	lastFull time.Time

	mu sync.Mutex
	st SweepStatus
}

// NewSweeper returns a Sweeper. Run Step in a loop.
func NewSweeper(cfg SweeperConfig) *Sweeper {
	orDefault(&cfg.KeysStep, DefaultSweepKeysStep)
	orDefault(&cfg.RefsBatch, DefaultSweepBatch)
	orDefault(&cfg.FullEvery, DefaultSweepFull)
	return &Sweeper{cfg: cfg, hlc: clock.NewHLC(cfg.Clock, 0), lastFull: cfg.Clock.Now()}
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
	if !w.walking {
		if err := w.begin(ctx); err != nil || !w.walking {
			return errs.Wrap(op, err)
		}
	}
	for looked := 0; looked < w.cfg.KeysStep && w.at < len(w.stores); {
		infos, err := w.stores[w.at].List(ctx, w.after, min(chunk.ListMax, w.cfg.KeysStep))
		if err != nil {
			w.walking = false // begin again: what was not seen must not count as swept
			return errs.Wrap(op, err)
		}
		if len(infos) == 0 {
			w.at, w.after = w.at+1, nil
			continue
		}
		if err := w.sweep(ctx, w.stores[w.at], infos); err != nil {
			w.walking = false
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

// begin chooses the sessions to sweep: closed for long enough, not yet swept
// here; in a full walk also those that nobody remembers.
func (w *Sweeper) begin(ctx context.Context) error {
	all, newest, err := listSessions(ctx, w.cfg.DB)
	if err != nil {
		return err
	}
	w.targets, w.spared, w.newest = map[uint32]bool{}, map[uint32]bool{}, newest
	for _, s := range all {
		if s.Closed.IsZero() || s.Age < w.cfg.Grace {
			w.spared[s.ID] = true
			continue
		}
		if !slices.Contains(s.Swept, w.cfg.Server) {
			w.targets[s.ID] = true
			continue
		}
		// Say so again: the list of servers that must report may have shrunk.
		if err := w.mark(ctx, s.ID); err != nil {
			return err
		}
	}
	w.full = w.cfg.Clock.Now().Sub(w.lastFull) >= w.cfg.FullEvery
	if len(w.targets) == 0 && !w.full {
		return nil
	}
	if w.stores, err = w.cfg.Stores(); err != nil {
		return err
	}
	w.walking, w.at, w.after = true, 0, nil
	return nil
}

// suspects reports whether a session's chunks are to be looked at. Whatever it
// says yes to is closed for ever: ids are given out in ascending order, so one
// that is not above newest and not among the sessions known is a forgotten one.
func (w *Sweeper) suspects(session uint32) bool {
	if w.full {
		return session <= w.newest && !w.spared[session]
	}
	return w.targets[session]
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
		if !ok || info.Deleted || !w.suspects(base.Volume) {
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
	if w.full {
		w.lastFull = w.cfg.Clock.Now()
	}
	w.walking, w.stores = false, nil
	w.report()
	return nil
}

func (w *Sweeper) mark(ctx context.Context, id uint32) error {
	q := sessionSwept{ID: id, Server: w.cfg.Server, Servers: w.cfg.Servers()}
	if !slices.Contains(q.Servers, w.cfg.Server) { // a list without this server is not the cluster's
		return errs.E("object: report sweep", errs.Invalid, "%s is not among the servers %v", w.cfg.Server, q.Servers)
	}
	return do(ctx, w.cfg.DB, kindSessionSwept, sessionKey(id), &q, &empty{})
}

func (w *Sweeper) report() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.st.Walking, w.st.Full = w.walking, w.walking && w.full
	w.st.Sessions, w.st.Store, w.st.Stores = len(w.targets), w.at, len(w.stores)
}
