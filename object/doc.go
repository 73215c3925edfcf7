// Package object is waist 2 of Torc: buckets, objects and multipart uploads, in
// terms of records in package meta and of chunks under package chunk's Store.
// Every protocol (S3, files, the native API) stands on it; none goes around it.
//
// # Nouns
//
// A Bucket is an interval of meta's key space. An Object is one record in it: a
// head (size, ETag, time), metadata, and Parts. A Part's bytes are an Extent:
// stripes of at most StripeSizeMax bytes under ring keys derived from a Base.
// A Base is a session's number and a sequence in it, so it is never reused and
// the bytes under it never change. A session is one connector's life as meta
// knows it. The purge queue holds extents that no record refers to any more;
// debt holds extents that were acknowledged short of copies or fragments.
//
// Service is the connector's half. Handlers is the half that runs inside meta.
// Purger, Sweeper and Repairer are background workers, one Step a pass.
//
// # Invariants
//
//   - Commit order: bytes durable, then the record, then the ack.
//   - One command decides: conditions, the replacement of the old record, the
//     purge entries of its extents, and the debt of the new one are one atomic
//     write. Anything missing is recorded as debt before the ack.
//   - An extent is referred to by exactly one of: an object's record, an
//     upload's part, the purge queue. It moves between them atomically, always
//     under the same anchor (the object's key), and once let go is never taken up.
//   - A record can begin to refer to a base only while the base's session is
//     open. So after a session closed, what is unreferenced stays unreferenced,
//     and its bytes can be deleted: nothing leaks, nothing is lost (ADR 0007).
//   - A page of a listing costs what the page holds, whatever the bucket holds.
//
// # Failure behaviour
//
// A body that is short, long, unreadable or refused by its Seal leaves nothing:
// its stripes are deleted now, else through the purge queue, else when the
// session is swept. When a commit's outcome is unknown its bytes stay, for a
// record may refer to them; the caller gets errs.Unknown or errs.Timeout and the
// session is replaced, closed and swept. Errors carry a Reason where a kind is
// too coarse; it survives the network. Memory for bodies is bounded over all
// requests together: errs.Overload.
//
// # Limits of today
//
// Commands read the bucket's and the session's record in the object's range:
// there is one range (see openBucket and fence for what a split changes). The
// sum of debt is a walk over it. Objects have no versions yet; docs/formats/records.md
// says where they go.
//
// Read next: types.go for the nouns, put.go and write.go for the write path,
// handle_object.go for what commits, then docs/formats/records.md and
// docs/adr/0007-sessions-and-orphans.md.
package object
