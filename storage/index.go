package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"torc/chunk"
	"torc/internal/errs"
)

// Index key space: 'k' + chunk key, 'c' + container number (big-endian), 'm' + name.
const (
	prefixChunk     = 'k'
	prefixContainer = 'c'
	prefixMeta      = 'm'

	metaDisk  = "mdisk"  // DiskID
	metaEpoch = "mepoch" // uvarint, see recovery

	indexFilesMax      = 256 // open files of one index
	indexMemtablesMax  = 4
	indexBloomBits     = 10
	indexCompactionMax = 1 // concurrent compactions of one index
)

// index is the disk's Pebble database. It has no write-ahead log: a crash takes it
// back to an earlier state, whole transactions only and in order, from which the
// containers' tails are replayed.
type index struct {
	db     *pebble.DB
	cache  *pebble.Cache          // ours to release; nil if shared
	broken atomic.Pointer[string] // why the index cannot be trusted any more
	once   sync.Once
	onFail func(reason string) // told once
}

func openIndex(cfg Config, onFail func(string)) (*index, error) {
	ix := &index{onFail: onFail}
	cache := cfg.Cache
	if cache == nil {
		ix.cache = pebble.NewCache(CacheBytesDefault)
		cache = ix.cache
	}
	opts := &pebble.Options{
		FS:                          cfg.FS,
		Cache:                       cache,
		DisableWAL:                  true,
		FormatMajorVersion:          pebble.FormatNewest,
		MemTableSize:                uint64(cfg.MemtableBytes),
		MemTableStopWritesThreshold: indexMemtablesMax,
		MaxOpenFiles:                indexFilesMax,
		CompactionConcurrencyRange:  func() (int, int) { return 1, indexCompactionMax },
		Logger:                      indexLogger{ix},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) {
				if !noSpace(err) { // Pebble tries again, and the disk says DISKFULL by itself
					ix.fail("background work failed: " + err.Error())
				}
			},
			DataCorruption: func(i pebble.DataCorruptionInfo) { ix.fail("data corruption: " + i.String()) },
		},
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(indexBloomBits)
	}
	db, err := pebble.Open(cfg.IndexDir, opts)
	if err != nil {
		ix.closeCache()
		return nil, err
	}
	ix.db = db
	return ix, nil
}

func (ix *index) closeCache() {
	if ix.cache != nil {
		ix.cache.Unref()
		ix.cache = nil
	}
}

// close ends the index; what is not flushed is replayed by the next Open.
func (ix *index) close() error {
	err := ix.db.Close()
	ix.closeCache()
	return err
}

// fail records that the index is not to be trusted: it is rebuilt by the next Open.
func (ix *index) fail(reason string) {
	ix.once.Do(func() {
		ix.onFail(reason) // first: who meets the failure finds the disk's state changed
		ix.broken.Store(&reason)
	})
}

// check returns an error once the index is broken.
func (ix *index) check(op string) error {
	if why := ix.broken.Load(); why != nil {
		return errs.E(op, errs.Unavailable, "the disk's index is damaged (%s); reopening the disk rebuilds it", *why)
	}
	return nil
}

// note turns a Pebble error into one of ours.
func (ix *index) note(op string, err error) error {
	if pebble.IsCorruptionError(err) {
		ix.fail(err.Error())
	}
	return errs.E(op, errs.Unavailable, "index: %w", err)
}

func chunkKey(k chunk.Key) []byte { return append([]byte{prefixChunk}, k[:]...) }

func statKey(num uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{prefixContainer}, num)
}

func (ix *index) get(op string, k chunk.Key) (entry, bool, error) {
	var e entry
	ok, err := ix.lookup(op, chunkKey(k), func(v []byte) (err error) {
		e, err = decodeEntry(v)
		return err
	})
	return e, ok, err
}

// lookup calls use with the value under key, valid during the call.
func (ix *index) lookup(op string, key []byte, use func([]byte) error) (bool, error) {
	v, closer, err := ix.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, ix.note(op, err)
	}
	defer closer.Close()
	if err := use(v); err != nil {
		ix.fail(err.Error())
		return false, errs.Wrap(op, err)
	}
	return true, nil
}

// list calls visit for the chunks above after in key order until it returns false.
func (ix *index) list(op string, after *chunk.Key, visit func(chunk.Key, entry) bool) error {
	lower := []byte{prefixChunk}
	if after != nil {
		lower = append(chunkKey(*after), 0)
	}
	it, err := ix.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: []byte{prefixChunk + 1}})
	if err != nil {
		return ix.note(op, err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		e, derr := decodeEntry(it.Value())
		if derr != nil || len(it.Key()) != 1+chunk.KeyLen {
			_ = it.Close()
			ix.fail("entry damaged")
			return errs.E(op, errs.Corrupt, "index entry damaged")
		}
		if !visit(chunk.Key(it.Key()[1:]), e) {
			break
		}
	}
	if err := it.Close(); err != nil {
		return ix.note(op, err)
	}
	return nil
}

// stats returns the container table.
func (ix *index) stats(op string) (map[uint32]containerStat, error) {
	it, err := ix.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixContainer}, UpperBound: []byte{prefixContainer + 1}})
	if err != nil {
		return nil, ix.note(op, err)
	}
	defer it.Close()
	out := map[uint32]containerStat{}
	for ok := it.First(); ok; ok = it.Next() {
		s, err := decodeStat(it.Value())
		if err != nil || len(it.Key()) != 5 {
			return nil, errs.E(op, errs.Corrupt, "index damaged: container table")
		}
		out[binary.BigEndian.Uint32(it.Key()[1:])] = s
	}
	return out, it.Error()
}

// identity returns the disk the index belongs to and its epoch; zero if it has none.
func (ix *index) identity(op string) (id DiskID, epoch uint64, err error) {
	_, err = ix.lookup(op, []byte(metaDisk), func(v []byte) error {
		copy(id[:], v)
		return nil
	})
	if err == nil {
		_, err = ix.lookup(op, []byte(metaEpoch), func(v []byte) error {
			epoch, _ = binary.Uvarint(v)
			return nil
		})
	}
	return id, epoch, err
}

// setIdentity makes the index durable as that of disk id in the given epoch.
func (ix *index) setIdentity(op string, id DiskID, epoch uint64) error {
	b := ix.db.NewBatch()
	defer b.Close()
	_ = b.Set([]byte(metaDisk), id[:], nil)
	_ = b.Set([]byte(metaEpoch), binary.AppendUvarint(nil, epoch), nil)
	if err := b.Commit(pebble.NoSync); err != nil {
		return ix.note(op, err)
	}
	return ix.flush(op)
}

// flush makes all that was committed durable: a checkpoint.
func (ix *index) flush(op string) error {
	if err := ix.check(op); err != nil {
		return err
	}
	if err := ix.db.Flush(); err != nil {
		return ix.note(op, err)
	}
	return ix.check(op)
}

// indexLogger keeps Pebble quiet and survivable: a fatal error of the index ends
// the trust in the index, not the process.
type indexLogger struct{ ix *index }

func (indexLogger) Infof(string, ...any)  {}
func (indexLogger) Errorf(string, ...any) {}
func (l indexLogger) Fatalf(format string, args ...any) {
	l.ix.fail(fmt.Sprintf(format, args...))
}
