// Package remote is waist 1 over the network: a chunk.ListStore whose chunks
// lie with a storage node on another server.
//
// # Nouns
//
// A Server answers the methods 0x0101 to 0x0105 for the storage nodes of its
// process; Register puts them into a transport.Mux. A Client is the ListStore
// that a caller holds for one node. Each request names the node and the epoch of
// the caller's ring map, so that the server's Route (given by package ring) can
// serve it, proxy it to the node that owns the key now, or refuse it with
// errs.Moved.
//
// # Invariants
//
//   - Heads are small, versioned and hand-coded (docs/formats/wire.md); data
//     travels as the call's body and is not copied on its way.
//   - Errors keep their kind: Stale here is Stale there.
//   - Data of a Get was verified by the remote store and by the frame's
//     checksum; the client checks that it is the range asked for, of the key
//     asked for.
//
// # Failure behaviour
//
// As for every chunk.Store. In addition a request that cannot have reached the
// node fails with errs.Unavailable, one that may have with errs.Unknown; a node
// that does not live at the address with errs.Moved; a head that does not
// decode with errs.Invalid.
//
// Read next: head.go, then client.go and server.go.
package remote
