// Package checksum is S3's family of content checksums: what a client declares
// about a body, what the body turns out to be, and how the checksums of parts
// become the checksum of an object.
//
// An Algorithm is one of the family. An Expectation is what a request's headers
// declare (Parse): a Content-MD5, a value in an x-amz-checksum-* header, or the
// promise of one in a trailer. A Reader wraps the body and computes over the
// caller's own slices as they pass; after io.EOF, Verify compares what was
// computed with what was declared and returns the Result, which always has the
// MD5 that S3 shows as the ETag. A Value is a finished checksum as it is stored
// and returned: COMPOSITE (a hash of the parts' digests, with "-N") or
// FULL_OBJECT (of all the bytes, which for the CRC family can be combined from
// the parts without reading them again).
//
// A declared checksum that is malformed or ambiguous is refused by Parse, before
// any byte is read; one that does not match is a BadDigest of Verify, before
// anything is committed. The errors are *Error, with the code, status and text
// that AWS answers.
//
// Nothing here stores anything or knows about requests beyond their headers.
// Read next: access/s3/sigv4, whose Body supplies the bytes and the trailers.
package checksum
