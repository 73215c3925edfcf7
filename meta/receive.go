package meta

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"torc/internal/errs"
	"torc/internal/transport"
)

// snapshotFileBytes is the size after which a received snapshot goes on in
// another file.
const snapshotFileBytes = 64 << 20

// receiver takes snapshots in: one at a time, a newer one replaces one under way.
type receiver struct {
	mu  sync.Mutex
	now *incoming
}

// incoming is a snapshot being received, then one waiting to be installed.
type incoming struct {
	fs    vfs.FS
	dir   string
	opts  sstable.WriterOptions
	head  chunkHead // of the last chunk taken
	paths []string

	spans   []pebble.KeyRange // what the snapshot replaces
	lower   []byte            // where the current file begins
	lastKey []byte
	out     *sstable.Writer
	size    int
}

// serveSnapshot takes one chunk.
func (s *Store) serveSnapshot(_ context.Context, peer transport.Peer, req transport.Request) (*transport.Reply, error) {
	h, err := decodeChunkHead(req.Head)
	if err != nil {
		return nil, err
	}
	if err := s.checkPeer(h.from, peer); err != nil {
		return nil, err
	}
	s.recv.mu.Lock()
	defer s.recv.mu.Unlock()
	if err := s.chunk(h, req.Body); err != nil {
		s.dropIncoming()
		return nil, errs.Wrap("meta: receive snapshot", err)
	}
	return transport.NewReply(nil, nil, nil), nil
}

// dropIncoming forgets the snapshot under way; recv.mu is held.
func (s *Store) dropIncoming() {
	if s.recv.now != nil {
		s.recv.now.remove()
		s.recv.now = nil
	}
}

func (s *Store) chunk(h chunkHead, body []byte) error {
	if h.seq == 0 {
		s.dropIncoming()
		in, err := s.newIncoming(h)
		if err != nil {
			return err
		}
		s.recv.now = in
	}
	in := s.recv.now
	switch {
	case in == nil || in.head.id != h.id:
		return errs.E("", errs.Conflict, "another transfer replaced this one")
	case h.seq != 0 && h.seq != in.head.seq+1:
		return errs.E("", errs.Invalid, "chunk %d follows %d", h.seq, in.head.seq)
	}
	if got := chain(in.head.sum, body); got != h.sum {
		return errs.E("", errs.Corrupt, "chunk %d: checksum %08x, sent %08x", h.seq, got, h.sum)
	}
	in.head = h
	if !h.last {
		return in.take(body)
	}
	if err := in.finish(); err != nil {
		return err
	}
	m := &raftpb.Message{}
	if err := proto.Unmarshal(body, m); err != nil || m.GetType() != raftpb.MsgSnap {
		return errs.E("", errs.Corrupt, "the last chunk is not a snapshot message")
	}
	s.recv.now = nil // the driver's from here on
	return s.in.call(func() { s.drv.snapshot(h.group, m, in) })
}

func (s *Store) newIncoming(h chunkHead) (*incoming, error) {
	if h.group != firstGroup {
		return nil, errs.E("", errs.NotFound, "no replica of range %d", h.group)
	}
	in := &incoming{
		head: chunkHead{id: h.id},
		fs:   s.cfg.FS, dir: s.cfg.FS.PathJoin(incomingDir(s.cfg), hex.EncodeToString(h.id[:])),
		opts: sstable.WriterOptions{TableFormat: s.db.TableFormat(), FilterPolicy: bloom.FilterPolicy(bloomBits)},
		// A replica is refilled as what it already is: one range of everything.
		spans: rangeSpans(h.group, descriptor{span: Span{From: []byte{PrefixPlain}}}),
	}
	return in, in.fs.MkdirAll(in.dir, 0o700)
}

// take writes a chunk's records.
func (in *incoming) take(body []byte) error {
	d := decoder{b: body, what: "snapshot chunk"}
	for len(d.b) > 0 {
		key, value := d.bytes(KeyLenMax+1), d.bytes(transport.BodyLenMax)
		if d.err != nil {
			return d.err
		}
		if !in.covers(key) || bytes.Compare(key, in.lastKey) <= 0 {
			return errs.E("", errs.Corrupt, "record %.64x is out of place", key)
		}
		in.lastKey = append(in.lastKey[:0], key...)
		if in.out != nil && in.size >= snapshotFileBytes {
			if err := in.endFile(key); err != nil {
				return err
			}
		}
		if in.out == nil {
			if err := in.beginFile(key); err != nil {
				return err
			}
		}
		if err := in.out.Set(key, value); err != nil {
			return err
		}
		in.size += len(key) + len(value)
	}
	return nil
}

func (in *incoming) covers(key []byte) bool {
	for _, s := range in.spans {
		if bytes.Compare(key, s.Start) >= 0 && bytes.Compare(key, s.End) < 0 {
			return true
		}
	}
	return false
}

func (in *incoming) beginFile(at []byte) error {
	if len(in.paths) == 0 {
		at = in.spans[0].Start
	}
	in.lower = append([]byte(nil), at...)
	w, err := in.create()
	in.out, in.size = w, 0
	return err
}

func (in *incoming) create() (*sstable.Writer, error) {
	path := in.fs.PathJoin(in.dir, fmt.Sprintf("%06d.sst", len(in.paths)))
	f, err := in.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	in.paths = append(in.paths, path)
	return sstable.NewWriter(objstorageprovider.NewFileWritable(f), in.opts), nil
}

// endFile completes the file, which ends before upper. Its range tombstones hide
// whatever the replica had between its records: the tombstones and the records
// of all files take effect together, when they are ingested.
func (in *incoming) endFile(upper []byte) error {
	for _, s := range in.spans {
		start, end := s.Start, s.End
		if bytes.Compare(start, in.lower) < 0 {
			start = in.lower
		}
		if bytes.Compare(end, upper) > 0 {
			end = upper
		}
		if bytes.Compare(start, end) < 0 {
			if err := in.out.DeleteRange(start, end); err != nil {
				return err
			}
		}
	}
	err := in.out.Close()
	in.out = nil
	return err
}

// finish completes the files.
func (in *incoming) finish() error {
	if in.out == nil {
		return errs.E("", errs.Corrupt, "the snapshot holds no records") // not even the applied state
	}
	return in.endFile(in.spans[len(in.spans)-1].End)
}

// remove deletes the files, as far as that works: opening the store clears the rest.
func (in *incoming) remove() {
	if in.out != nil {
		_ = in.out.Close()
		in.out = nil
	}
	_ = in.fs.RemoveAll(in.dir)
}
