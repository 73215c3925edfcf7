package meta

import (
	"sort"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"torc/internal/errs"
)

// bloomBits a key: a request id that is not in the dedupe table, the common
// case, costs no read in 99 of 100 files.
const bloomBits = 10

// openPebble opens the store's Pebble. Its format is pinned: WAL sync chunks
// tell a torn tail, which a crash leaves, from a damaged record, which it does not.
func openPebble(cfg Config) (*pebble.DB, error) {
	opts := &pebble.Options{
		FS: cfg.FS, Cache: cfg.Cache, CacheSize: cfg.CacheBytes, MemTableSize: cfg.MemTableBytes,
		FormatMajorVersion:          pebble.FormatWALSyncChunks,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       32,
		MemTableStopWritesThreshold: 4,
		MaxOpenFiles:                500,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		Logger:                      pebbleLogger{cfg.Log},
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
	}
	db, err := pebble.Open(cfg.FS.PathJoin(cfg.Dir, "db"), opts)
	if err != nil {
		kind := errs.KindOf(err)
		if pebble.IsCorruptionError(err) {
			kind = errs.Corrupt
		}
		return nil, errs.E("meta.Open", kind, "%w", err)
	}
	return db, nil
}

// incomingDir is where snapshots are received.
func incomingDir(cfg Config) string { return cfg.FS.PathJoin(cfg.Dir, "incoming") }

// identity is what a store's directory says about its owner.
type identity struct {
	cluster, server string
	store           requestID // random, of this directory
}

func (i identity) encode() []byte {
	enc := encoder{}
	enc.bytes([]byte(i.cluster))
	enc.bytes([]byte(i.server))
	enc.raw(i.store[:])
	return enc.b
}

func decodeIdentity(rec []byte) (identity, error) {
	body, err := unseal("identity", identityKey(), rec)
	if err != nil {
		return identity{}, err
	}
	d := decoder{b: body, what: "identity"}
	i := identity{cluster: string(d.bytes(idLenMax)), server: string(d.bytes(idLenMax))}
	copy(i.store[:], d.raw(uint64(len(i.store))))
	return i, d.done()
}

// The log of the first range begins after this entry, which no replica has.
const (
	firstIndex = 1
	firstTerm  = 1
)

// newDescriptor describes the first range: replicas are numbered in the order
// of their server ids, so that all servers come to the same without asking.
func newDescriptor(peers []Peer) descriptor {
	servers := make([]string, 0, len(peers))
	for _, p := range peers {
		servers = append(servers, p.ID)
	}
	sort.Strings(servers)
	d := descriptor{span: Span{From: []byte{PrefixPlain}}}
	for i, id := range servers {
		d.replicas = append(d.replicas, replica{replicaID(i + 1), id})
	}
	return d
}

// bootstrap writes an empty directory's first state, the same on all servers of
// the configuration but for the store id, or verifies that the directory is
// this server's. It returns the store id.
func bootstrap(db *pebble.DB, cfg Config) (requestID, error) {
	rec, err := get(db, identityKey())
	if err != nil {
		return requestID{}, err
	}
	if rec != nil {
		got, err := decodeIdentity(rec)
		if err == nil && (got.cluster != cfg.ClusterID || got.server != cfg.ServerID) {
			err = errs.E("meta: open", errs.Precondition, "the directory belongs to server %s of cluster %s, not to server %s of cluster %s",
				got.server, got.cluster, cfg.ServerID, cfg.ClusterID)
		}
		return got.store, err
	}
	owner := identity{cfg.ClusterID, cfg.ServerID, newStoreID()}
	state := appliedState{index: firstIndex, term: firstTerm, desc: newDescriptor(cfg.Peers)}
	b := db.NewBatch()
	defer b.Close()
	if err := putState(b, firstGroup, state); err != nil {
		return requestID{}, err
	}
	if err := putMembership(b, membership{state: joinNew}, nil); err != nil {
		return requestID{}, err
	}
	records := []struct{ key, payload []byte }{
		{raftKey(firstGroup, raftHard), encodeHard(hardState(firstTerm, 0, firstIndex))},
		{raftKey(firstGroup, raftTrunc), encodeEntryID(entryID{firstIndex, firstTerm})},
		{identityKey(), owner.encode()},
	}
	for _, r := range records {
		if err := b.Set(r.key, seal(r.key, r.payload), nil); err != nil {
			return requestID{}, err
		}
	}
	return owner.store, b.Commit(pebble.Sync)
}
