// Package transport carries calls between Torc's servers.
//
// # Nouns
//
// A Client makes calls to addresses; a Server answers them from a Mux, the
// explicit table of methods. Between them run links: connections that speak the
// framing of docs/formats/wire.md. A client keeps, for each address, one link
// for small calls, one for one-way sends, and a small pool for bulk, so that a
// body of megabytes never stands in front of a call of kilobytes. Links are
// dialled when first needed and again, after a short back-off, when they broke.
//
// # Invariants
//
//   - Every frame is covered by CRC32C. A frame that fails it breaks the link:
//     no handler and no caller ever sees bytes that were changed on the way.
//   - Every call gets exactly one answer on its link, a reply or an error, also
//     when the caller has given up: the answer gives back the call's share of
//     the link's window.
//   - Memory is bounded. The server states at connect how many calls and how
//     many bytes of requests it takes in flight on that link; the client waits
//     for room. Replies are not windowed: a caller asked for each of them, and a
//     window on replies would let callers that hold one reply while waiting for
//     another block each other for ever.
//   - A caller's memory is the caller's again when Call or Send returns.
//   - Deadlines travel as microseconds left, never as a time of day.
//
// # Failure behaviour
//
// A dead peer is noticed within KeepaliveTimeout. Calls that had not been
// handed to the network then fail with errs.Unavailable, the others with
// errs.Unknown. During the back-off after a failed dial calls fail at once with
// errs.Unavailable. Beyond the server's bounded queue calls fail with
// errs.Overload. A server that is closing finishes what it has begun and refuses
// the rest with errs.Unavailable.
//
// With TLS both ends present certificates of package internal/pki; a peer of
// another cluster, or another server than the one expected at an address, is
// refused before the first frame.
//
// Read next: frame.go (the bytes), link.go (what both ends share), client.go
// and server.go.
package transport
