// Package s3 is the S3 connector: it speaks Amazon's S3 protocol to clients and
// waist 2 (package object) to the cluster, and holds no state between requests.
//
// A request passes one way, written out in call.serve: the URL names a target
// (parseTarget), the signature names the caller (sigv4), a table names the
// operation (dispatch.go), headers that ask for what is not there are refused
// (features.go), and one handler per file does the work. Bodies flow through
// one chain of readers into object without being buffered: idle deadline,
// aws-chunked and signature, checksums.
//
// Invariants. Nothing of a body is read before the caller is known and the
// request is found possible. A 200 means durable. A body that ends early, or
// does not agree with a hash, a checksum or a length that came with it, leaves
// nothing behind. An answer that fails after its first byte is cut off, never
// ended as if whole. What S3 has and Torc has not is refused with 501, never
// ignored. Only the account that owns a bucket may use it; nothing is public.
//
// Failures. An error becomes an S3 answer in one place, answerFor. Overload and
// outages are 503 with Retry-After; what is not understood is InternalError and
// in the log. A panic in a handler is answered 500, or cuts the connection.
//
// Limits are in limits.go, docs/s3.md says what is supported. Read next:
// handler.go, dispatch.go, then object_put.go and object_get.go.
package s3
