// Package chunktest is the conformance suite of waist 1: what package chunk
// promises, written as tests that every chunk.Store passes, alone and stacked.
//
// Run is for stores that hold chunks and can list them (disks, nodes, remote
// clients): its keys are copies and fragments of any index. RunStore is for
// stores that answer for a whole group (protect, the ring's router): its keys
// are main keys. RunReopen is for stores that keep what they hold: it closes and
// opens one store again and again and compares it with chunk.Memory.
//
// Every subtest opens a store of its own, which must be empty, and checks after
// the test's cleanups that all pooled buffers (internal/buf) came back. open
// registers what closes the store with t.Cleanup.
//
// A store that misbehaves is what the suite is for: mutant_test.go breaks the
// model in one way at a time and shows that the suite notices.
package chunktest
