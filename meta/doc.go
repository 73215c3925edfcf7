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
//
// # Inside
//
// A Client finds the range of a key and its leader, and retries under one
// request id. A Store is one server's part: its replicas (group), driven by one
// goroutine (driver) over one Pebble. A batch is evaluated off the driver on an
// overlay; its effects are one raft entry, with the outcomes of its commands, by
// which a retry is recognised. Queries wait for a read round (readRounds) that a
// quorum confirmed, then run on a snapshot.
//
// A replica whose log does not verify keeps its store from opening. A replica
// that lost its disk does not vote before it has been refilled (join.go). When
// Pebble fails to write, the store stops; when raft or an entry contradicts
// itself, the one replica stops: Status says why, nothing is repaired silently.
//
// # Limits
//
//   - One range, whose replicas are the servers of the first configuration:
//     ranges do not split yet and replicas do not move. Handlers that page by
//     Range will not notice when they do.
//   - At the first start of a store all its peers must be reachable once. When
//     two of three servers lose their disks at once, the range stays down.
//   - A write error of Pebble's own log panics in Pebble and ends the process.
//   - Retries are recognised for at least ten minutes.
//
// Read next: meta.go, eval.go, group.go, driver.go; docs/adr/0006-meta-commands.md
// for the reasons, docs/formats/meta.md for the bytes.
package meta
