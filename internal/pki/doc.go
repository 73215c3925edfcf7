// Package pki is the cluster's own certificate authority and the TLS
// configurations made from it.
//
// # Nouns
//
// A cluster has one CA (ECDSA P-256, valid ten years). It issues each server
// one certificate, whose URI name torc://<cluster>/server/<id> is the server's
// Identity: that, and neither its address nor its DNS name, is what peers check.
// The same certificate carries DNS and IP names, so that it can serve HTTPS too.
//
// # Invariants
//
//   - Between servers both ends present a certificate; TLS 1.3 only.
//   - A certificate of another CA, or of the same CA for another cluster id, is
//     refused by both ends.
//   - Private keys are written with mode 0600, by creating a new file and
//     renaming it into place; a key file that others may read is not loaded.
//
// # Failure behaviour
//
// errs.Invalid for names outside the rules and for files that do not hold what
// they should; errs.Permission for a peer or a key file that is not trusted.
//
// Read next: ca.go, then package transport, which uses it.
package pki
