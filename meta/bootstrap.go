package meta

import (
	"sort"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"go.etcd.io/raft/v3/raftpb"

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
type identity struct{ cluster, server string }

func (i identity) encode() []byte {
	enc := encoder{}
	enc.bytes([]byte(i.cluster))
	enc.bytes([]byte(i.server))
	return enc.b
}

// The log of the first range begins after this entry, which no replica has: a
// replica without it is empty, not new.
const (
	firstIndex = 1
	firstTerm  = 1
)

// bootstrap writes an empty directory's first state, the same on all servers of
// the configuration, or verifies that the directory is this server's.
func bootstrap(db *pebble.DB, cfg Config) error {
	rec, err := get(db, identityKey())
	if err != nil {
		return err
	}
	want := identity{cfg.ClusterID, cfg.ServerID}
	if rec != nil {
		body, err := unseal("identity", identityKey(), rec)
		if err != nil {
			return err
		}
		d := decoder{b: body, what: "identity"}
		got := identity{string(d.bytes(idLenMax)), string(d.bytes(idLenMax))}
		if err := d.done(); err != nil {
			return err
		}
		if got != want {
			return errs.E("meta: open", errs.Precondition, "the directory belongs to server %s of cluster %s, not to server %s of cluster %s",
				got.server, got.cluster, want.server, want.cluster)
		}
		return nil
	}
	servers := make([]string, 0, len(cfg.Peers))
	for _, p := range cfg.Peers {
		servers = append(servers, p.ID)
	}
	sort.Strings(servers)
	state := appliedState{index: firstIndex, term: firstTerm, desc: descriptor{span: Span{From: []byte{PrefixPlain}}}}
	for i, id := range servers {
		state.desc.replicas = append(state.desc.replicas, replica{replicaID(i + 1), id})
	}
	b := db.NewBatch()
	defer b.Close()
	if err := putState(b, firstGroup, state); err != nil {
		return err
	}
	hard := &raftpb.HardState{Term: &state.term, Commit: &state.index}
	records := []struct{ key, payload []byte }{
		{raftKey(firstGroup, raftHard), encodeHard(hard)},
		{raftKey(firstGroup, raftTrunc), encodeEntryID(entryID{firstIndex, firstTerm})},
		{identityKey(), want.encode()},
	}
	for _, r := range records {
		if err := b.Set(r.key, seal(r.key, r.payload), nil); err != nil {
			return err
		}
	}
	return b.Commit(pebble.Sync)
}
