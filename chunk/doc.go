// Package chunk is waist 1 of Torc: storing immutable-by-version bytes under a
// 160-bit ring key.
//
// # Nouns
//
// A Key is 20 bytes, written as 40 upper-case hex digits. Its layout is
// published (see Key) and says by itself how the value is protected: class of
// service 0-5 is that many copies plus one; class 7 is erasure coding with k
// and m inside the key. A group is all the copies or fragments of one value;
// they share every bit of the key but the fragment index, hence one position on
// the ring. Group.Sibling(i) is the key of copy or fragment i.
//
// A Chunk is what lies under a key: bytes, a Version, a CRC32C, and Attrs.
// A Store puts, gets, stats and deletes chunks. Disks (package storage), remote
// nodes (chunk/remote), the ring's router (package ring) and protection
// (package protect) all are Stores and all consume Stores, so none of them
// knows another; package node stacks them. chunk/chunktest is the one
// conformance suite that every Store passes; Memory is the obvious
// implementation and Faulty the one that misbehaves on request.
//
// # Invariants
//
//   - An ack means durable: when Put or Delete returns nil, the effect survives
//     SIGKILL and power loss of the machine (Memory excepted, of course).
//   - The higher Version wins. A Put or Delete below the stored version changes
//     nothing and fails with errs.Stale; the same version again is idempotent.
//   - A delete is a version too: it leaves a tombstone, so a late Put of a lower
//     version cannot bring data back.
//   - What Get returns was written by one Put, whole and verified by checksum;
//     otherwise the error is errs.Corrupt and never wrong bytes.
//   - Keys that Torc makes are never reused: data under them never changes.
//
// # Failure behaviour
//
// Errors carry a kind of package internal/errs. NotFound: no such chunk (or a
// tombstone). Stale: see above. Corrupt: bytes fail verification. Full: no
// space for new data. Unavailable: nothing happened, try elsewhere. Unknown and
// Timeout: a write may have happened. TooLarge, Invalid, OutOfRange: bad input,
// nothing changed.
//
// Read next: Store in store.go, Key in key.go, Topology in topology.go, then
// package protect.
package chunk
