// Package clock is the seam through which Torc sees time.
//
// Three things live here. Clock is wall and monotonic time with timers; System
// is the real one, Manual is stepped by tests. Timestamp is a hybrid logical
// clock reading: 48 bits of milliseconds since 1970 and 16 bits of logical
// counter, totally ordered, that never goes backwards in one process and never
// orders two causally related events wrongly. HLC makes them.
//
// Wall time never orders writes, never shortens retention and never elects
// anyone in Torc: versions are Timestamps, leases are monotonic durations.
package clock
