package chunk

// NodeID names a storage node in the cluster, for example "s1n4". ServerID names
// a server, for example "s1". Both are unique in a cluster and never reused.
type (
	NodeID   string
	ServerID string
)

// Epoch numbers the versions of the ring map; the higher is the newer.
type Epoch uint64

// Place is one storage node's part in an arc.
type Place struct {
	Node   NodeID
	Server ServerID
	Up     bool // liveness hint: false means "expect it to fail, ask the others first"
	// Store reaches the node: in memory when it is on this server, remote otherwise.
	Store Store
}

// Topology tells where a group's copies and fragments live.
type Topology interface {
	// Places returns the places of k's arc under the current map, best first and
	// without repetition: copy or fragment i is at home at places[i]; the rest
	// are hand-off places, to be used in order when a home cannot take a write.
	// All keys of a group get the same answer under one map. The result is
	// read-only and stays valid, possibly out of date, for as long as it is held.
	Places(k Key) []Place
}
