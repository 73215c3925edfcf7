package protect

import (
	"time"

	"torc/chunk"
	"torc/internal/clock"
)

// Defaults of Config.
const (
	HandoffAfterDefault = time.Second
	HedgeAfterDefault   = 200 * time.Millisecond
	WriteTimeoutDefault = 30 * time.Second
	SuspectForDefault   = 5 * time.Second
)

// Limits of the work one call makes.
const (
	HandoffPlacesMax = 12 // hand-off places of a group that are ever used or asked
	AttemptsMax      = 3  // places tried for one fragment once the value is safe without it
	LateMax          = 2  // places of one server that may be late before the write counts on it no more
	SpreadRounds     = 3  // times HandoffAfter that a write insists on surviving the loss of a server
	SurveysMax       = 3  // surveys of one read whose value is overwritten meanwhile
	LocateReadsMax   = 4  // fragments that one Locate reads at a time
)

// Config says how a Store behaves. The zero Config is usable.
type Config struct {
	// Clock measures lateness; nil is the machine's.
	Clock clock.Clock
	// Local names this server: its copies are read before others.
	Local chunk.ServerID

	HandoffAfter time.Duration `default:"1s" help:"a fragment write not acknowledged for this long is sent to a hand-off place as well"`
	HedgeAfter   time.Duration `default:"200ms" help:"a read not answered for this long is sent to another place as well"`
	WriteTimeout time.Duration `default:"30s" help:"a write that has not reached its quorum after this long fails"`
	SuspectFor   time.Duration `default:"5s" help:"a place that was late is treated as down for this long"`

	// Overwritten tells keys that may be written again from those that are
	// written once. Reads of the former first learn the newest version from all
	// homes. Nil: all but those of chunk.ServiceS3, since native clients choose
	// their keys freely.
	Overwritten func(k chunk.Key) bool

	// Events is told what operators and heal want to know. It is called by the
	// goroutine that noticed and must not block. Nil drops them.
	Events func(Event)
}

func (c Config) withDefaults() Config {
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&c.HandoffAfter, HandoffAfterDefault}, {&c.HedgeAfter, HedgeAfterDefault}, {&c.WriteTimeout, WriteTimeoutDefault},
		{&c.SuspectFor, SuspectForDefault},
	} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	if c.Overwritten == nil {
		c.Overwritten = func(k chunk.Key) bool { return k.Payload().Service != chunk.ServiceS3 }
	}
	if c.Events == nil {
		c.Events = func(Event) {}
	}
	return c
}
