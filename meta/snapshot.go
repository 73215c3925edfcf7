package meta

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"torc/internal/errs"
	"torc/internal/transport"
)

// A snapshot is a range's records as of one applied index, streamed in chunks,
// each a call that the receiver has checked and written when it answers. The
// last chunk carries raft's own message.
const (
	snapshotChunkBytes = 1 << 20          // records in one chunk, unless one record is larger
	snapshotCallMax    = 10 * time.Second // for one chunk
)

// chunkHead describes one chunk; its body holds records, or the message if last.
type chunkHead struct {
	from  frameHead
	group groupID
	id    requestID // of the transfer
	seq   uint64    // from 0, without gaps
	last  bool
	sum   uint32 // crc32c of the body, chained over all chunks so far
}

func (h chunkHead) encode() []byte {
	enc := encoder{}
	enc.bytes(h.from.encode())
	enc.uvarint(uint64(h.group))
	enc.raw(h.id[:])
	enc.uvarint(h.seq)
	if h.last {
		enc.u8(1)
	} else {
		enc.u8(0)
	}
	enc.uvarint(uint64(h.sum))
	return enc.b
}

func decodeChunkHead(b []byte) (chunkHead, error) {
	d := decoder{b: b, what: "snapshot chunk"}
	from, err := decodeFrameHead(d.bytes(4 * idLenMax))
	if err != nil {
		return chunkHead{}, err
	}
	h := chunkHead{from: from, group: groupID(d.uvarint())}
	copy(h.id[:], d.raw(uint64(len(h.id))))
	h.seq = d.uvarint()
	h.last = d.u8() == 1
	h.sum = uint32(d.uvarint())
	return h, d.done()
}

// chain continues a checksum over chunks.
func chain(prev uint32, body []byte) uint32 {
	return sum(binary.LittleEndian.AppendUint32(nil, prev), body)
}

// rangeSpans lists what a range holds, as physical key intervals in order.
func rangeSpans(g groupID, d descriptor) []pebble.KeyRange {
	var out []pebble.KeyRange
	add := func(s Span) {
		lower, upper := dataSpan(s)
		out = append(out, pebble.KeyRange{Start: lower, End: upper})
	}
	sys := sysKey(g, 0)
	sys = sys[:len(sys)-1]
	add(Span{From: sys, To: PrefixEnd(sys)})
	first := len(d.span.From) == 1 && d.span.From[0] == PrefixPlain
	if first && d.span.To == nil {
		add(Span{From: []byte{prefixLocal}})
		return out
	}
	from := d.span.From
	if first {
		from = nil // anchors below the plain keys belong to the first range
	}
	for table := range 256 {
		add(LocalSpan(byte(table), from, d.span.To))
	}
	add(d.span)
	return out
}

// sendSnapshot implements host: it streams g's applied state to a follower that
// raft found too far behind. One at a time: snapshots are big.
func (s *Store) sendSnapshot(g *group, m *raftpb.Message) {
	to := g.state.desc.server(replicaID(m.GetTo()))
	o := s.outboxes[to]
	if o == nil || g.sending != 0 || m.GetSnapshot().GetMetadata().GetIndex() != g.state.index {
		s.reportSnapshot(g, m.GetTo(), raft.SnapshotFailure)
		return
	}
	g.sending = g.state.index
	t := &transfer{
		store: s, addr: o.addr, snap: g.db.NewSnapshot(), spans: rangeSpans(g.id, g.state.desc), msg: m,
		head: chunkHead{from: frameHead{s.cfg.ClusterID, s.cfg.ServerID}, group: g.id},
	}
	rand.Read(t.head.id[:])
	s.log.Info("meta: sends a snapshot", "range", uint64(g.id), "to", to, "index", g.state.index)
	s.done.Go(func() {
		status := raft.SnapshotFinish
		if err := t.run(s.ctx); err != nil {
			status = raft.SnapshotFailure
			s.log.Warn("meta: snapshot failed", "range", uint64(g.id), "to", to, "err", err)
		}
		_ = t.snap.Close() // fails only when called twice
		s.reportSnapshot(g, m.GetTo(), status)
	})
}

func (s *Store) reportSnapshot(g *group, to uint64, status raft.SnapshotStatus) {
	_ = s.in.call(func() {
		g.sending = 0
		g.guard(func() { g.rn.ReportSnapshot(to, status) })
	})
}

// transfer is one snapshot on its way out.
type transfer struct {
	store *Store
	addr  string
	snap  *pebble.Snapshot
	spans []pebble.KeyRange
	msg   *raftpb.Message
	head  chunkHead
	body  encoder
}

func (t *transfer) run(ctx context.Context) error {
	for _, span := range t.spans {
		if err := t.records(ctx, span); err != nil {
			return err
		}
	}
	if err := t.send(ctx); err != nil {
		return err
	}
	t.head.last = true
	var err error
	if t.body.b, err = proto.Marshal(t.msg); err != nil {
		return errs.Wrap("meta: encode snapshot", err)
	}
	return t.send(ctx)
}

func (t *transfer) records(ctx context.Context, span pebble.KeyRange) (err error) {
	it, err := t.snap.NewIter(&pebble.IterOptions{LowerBound: span.Start, UpperBound: span.End})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := it.Close(); err == nil {
			err = cerr
		}
	}()
	for it.First(); it.Valid(); it.Next() {
		t.body.bytes(it.Key())
		t.body.bytes(it.Value())
		if len(t.body.b) >= snapshotChunkBytes {
			if err := t.send(ctx); err != nil {
				return err
			}
		}
	}
	return it.Error()
}

// send delivers the chunk collected so far and keeps to the rate.
func (t *transfer) send(ctx context.Context) error {
	t.head.sum = chain(t.head.sum, t.body.b)
	cctx, cancel := context.WithTimeout(ctx, snapshotCallMax)
	defer cancel()
	reply, err := t.store.cfg.Caller.Call(cctx, t.addr, transport.Request{Method: methodSnapshot, Head: t.head.encode(), Body: t.body.b})
	if err != nil {
		return errs.Wrap("meta: send snapshot", err)
	}
	reply.Release()
	pause := time.Duration(int64(time.Second) * int64(len(t.body.b)) / t.store.cfg.SnapshotBytesPerSec)
	t.head.seq++
	t.body.b = t.body.b[:0]
	over, stop := t.store.cfg.Clock.After(pause)
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		stop()
		return errs.Wrap("meta: send snapshot", ctx.Err())
	}
}
