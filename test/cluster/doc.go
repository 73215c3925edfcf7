// Package cluster tests whole rings: real server processes, real clients (AWS
// CLI, boto3, the Go SDK) and real faults. "make cluster" runs it.
package cluster
