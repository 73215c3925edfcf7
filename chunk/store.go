package chunk

import (
	"context"
	"hash/crc32"

	"torc/internal/clock"
)

// Limits that every Store enforces with errs.TooLarge.
const (
	SizeMax     = 16 << 20 // bytes of data in one chunk
	OwnerLenMax = 2048     // bytes of Attrs.Owner
)

// Version orders the writes of one key: a hybrid logical clock reading, never a
// bare wall clock. Zero is not a version.
type Version = clock.Timestamp

// Attrs is what a writer records beside the bytes; stored in the header,
// covered by its checksum, returned unchanged.
type Attrs struct {
	// GroupSize is the length in bytes of the whole value the group protects,
	// before coding. For plain copies it equals Info.Size.
	GroupSize int64
	// Owner is an opaque back-reference to the record that owns the bytes, at
	// most OwnerLenMax bytes: orphans are found through it.
	Owner []byte
}

// Info describes a chunk without its bytes.
type Info struct {
	Key     Key
	Version Version
	Size    int64  // bytes of data; 0 for a tombstone
	Sum     uint32 // CRC32C (Castagnoli) of the data
	Deleted bool   // a tombstone
	Attrs
}

// Write is one put. The Store neither retains nor changes Data or Owner after
// Put returns, whatever it returns.
type Write struct {
	Key     Key
	Version Version
	Attrs
	Data []byte
}

// Receipt says what an acknowledged Put or Delete achieved. A plain Store
// answers {1,1,0}; protect answers for the group.
type Receipt struct {
	Want    int // copies or fragments that the policy asks for
	Durable int // how many are durable now
	Handoff int // how many of the durable ones lie on a hand-off place, not at home
}

// Whole reports that nothing is owed: all copies durable and at home.
func (r Receipt) Whole() bool { return r.Durable >= r.Want && r.Handoff == 0 }

// Range selects bytes of a chunk. Len < 0 means to the end.
type Range struct{ Off, Len int64 }

// All is the whole chunk.
var All = Range{0, -1}

// Chunk is a chunk read: Data holds the bytes of the asked range only.
// The caller owns it until it calls Release, exactly once, and must not touch
// Data after that.
type Chunk struct {
	Info
	Data    []byte
	release func()
}

// NewChunk makes a Chunk whose Release calls release (which may be nil).
func NewChunk(info Info, data []byte, release func()) *Chunk {
	return &Chunk{Info: info, Data: data, release: release}
}

// Release gives the bytes back to where they came from.
func (c *Chunk) Release() {
	if c != nil && c.release != nil {
		r := c.release
		c.release = nil
		c.Data = nil
		r()
	}
}

// Putter stores chunks.
type Putter interface {
	// Put stores w durably, atomically and idempotently. errs.Stale if a higher
	// version, or a tombstone of the same or a higher one, is stored: between a
	// put and a delete of one version the delete wins, in whichever order they
	// come. The same put again succeeds and changes nothing. Invalid, TooLarge, Full, Unavailable: nothing was
	// stored. Unknown, Timeout, Canceled: it may have been.
	Put(ctx context.Context, w Write) (Receipt, error)
}

// Getter reads chunks.
type Getter interface {
	// Get returns the bytes of r with the chunk's Info. Every returned byte has
	// been verified. NotFound if absent or deleted, OutOfRange if r does not lie
	// within [0, size], Corrupt if verification fails.
	Get(ctx context.Context, k Key, r Range) (*Chunk, error)
	// Stat returns the Info, of a tombstone too (Deleted set, no error).
	// NotFound if nothing was ever stored or its tombstone has been dropped.
	Stat(ctx context.Context, k Key) (Info, error)
}

// Deleter deletes chunks.
type Deleter interface {
	// Delete durably replaces what k holds by a tombstone of version v. Deleting
	// what is absent leaves a tombstone as well and succeeds. Stale if a higher
	// version is stored.
	Delete(ctx context.Context, k Key, v Version) (Receipt, error)
}

// Store is waist 1. All methods are safe for concurrent use; writes of one key
// are linearizable.
type Store interface {
	Putter
	Getter
	Deleter
}

// Lister is implemented by stores that can enumerate what they hold: disks,
// nodes and their remote clients.
type Lister interface {
	// List returns, in ascending key order, the Infos of at most limit chunks
	// (tombstones included) with key > *after, or from the very first when after
	// is nil. A short answer, not an empty one, may come before the
	// end: the end is reached when List returns no Info. Limit is 1..ListMax.
	List(ctx context.Context, after *Key, limit int) ([]Info, error)
}

// ListMax bounds one List.
const ListMax = 4096

// ListStore is a Store that can be enumerated.
type ListStore interface {
	Store
	Lister
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum is the CRC32C of data, the Sum of Info.
func Checksum(data []byte) uint32 { return crc32.Checksum(data, castagnoli) }

// Resolve turns r into absolute bounds within size; ok is false when it does not fit.
func (r Range) Resolve(size int64) (off, n int64, ok bool) {
	if r.Off < 0 || r.Off > size {
		return 0, 0, false
	}
	n = r.Len
	if n < 0 {
		n = size - r.Off
	}
	return r.Off, n, n <= size-r.Off
}
