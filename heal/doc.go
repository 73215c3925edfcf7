// Package heal brings the ring back to what the policy promises.
//
// # Nouns
//
// A chunk is misplaced when the node that holds it is not its home under the
// current map: a write put it there as a hand-off while the home was away or
// late. Homing is the worker that brings such chunks home. Every server homes
// what its own nodes hold; nobody coordinates.
//
// # Invariants
//
//   - A misplaced chunk is deleted only after its home has been read back whole
//     and verified at the same or a higher version, or holds a newer tombstone.
//   - Homing writes the version it found, never a new one: a delete that happened
//     meanwhile is newer, so nothing is resurrected, and two workers on the same
//     chunk do the same thing.
//   - A pass looks at a bounded number of chunks and can stop anywhere.
//
// # Failure behaviour
//
// A home that does not answer, or is full, keeps its chunk waiting where it is; the
// next round tries again. A local chunk that fails verification is left alone:
// the other fragments of its group are what repairs it.
//
// Rebuild of lost fragments, scrub and balance are not here yet: docs/limits.md.
package heal
