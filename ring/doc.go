// Package ring says where every key lives, and leads every call there.
//
// # Nouns
//
// The keyspace is cut into 2^p equal arcs by the top bits of a key. A Map gives
// each arc an ordered list of storage nodes and carries an epoch; it is stored
// in meta, cached by every process, and immutable: a change is a new Map with a
// higher epoch. Copy or fragment i of a key is at home at the i-th node of its
// arc's list; the rest of the list are hand-off places, best first.
//
// PlanInitial makes the first Map of a membership. It is a pure function: the
// same Members give the same Map on every machine. Its Explanation says in words
// what a protection survives on that Map, counted from the Map.
//
// A Keeper holds the newest Map this process knows: from meta, or from a
// checksummed file of its own so that a restart without a quorum still routes.
// A Router resolves keys to chunk.Places (it implements chunk.Topology) and a
// Keyed store sends each chunk to its home. A Guard stands at the server's side
// of the remote protocol and decides whether a request reached the right node;
// when it did not, it proxies, once. Spread is a storage node over several disks.
//
// Liveness says which servers to expect an answer from. Gossip gives it, by the
// SWIM protocol; failed and successful calls correct it (Observe). It is a hint:
// being wrong costs time, never data, for no decision that moves or deletes
// anything is taken from it.
//
// # Invariants
//
//   - Prefix property: the first n nodes of a list spread as widely as n can, over
//     sites, then zones, then servers, then nodes. Of U units on a level each
//     holds at most ceil(n/U), as long as it has the nodes and the levels above
//     it allow it.
//   - No node appears twice in a list.
//   - Every column of the map, and so every prefix, gives each node its share by
//     capacity, within 5 % or one arc, as far as the prefix property leaves room.
//   - A request is proxied at most once, and only to a node of the arc's list
//     under the proxying server's map.
//
// # Failure behaviour
//
// A place that cannot be reached answers errs.Unavailable when nothing can have
// happened and errs.Unknown or errs.Timeout when it may have; its server is then
// marked down at once. A request at a node that does not own the key, and that
// may not be proxied, answers errs.Moved. A map file or a stored map whose
// checksum fails is errs.Corrupt and is not used.
//
// Read next: Map in map.go, PlanInitial in plan.go, Router in router.go, then
// docs/formats/ringmap.md and docs/adr/0004-arc-map.md.
package ring
