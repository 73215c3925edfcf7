// Package sigv4 verifies AWS Signature Version 4 for a server of S3 and
// undoes the framing of signed uploads.
//
// A Verifier checks who sent a request: by its Authorization header or by a
// presigned query. The answer is an Auth. Auth.Body then gives the payload,
// decoded and authenticated as it is read, in every form that
// x-amz-content-sha256 can announce (Mode): a hash of the whole, nothing, or
// aws-chunked with a chain of chunk signatures, with or without trailers.
//
// What is signed is what handlers see: the canonical path is made from
// r.URL.Path, the canonical query from the same decoding as r.URL.Query(), and
// requests on which the two could differ are refused. Paths are neither cleaned
// nor normalised, and handlers must not do so either.
//
// Invariants. A request that carries anything like a credential is never
// anonymous. A signature is required in every payload mode, also those that do
// not sign the payload. The host and every x-amz- header must be signed.
// Signatures are compared in constant time. A body answers io.EOF only when
// every chunk, the trailers, the hash and the declared length have been
// checked; no byte beyond the declared length is handed out. Memory does not
// grow with the body, a chunk or a hostile header line.
//
// Refusals are *Error: a closed set of S3 codes with AWS's texts. Outages of
// the credential store are passed on as they are. No error or log value holds a
// secret or a signing key.
//
// Limits: SigV2, SigV4A (ECDSA), session tokens and POST forms are refused in
// plain words.
//
// Read next: verifier.go, canonical.go, then chunked.go. Reference:
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
package sigv4
