package protect

import (
	"context"
	"slices"
	"time"

	"torc/chunk"
	"torc/internal/errs"
)

// Put implements chunk.Putter for the group of main key w.Key. It returns once
// all fragments are durable, or enough are (placing.enough) and the rest failed
// or are late. It never returns while a write that reads w.Data is under way.
func (s *Store) Put(ctx context.Context, w chunk.Write) (chunk.Receipt, error) {
	const op = "protect.Put"
	if err := w.Validate(); err != nil {
		return chunk.Receipt{}, errs.Wrap(op, err)
	}
	if w.GroupSize == 0 {
		w.GroupSize = int64(len(w.Data))
	}
	if w.GroupSize != int64(len(w.Data)) {
		return chunk.Receipt{}, errs.E(op, errs.Invalid, "%s: group size %d of %d bytes", w.Key, w.GroupSize, len(w.Data))
	}
	if err := ctx.Err(); err != nil {
		return chunk.Receipt{}, errs.Wrap(op, err)
	}
	g, err := s.enter(op, w.Key)
	if err != nil {
		return chunk.Receipt{}, err
	}
	defer s.work.Done()
	s.count.puts.Add(1)
	frags, b, err := s.codes.split(g.prot, w.Data)
	if err != nil {
		return chunk.Receipt{}, err
	}
	defer b.Release()
	p := &put{s: s, g: g, w: w, frags: frags, plan: newPlacing(g.layout, g.good), results: make(chan attemptResult, len(g.places)), unalarm: func() {},
		running: make([]runningAttempt, 0, g.n)}
	return p.run(ctx)
}

// put drives one placing: it is the goroutine of the caller.
type put struct {
	s       *Store
	g       *group
	w       chunk.Write
	frags   [][]byte
	plan    *placing
	results chan attemptResult // room for every attempt there can be

	running           []runningAttempt // in order of their start, hence of their lateness
	alarm             <-chan time.Time // fires at alarmAt
	alarmAt           time.Time
	unalarm           func()
	hasteAt, giveUpAt time.Time // when what is ackable must do; when the write fails
	errs              []error
	unsure            []attempt // may have taken effect without an ack
	stale             error
}

type attemptResult struct {
	attempt
	err error
}

type runningAttempt struct {
	attempt
	began  time.Time
	lateAt time.Time
	late   bool
}

func (p *put) run(ctx context.Context) (chunk.Receipt, error) {
	attempts, cancel := context.WithCancel(ctx)
	defer cancel()
	now := p.s.cfg.Clock.Now()
	p.hasteAt, p.giveUpAt = now.Add(SpreadRounds*p.s.cfg.HandoffAfter), now.Add(p.s.cfg.WriteTimeout)
	p.start(attempts, p.plan.begin())
	ended := p.wait(ctx, attempts)
	for !ended && p.stale == nil && !p.plan.enough() {
		more := p.plan.lastResort()
		if len(more) == 0 {
			p.plan.haste() // nothing is left to try: the least must do
			break
		}
		p.start(attempts, more)
		ended = p.wait(ctx, attempts)
	}
	acked := p.plan.enough()
	cancel()
	p.unalarm()
	p.drain()
	return p.answer(ctx, acked)
}

// drain waits for what is still under way, told to stop: it reads the caller's
// memory. An ack that crosses the cancellation counts; a failure says nothing
// about its place any more.
func (p *put) drain() {
	for len(p.running) > 0 {
		r := <-p.results
		wasLate := p.note(r)
		if r.err == nil {
			p.plan.finished(r.attempt, true, wasLate)
		}
	}
}

// wait runs until the plan waits for nothing, or ctx or the time is up (then
// it reports true).
func (p *put) wait(ctx, attempts context.Context) (ended bool) {
	for p.plan.waiting() && p.stale == nil {
		p.setAlarm()
		select {
		case r := <-p.results:
			p.start(attempts, p.ended(r))
		case <-p.alarm:
			p.alarm = nil
			p.start(attempts, p.passed())
		case <-ctx.Done():
			return true
		}
		// Every attempt ends or is late in time, so looking here is often enough.
		now := p.s.cfg.Clock.Now()
		if timeUp := !now.Before(p.giveUpAt); timeUp || !now.Before(p.hasteAt) {
			p.plan.haste()
			if timeUp {
				return true
			}
		}
	}
	return false
}

func (p *put) start(ctx context.Context, as []attempt) {
	now := p.s.cfg.Clock.Now()
	lateAt := now.Add(p.s.patience.lateAfter())
	for _, a := range as {
		p.running = append(p.running, runningAttempt{attempt: a, began: now, lateAt: lateAt})
		go p.try(ctx, a)
	}
}

func (p *put) try(ctx context.Context, a attempt) {
	store := p.g.places[a.place].Store
	if store == nil {
		p.results <- attemptResult{a, errs.E("protect.Put", errs.Unavailable, "the place has no store")}
		return
	}
	w := p.w
	w.Key, w.Data = p.w.Key.Sibling(a.frag), p.frags[a.frag]
	_, err := store.Put(ctx, w)
	p.results <- attemptResult{a, err}
}

// ended notes a result and returns what to start instead.
func (p *put) ended(r attemptResult) []attempt {
	wasLate := p.note(r)
	return p.plan.finished(r.attempt, r.err == nil, wasLate)
}

// note takes an attempt off those under way and keeps its error. It reports
// whether the attempt was late.
func (p *put) note(r attemptResult) (wasLate bool) {
	i := slices.IndexFunc(p.running, func(x runningAttempt) bool { return x.attempt == r.attempt })
	wasLate = p.running[i].late
	if r.err == nil {
		p.s.patience.took(p.s.cfg.Clock.Now().Sub(p.running[i].began))
	}
	p.running = slices.Delete(p.running, i, i+1)
	if r.err != nil {
		kind := errs.KindOf(r.err)
		if kind == errs.Stale {
			p.stale = r.err
		}
		if !hadNoEffect(kind) {
			p.unsure = append(p.unsure, r.attempt)
		}
		p.errs = append(p.errs, r.err)
	}
	return wasLate
}

// setAlarm makes alarm fire when the oldest attempt that is not late becomes so,
// or when the time of the write is up.
func (p *put) setAlarm() {
	at := p.giveUpAt
	for _, r := range p.running {
		if !r.late {
			if r.lateAt.Before(at) {
				at = r.lateAt
			}
			break
		}
	}
	if p.alarm == nil || !p.alarmAt.Equal(at) {
		p.unalarm()
		p.alarmAt = at
		p.alarm, p.unalarm = p.s.cfg.Clock.After(at.Sub(p.s.cfg.Clock.Now()))
	}
}

// passed marks what is late and returns what to start beside it.
func (p *put) passed() []attempt {
	var out []attempt
	now := p.s.cfg.Clock.Now()
	for i := range p.running {
		r := &p.running[i]
		if !r.late && !now.Before(r.lateAt) {
			r.late = true
			p.s.late(p.g.places[r.place], p.w.Key.Sibling(r.frag))
			out = append(out, r.attempt)
		}
	}
	return p.plan.passed(out...)
}

// answer says what was achieved; acked, that it was enough before the rest was
// told to stop.
func (p *put) answer(ctx context.Context, acked bool) (chunk.Receipt, error) {
	const op = "protect.Put"
	r := p.plan.receipt()
	if p.stale == nil && (acked || p.plan.enough()) {
		p.s.count.handoffs.Add(uint64(r.Handoff))
		if !r.Whole() {
			p.s.emit(Event{Kind: WriteDegraded, Key: p.w.Key, Version: p.w.Version, Receipt: r, Err: first(p.errs)})
		}
		return r, nil
	}
	if p.stale != nil {
		return chunk.Receipt{}, errs.Wrap(op, p.stale)
	}
	if err := ctx.Err(); err != nil {
		return chunk.Receipt{}, errs.Wrap(op, err)
	}
	kind := p.kind(r.Durable == 0 && len(p.unsure) == 0)
	err := errs.E(op, kind, "%s: %d of %d durable, want at least %d, and to survive the loss of a server: %w",
		p.w.Key, r.Durable, r.Want, p.g.quorum, orNoPlace(first(p.errs)))
	p.s.emit(Event{Kind: WriteFailed, Key: p.w.Key, Version: p.w.Version, Receipt: r, Err: err})
	return chunk.Receipt{}, err
}

// kind is the kind of a write that is not acknowledged: what all places said if
// they agree on something the caller can act on; otherwise Unavailable when it
// had no effect, Unknown when something of it is left. What is left stays: this
// may have been a rewrite of live data (a repair), and removing would destroy it.
// Who owns the key deletes it.
func (p *put) kind(noEffect bool) errs.Kind {
	fallback := errs.Unknown
	if noEffect {
		fallback = errs.Unavailable
	}
	kind := fallback
	for i, err := range p.errs {
		k := errs.KindOf(err)
		if i > 0 && k != kind {
			return fallback
		}
		kind = k
	}
	switch kind {
	case errs.Full, errs.Overload, errs.TooLarge, errs.Invalid:
		return kind
	}
	return fallback
}

// hadNoEffect reports whether a write that failed with kind certainly changed nothing.
func hadNoEffect(k errs.Kind) bool {
	switch k {
	case errs.Invalid, errs.TooLarge, errs.Full, errs.Unavailable, errs.Stale, errs.Overload,
		errs.Moved, errs.Permission, errs.Closed, errs.Unsupported, errs.NotFound:
		return true
	}
	return false
}

func first(list []error) error {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

func orNoPlace(err error) error {
	if err == nil {
		return errs.E("protect.placing", errs.Unavailable, "no place left to try")
	}
	return err
}
