// Package identity knows who may ask: accounts and access keys, kept in the
// internal database with their secrets sealed under the cluster's keyring.
//
// An Account owns buckets. An AccessKey signs requests for one account. The
// first account is root, made with a generated key when the cluster is created;
// there is no default secret. Lookups are cached for at most CacheAge, so a
// revoked key is dead on every connector within a second.
package identity
