// Package protect makes one value survive the loss of disks and servers: it
// stores it as copies or as Reed-Solomon fragments on the places that a
// chunk.Topology names, and reads it back from what is left.
//
// # Nouns
//
// A group is all the copies or fragments of one value; its main key (index 0)
// names it and says the policy. A home is the place where a fragment belongs:
// places[i] for fragment i. A hand-off place takes a fragment whose home is
// down, failed or late. A generation is what one Put wrote: only fragments of
// one generation are ever combined. A census is what the places answered about
// a group.
//
// # Writing
//
// All fragments go to their homes at once. One whose home is not up, fails, or
// is late goes to a hand-off place: one that keeps
// the loss of any one server survivable, if there is such a place, preferably on
// a server where nothing failed. Put returns when all fragments are durable, or
// when enough are and the rest failed or are late. Enough is:
//
//   - ackable: k+1 fragments or a majority of copies, and never all on one server
//     if the map has several;
//   - and readable after the loss of any one server, unless the places still
//     worth trying cannot provide that: those that are up, not suspected, and
//     neither failed nor late in this write, on servers that do not seem lost.
//
// Late is HandoffAfter, or four times what writes take of late, at most
// PatienceMax times HandoffAfter: under overload a second write of everything is
// what helps least. A write that cannot be acknowledged yet waits for late
// attempts too, and when nothing is left to try the least suffices.
//
// So with all servers up an acknowledged value survives any one of them; with one
// of three down, writes go on with what two can give. A frozen server costs a
// write that time and what the replacements take; slow failures at most
// SpreadRounds+1 times HandoffAfter. The Receipt is the truth at that moment: the
// layer above records what is owed before it acknowledges.
//
// The caller's bytes are the caller's again when Put returns, and Put does not
// copy them: it cancels what is late and waits until every store has let go. A
// store whose Put does not end with its context holds the caller up.
//
// A coded value of s bytes has fragments of ceil(s/k) bytes rounded up to 64,
// filled up with zeros; Attrs.GroupSize is s in each. Byte b lies in fragment
// b/len at b%len. The code is klauspost/reedsolomon's default matrix.
//
// # What a read may say
//
// Keys that are written once (Config.Overwritten tells them) are read directly: a sound
// copy, or the data fragments that the range touches, with spares and
// reconstruction where one fails or is late. Whenever that does not work out,
// and always for keys that may be overwritten, a survey asks all homes first,
// and the hand-off places about fragments that a home lacks. Then:
//
//   - The newest generation with at least k fragments wins.
//   - A tombstone at a home deletes what is of its version or below. On a hand-off
//     place it only says that nothing is there: a fragment that went home leaves one.
//   - NotFound needs proof: the places that did not answer must be too few to
//     hold an acknowledged value (not ackable); for a key written once, every
//     home must have answered as well, so that not even a value which has lost
//     other fragments since is called absent because a node is down.
//   - What has left a trace (a fragment too few, a corrupt copy) is never
//     NotFound: it is Corrupt if all places answered, otherwise Unavailable.
//   - A key that may be overwritten is Unavailable when a newer acknowledged
//     version could lie on the places that did not answer.
//
// # Slow places
//
// A read that is not answered asks another place after the 95th percentile of
// what reads of its size took of late (HedgeAfterMin to Config.HedgeAfter). Such
// hedges are at most HedgeShare of the reads: when all are slow, asking twice
// would only make it worse. A node for which reads waited for HedgeAfter in vain
// is silent: for SuspectFor it is asked after the others. A node that was late
// for a write is suspected: for SuspectFor it is treated as down, by writes too.
//
// # Failure behaviour
//
// A Put below the quorum fails with what all places agree on (Full, Overload)
// or Unavailable when nothing is left of it, otherwise Unknown. It never removes
// what it wrote: the same Put may be a rewrite of live data. Full and Overload
// may therefore leave fragments too; who owns the key deletes it or puts again.
//
// # Limits
//
// Fragments replace older ones in place, so an overwrite of a coded key that
// dies half-way may leave neither generation readable: connectors that overwrite
// use copies, or a fresh key for each value. A version acknowledged on hand-off
// places alone, while all homes hold an older one, is not seen until healed.
// Two writers who put different bytes under one version are not told apart
// unless owner or size differ.
//
// Read next: placing.go (where fragments go, when it is enough), census.go (what
// may be said), then put.go and coded.go, which drive them; hedge.go;
// docs/adr/0005 and 0008.
package protect
