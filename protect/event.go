package protect

import (
	"sync/atomic"

	"torc/chunk"
)

// EventKind says what happened.
type EventKind uint8

const (
	// WriteDegraded: a write was acknowledged with fragments missing or handed off.
	WriteDegraded EventKind = iota
	// WriteFailed: a write did not reach its quorum.
	WriteFailed
	// FragmentLate: a place passed its lateness bound and is suspected.
	FragmentLate
	// FragmentCorrupt: a place holds a fragment that fails verification.
	FragmentCorrupt
	// FragmentMissing: a place that should hold a fragment does not.
	FragmentMissing
	// ReadRebuilt: a read was answered by reconstruction.
	ReadRebuilt

	eventKinds
)

// String names the kind.
func (k EventKind) String() string {
	return [...]string{"write degraded", "write failed", "fragment late", "fragment corrupt", "fragment missing", "read rebuilt"}[k]
}

// Event is something that heal may repair and a person may want to know.
type Event struct {
	Kind    EventKind
	Key     chunk.Key // of the fragment, or the main key where the whole group is meant
	Node    chunk.NodeID
	Version chunk.Version
	Receipt chunk.Receipt // of WriteDegraded and WriteFailed
	Err     error
}

// Metrics counts what a Store did since it was made.
type Metrics struct {
	Puts, Gets, Stats, Deletes uint64
	Events                     [eventKinds]uint64 // by EventKind
	Handoffs                   uint64             // fragments acknowledged by a hand-off place
	Hedges                     uint64             // reads sent to a second place because the first was late
	HedgesDenied               uint64             // not sent, since too many were (HedgeShare)
	Surveys                    uint64             // reads that had to ask all homes
}

type counters struct {
	puts, gets, stats, deletes, handoffs, hedges, hedgesDenied, surveys atomic.Uint64
	events                                                              [eventKinds]atomic.Uint64
}

// Metrics returns a snapshot.
func (s *Store) Metrics() Metrics {
	m := Metrics{
		Puts: s.count.puts.Load(), Gets: s.count.gets.Load(), Stats: s.count.stats.Load(), Deletes: s.count.deletes.Load(),
		Handoffs: s.count.handoffs.Load(), Hedges: s.count.hedges.Load(), HedgesDenied: s.count.hedgesDenied.Load(), Surveys: s.count.surveys.Load(),
	}
	for i := range m.Events {
		m.Events[i] = s.count.events[i].Load()
	}
	return m
}

func (s *Store) emit(e Event) {
	s.count.events[e.Kind].Add(1)
	s.cfg.Events(e)
}
