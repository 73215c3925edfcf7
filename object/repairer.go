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

// DebtSummary adds up what is owed.
type DebtSummary struct {
	Extents   int64
	Stripes   int64
	Missing   int64 // copies or fragments not durable
	Misplaced int64 // durable, but not at home
	Bytes     int64 // of data in the stripes concerned
	Oldest    time.Time
}

func (s *DebtSummary) add(d Debt) {
	s.Extents++
	for _, x := range d.Stripes {
		s.Stripes++
		s.Missing += int64(x.Missing)
		s.Misplaced += int64(x.Misplaced)
		s.Bytes += d.Extent.stripeSize(x.Stripe)
	}
	if s.Oldest.IsZero() || d.Since.Before(s.Oldest) {
		s.Oldest = d.Since
	}
}

// debtPageMax bounds one page of debt, in extents.
const debtPageMax = 512

// Debts returns one page of what is owed and where to go on; an empty next is
// the end. from is nil at first.
func Debts(ctx context.Context, db meta.DB, from []byte) (page []Debt, next []byte, err error) {
	var r debtPage
	if r, err = scanDebt(ctx, db, from); err != nil {
		return nil, nil, err
	}
	for _, e := range r.Entries {
		d, err := e.debt()
		if err != nil {
			return nil, nil, err
		}
		page = append(page, d)
	}
	return page, r.Next, nil
}

func (e debtEntry) debt() (Debt, error) {
	b, key, err := splitAnchor(e.Anchor)
	return Debt{Owner: Owner{Bucket: b, Key: key}, Extent: e.Record.Extent,
		Since: e.Record.Since.Time(), Stripes: e.Record.Stripes}, err
}

func scanDebt(ctx context.Context, db meta.DB, from []byte) (r debtPage, err error) {
	q := walkQuery{From: from, Limit: debtPageMax}
	err = query(ctx, db, kindDebtScan, walkRoute(localDebt, from), &q, &r)
	return r, errs.Wrap("object.Debts", err)
}

// SumDebt walks the whole table: its cost is proportional to what is owed.
func SumDebt(ctx context.Context, db meta.DB) (sum DebtSummary, err error) {
	for from := []byte(nil); ; {
		page, next, err := Debts(ctx, db, from)
		if err != nil {
			return DebtSummary{}, err
		}
		for _, d := range page {
			sum.add(d)
		}
		if from = next; len(from) == 0 {
			return sum, nil
		}
	}
}

// Debt returns the redundancy owed by all objects.
func (s *Service) Debt(ctx context.Context) (DebtSummary, error) { return SumDebt(ctx, s.db) }

// RepairerConfig is what a Repairer needs. Zero limits take their defaults.
type RepairerConfig struct {
	DB     meta.DB
	Chunks chunk.Store
	Clock  clock.Clock
	Log    *slog.Logger
	Active func() bool // nil is always

	StripesStep int           `default:"64" help:"stripes rewritten in one pass"`
	BackoffMax  time.Duration `default:"5m" help:"longest pause after walks that repaired nothing"`
}

// Defaults of RepairerConfig.
const (
	DefaultRepairStripesStep = 64
	DefaultRepairBackoffMax  = 5 * time.Minute
	repairBackoffMin         = 5 * time.Second
)

// RepairStatus is a snapshot, for people. Owed comes from the last complete walk.
type RepairStatus struct {
	Active   bool
	Owed     DebtSummary
	Repaired int64 // stripes made whole, since the start of this process
	Failed   int64 // attempts that left a stripe short, likewise
}

// Repairer pays debt: it reads each stripe that is short and puts it again
// under the same version, which the store completes. An entry is settled only by
// a whole receipt. It stands in for the scan-driven healing to come.
type Repairer struct {
	cfg  RepairerConfig
	from []byte // only Step touches it
	sum  DebtSummary
	paid int64         // stripes repaired in this walk
	wait time.Duration // the pause after the last walk; 0 after one that repaired
	rest time.Time     // no walk before this

	mu sync.Mutex
	st RepairStatus
}

// NewRepairer returns a Repairer. Run Step in a loop.
func NewRepairer(cfg RepairerConfig) *Repairer {
	orDefault(&cfg.StripesStep, DefaultRepairStripesStep)
	orDefault(&cfg.BackoffMax, DefaultRepairBackoffMax)
	return &Repairer{cfg: cfg}
}

// Status returns a snapshot.
func (r *Repairer) Status() RepairStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.st
}

// Step does one pass: about StripesStep stripes, at most to the end of the table.
func (r *Repairer) Step(ctx context.Context) error {
	const op = "object.Repairer"
	active := r.cfg.Active == nil || r.cfg.Active()
	r.mu.Lock()
	r.st.Active = active
	r.mu.Unlock()
	if !active {
		r.from, r.sum, r.paid, r.wait = nil, DebtSummary{}, 0, 0
		return nil
	}
	if r.from == nil && r.wait > 0 && r.cfg.Clock.Now().Before(r.rest) {
		return nil
	}
	for tried := 0; tried < r.cfg.StripesStep; {
		page, err := scanDebt(ctx, r.cfg.DB, r.from)
		if err != nil {
			return errs.Wrap(op, err)
		}
		for _, e := range page.Entries {
			d, err := e.debt()
			if err != nil {
				return errs.Wrap(op, err)
			}
			left, err := r.repair(ctx, d)
			if err != nil {
				return errs.Wrap(op, err)
			}
			tried += len(d.Stripes)
			if d.Stripes = left; len(left) > 0 {
				r.sum.add(d)
			}
			r.from = append(debtKey(e.Anchor, d.Extent.Base), 0)
			if tried >= r.cfg.StripesStep {
				return nil
			}
		}
		if r.from = page.Next; len(r.from) == 0 {
			r.wrap()
			return nil
		}
	}
	return nil
}

// wrap ends a walk. While a home is away its stripes cannot become whole:
// rewriting them again and again would only load the others.
func (r *Repairer) wrap() {
	if r.wait = min(max(2*r.wait, repairBackoffMin), r.cfg.BackoffMax); r.paid > 0 || r.sum.Extents == 0 {
		r.wait = 0
	}
	r.rest = r.cfg.Clock.Now().Add(r.wait)
	r.mu.Lock()
	r.st.Owed = r.sum
	r.mu.Unlock()
	r.from, r.sum, r.paid = nil, DebtSummary{}, 0
}

// repair rewrites the stripes of one extent and settles what became whole.
func (r *Repairer) repair(ctx context.Context, d Debt) (left []StripeDebt, err error) {
	for _, x := range d.Stripes {
		rest, err := r.rewrite(ctx, StripeKey(d.Extent.Base, x.Stripe, d.Extent.Protection), x)
		if err != nil {
			r.cfg.Log.Debug("repair put off", "stripe", x.Stripe, "session", d.Extent.Base.Volume, "error", err)
		}
		if rest != (StripeDebt{}) {
			left = append(left, rest)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	r.paid += int64(len(d.Stripes) - len(left))
	r.mu.Lock()
	r.st.Repaired += int64(len(d.Stripes) - len(left))
	r.st.Failed += int64(len(left))
	r.mu.Unlock()
	if slices.Equal(left, d.Stripes) {
		return left, nil
	}
	anchor := objectKey(d.Owner.Bucket, d.Owner.Key)
	q := debtSettle{Anchor: anchor, Base: d.Extent.Base, Left: left}
	return left, do(ctx, r.cfg.DB, kindDebtSettle, debtKey(anchor, d.Extent.Base), &q, &empty{})
}

// rewrite reads a stripe and puts it again. It returns what the stripe still
// lacks, the zero value when nothing.
func (r *Repairer) rewrite(ctx context.Context, k chunk.Key, x StripeDebt) (StripeDebt, error) {
	c, err := r.cfg.Chunks.Get(ctx, k, chunk.All)
	if err != nil {
		return x, err
	}
	defer c.Release()
	receipt, err := r.cfg.Chunks.Put(ctx, chunk.Write{Key: k, Version: c.Version, Attrs: c.Attrs, Data: c.Data})
	if err != nil {
		return x, err
	}
	if receipt.Whole() {
		return StripeDebt{}, nil
	}
	return StripeDebt{Stripe: x.Stripe, Missing: max(0, receipt.Want-receipt.Durable), Misplaced: receipt.Handoff}, nil
}
