// Package meta is Torc's internal distributed NoSQL database: an ordered
// key/value map, linearizable, replicated by raft, and ignorant of what its
// layers above mean by their records.
//
// # Nouns
//
// The key space is cut into ranges; each range is a raft group of three
// replicas on three servers. A Command is a typed request with a routing key.
// The range that holds the routing key's place evaluates it once, at its
// leaseholder: the registered Handler reads through a Txn, checks whatever must
// hold, and writes; the writes of one command are atomic and are acknowledged
// when a quorum holds them durably. A query is a command that only reads.
//
// A command may touch only keys of the range that holds its routing key. Keys
// that must stay together with an anchor key whatever the splits (the parts of
// an upload, the purge entries of an object) are local keys: see LocalKey.
//
// # Invariants
//
//   - Do acknowledges only what survives SIGKILL of all servers at once.
//   - Do and Query are linearizable. A command is applied at most once however
//     often it is retried; it is evaluated again only if it was not applied.
//   - A handler is a pure function of the Txn and the body: it may be evaluated
//     more than once, only one evaluation takes effect.
//   - A handler's error is returned with its kind and message and writes nothing.
//
// # Failure behaviour
//
// Unavailable: no leader could be reached in time and nothing happened.
// Unknown or Timeout: the command may have been applied. Everything else is
// the handler's own answer.
package meta
