package clock

import (
	"sort"
	"sync"
	"time"
)

// Clock tells time and makes timers. Implementations are safe for concurrent use.
type Clock interface {
	// Now returns the current time; for System it carries a monotonic reading,
	// so Sub of two readings is unaffected by wall-clock steps.
	Now() time.Time
	// After returns a channel that receives one value once d has passed.
	// Stop releases it early; the channel then never fires.
	After(d time.Duration) (c <-chan time.Time, stop func())
}

// System is the machine's clock.
type System struct{}

// Now returns time.Now().
func (System) Now() time.Time { return time.Now() }

// After is a time.Timer.
func (System) After(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}

// Manual is a clock that moves only when told to. The zero value starts at the zero time.
type Manual struct {
	mu      sync.Mutex
	now     time.Time
	waiters []*waiter
}

type waiter struct {
	at time.Time
	c  chan time.Time
}

// NewManual returns a clock standing at t.
func NewManual(t time.Time) *Manual { return &Manual{now: t} }

// Now returns the time it was last moved to.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// After fires when Advance or Set reaches now+d; at once when d <= 0.
func (m *Manual) After(d time.Duration) (<-chan time.Time, func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := &waiter{at: m.now.Add(d), c: make(chan time.Time, 1)}
	if d <= 0 {
		w.c <- m.now
		return w.c, func() {}
	}
	m.waiters = append(m.waiters, w)
	return w.c, func() { m.remove(w) }
}

// Advance moves the clock by d and fires what falls due, in order.
func (m *Manual) Advance(d time.Duration) {
	m.mu.Lock()
	t := m.now.Add(d)
	m.mu.Unlock()
	m.Set(t)
}

// Set moves the clock to t, backwards too; timers fire only on reaching their time.
func (m *Manual) Set(t time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = t
	sort.SliceStable(m.waiters, func(i, j int) bool { return m.waiters[i].at.Before(m.waiters[j].at) })
	n := 0
	for n < len(m.waiters) && !m.waiters[n].at.After(t) {
		m.waiters[n].c <- t
		n++
	}
	m.waiters = append([]*waiter(nil), m.waiters[n:]...)
}

// Waiters returns how many timers are pending: tests use it to know that a loop has gone to sleep.
func (m *Manual) Waiters() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.waiters)
}

func (m *Manual) remove(w *waiter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, x := range m.waiters {
		if x == w {
			m.waiters = append(m.waiters[:i], m.waiters[i+1:]...)
			return
		}
	}
}
