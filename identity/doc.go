// Package identity knows who may ask: accounts and access keys, kept in the
// internal database with their secrets sealed under the cluster's keyring.
//
// # Nouns
//
// An Account owns buckets. An AccessKey signs requests for one account. The
// first account is root, made by Bootstrap with a generated key when the cluster
// is created; there is no default secret. A Keyring holds the keys that seal
// secrets: AES-256-GCM, the ring key's id beside each sealed secret, so that the
// current one can change while old records still open.
//
// # Invariants
//
//   - A secret leaves this package twice: from CreateKey, once, and inside the
//     Credential of a Lookup. It is never in a log, an error or a rendering of
//     its struct, and never in the database in the clear.
//   - A sealed secret is bound to its access key and account: moved to another
//     record it does not open.
//   - Lookups, misses too, are believed for at most CacheAge, so a revoked key
//     is dead on every connector within a second.
//   - Access key ids, account ids, names and e-mail addresses are unique.
//
// # Failure behaviour
//
// An unknown or inactive key is errs.NotFound; a database that does not answer
// is its error, never an old answer. A secret that does not open is errs.Corrupt
// and says which ring key it wants.
//
// Read next: service.go, then handlers.go for what is decided inside the
// database, then docs/formats/records.md.
package identity
