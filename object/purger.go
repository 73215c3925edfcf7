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

// PurgerConfig is what a Purger needs. Zero limits take their defaults.
type PurgerConfig struct {
	DB     meta.DB
	Chunks chunk.Store
	Clock  clock.Clock
	Log    *slog.Logger
	// Active says whether this process purges now; nil is always. Two at once
	// only do the work twice.
	Active func() bool

	// Grace lets readers that hold an old record finish. Zero means none.
	Grace        time.Duration
	StripesStep  int           `default:"4096" help:"stripes deleted in one pass"`
	BackoffMin   time.Duration `default:"30s" help:"first pause before an entry is tried again"`
	BackoffMax   time.Duration `default:"1h" help:"longest pause before an entry is tried again"`
	OutcomeAge   time.Duration `default:"168h" help:"how long a completed upload may be completed again"`
	EntriesInUse int           `default:"16" help:"entries purged at a time"`
}

// Defaults of PurgerConfig.
const (
	DefaultPurgeGrace       = 10 * time.Minute
	DefaultPurgeStripesStep = 4096
	DefaultPurgeBackoffMin  = 30 * time.Second
	DefaultPurgeBackoffMax  = time.Hour
	DefaultOutcomeAge       = 7 * 24 * time.Hour
	DefaultPurgeEntries     = 16
	purgePageMax            = 512 // due entries of one scan
)

// PurgeStatus is a snapshot of the queue, for people. Entries, Bytes and Oldest
// come from the last complete walk.
type PurgeStatus struct {
	Active  bool
	Entries int64
	Bytes   int64
	Oldest  time.Duration // how long the oldest entry has waited
	Purged  int64         // entries, since the start of this process
	Freed   int64         // bytes of data, likewise
	Retries int64         // entries put off because a home did not answer
}

// Purger deletes the bytes that records have let go. It walks the queue round
// and round; an entry leaves the queue only when every home of every stripe has
// acknowledged the delete, so a server that is away now is asked again later.
type Purger struct {
	cfg PurgerConfig
	hlc *clock.HLC

	from    []byte // where the walk goes on; only Step touches it
	sum     PurgeStatus
	outcome []byte

	mu sync.Mutex
	st PurgeStatus
}

// NewPurger returns a Purger. Run Step in a loop.
func NewPurger(cfg PurgerConfig) *Purger {
	orDefault(&cfg.StripesStep, DefaultPurgeStripesStep)
	orDefault(&cfg.BackoffMin, DefaultPurgeBackoffMin)
	orDefault(&cfg.BackoffMax, DefaultPurgeBackoffMax)
	orDefault(&cfg.OutcomeAge, DefaultOutcomeAge)
	orDefault(&cfg.EntriesInUse, DefaultPurgeEntries)
	return &Purger{cfg: cfg, hlc: clock.NewHLC(cfg.Clock, 0)}
}

// Status returns a snapshot.
func (p *Purger) Status() PurgeStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.st
}

// Step does one pass: at most to the end of the queue, at most StripesStep
// stripes.
func (p *Purger) Step(ctx context.Context) error {
	active := p.cfg.Active == nil || p.cfg.Active()
	p.mu.Lock()
	p.st.Active = active
	p.mu.Unlock()
	if !active {
		p.from, p.sum = nil, PurgeStatus{}
		return nil
	}
	for stripes := 0; stripes < p.cfg.StripesStep; {
		page, err := p.scan(ctx)
		if err != nil {
			return errs.Wrap("object.Purger", err)
		}
		for _, e := range page.Due {
			stripes += int(e.Record.Extent.stripes())
		}
		if err := p.purge(ctx, page.Due); err != nil {
			return errs.Wrap("object.Purger", err)
		}
		if len(page.Next) == 0 {
			p.wrap()
			break
		}
		p.from = page.Next
	}
	return errs.Wrap("object.Purger", p.expire(ctx))
}

func (p *Purger) scan(ctx context.Context) (page purgePage, err error) {
	q := walkQuery{From: p.from, Limit: purgePageMax, Grace: p.cfg.Grace}
	if err = query(ctx, p.cfg.DB, kindPurgeScan, walkRoute(localPurge, p.from), &q, &page); err != nil {
		return page, err
	}
	p.sum.Entries += page.Seen
	p.sum.Bytes += page.Bytes
	p.sum.Oldest = max(p.sum.Oldest, page.Oldest)
	return page, nil
}

// walkRoute returns the key that routes a walk's next stretch.
func walkRoute(table byte, from []byte) []byte {
	if len(from) > 0 {
		return from
	}
	return meta.LocalKey(table, []byte{meta.PrefixPlain}, nil)
}

// wrap ends a walk: its sums become the status.
func (p *Purger) wrap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.st.Entries, p.st.Bytes, p.st.Oldest = p.sum.Entries, p.sum.Bytes, p.sum.Oldest
	p.from, p.sum = nil, PurgeStatus{}
}

// purge deletes the bytes of entries and settles them in one command.
func (p *Purger) purge(ctx context.Context, due []purgeEntry) error {
	if len(due) == 0 {
		return nil
	}
	failed := make([]error, len(due))
	slots := make(chan struct{}, p.cfg.EntriesInUse)
	var wg sync.WaitGroup
	for i, e := range due {
		slots <- struct{}{}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-slots }()
			failed[i] = deleteExtent(ctx, p.cfg.Chunks, p.hlc, e.Record.Extent)
		}()
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	var (
		q     purgeDone
		freed int64
	)
	for i, e := range due {
		if failed[i] == nil {
			q.Gone = append(q.Gone, e)
			freed += e.Record.Extent.Size
			continue
		}
		q.Later = append(q.Later, e)
		q.Delay = append(q.Delay, p.backoff(e.Record.Attempts))
		p.cfg.Log.Debug("purge put off", "session", e.Record.Extent.Base.Volume,
			"sequence", e.Record.Extent.Base.Sequence, "attempts", e.Record.Attempts+1, "error", failed[i])
	}
	if err := do(ctx, p.cfg.DB, kindPurgeDone, purgeKey(due[0].Anchor, due[0].Record.Extent.Base), &q, &empty{}); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.st.Purged += int64(len(q.Gone))
	p.st.Retries += int64(len(q.Later))
	p.st.Freed += freed
	return nil
}

func (p *Purger) backoff(attempts uint32) time.Duration {
	d := p.cfg.BackoffMin << min(attempts, 20)
	if d <= 0 || d > p.cfg.BackoffMax {
		return p.cfg.BackoffMax
	}
	return d
}

// expire forgets one stretch of old outcomes of completed uploads.
func (p *Purger) expire(ctx context.Context) error {
	q := walkQuery{From: p.outcome, Limit: purgePageMax, Grace: p.cfg.OutcomeAge}
	var r expired
	if err := do(ctx, p.cfg.DB, kindOutcomeExpire, walkRoute(localOutcome, p.outcome), &q, &r); err != nil {
		return err
	}
	p.outcome = r.Next
	return nil
}
