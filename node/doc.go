// Package node is the composition root: one server with all its roles, wired
// explicitly in one function.
//
// Read node.go top to bottom: Start builds the stack from the directory's lock
// to the listening ports, each step using only what the steps before it made.
// Waist 1 is protect over ring over (local disks | remote nodes); waist 2 is
// object over waist 1 and the database; connectors stand on waist 2.
//
// # Failure behaviour
//
// What the operator must mend (a bad configuration, a port in use, another
// process on the directory) makes Start fail with a sentence, leaving nothing
// behind. A disk that cannot be used does not: the server serves without it and
// its status says why. What needs other servers (the ring map, root's account,
// the connector's session) is retried in the background until it succeeds;
// until then the server is LOADING and its S3 port answers 503.
//
// Status is honest: what cannot be asked is shown as OFFLINE or unknown, and no
// state is RUN while something is owed.
package node
