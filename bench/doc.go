// Command bench loads an S3 endpoint and prints what it cost: operations and
// MiB a second, latency, CPU of the server processes per operation, peak
// memory. Any endpoint can be the target, so stores are compared with one tool:
//
//	bench --torc bin/torc                                   a fresh Torc ring of its own
//	bench --endpoint http://h:p --access-key K --secret-key S --pids 12,34   anything else
//
// The client (minio-go) signs its payload in 64 KiB chunks over HTTP, as most
// load generators do, so the server hashes each byte with SHA-256 and MD5.
package main
