package ring

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/zeebo/xxh3"

	"torc/chunk"
	"torc/internal/errs"
	"torc/meta"
)

// The map in meta. A map can be larger than a record, so it is stored in pages
// under the checksum of its encoding, and a head record names the map that holds.
// Pages are written before the head, so a head always has its pages. Keys:
//
//	0x03 'r' 'h'                          the head
//	0x03 'r' 'p' | sum 64 | page 32       a page, big-endian
const (
	kindPagePut meta.Kind = "ring.page.put"
	kindPageGet meta.Kind = "ring.page.get"
	kindMapInit meta.Kind = "ring.map.init"
	kindMapGet  meta.Kind = "ring.map.get"

	pageLen = 1 << 20 // bytes of a map in one page
	headLen = 8 + 8 + 8
)

func headKey() []byte { return []byte{0x03, 'r', 'h'} }

func pageKey(sum uint64, page uint32) []byte {
	k := binary.BigEndian.AppendUint64([]byte{0x03, 'r', 'p'}, sum)
	return binary.BigEndian.AppendUint32(k, page)
}

// head names a stored map.
type head struct {
	epoch chunk.Epoch
	size  uint64 // bytes of the encoding
	sum   uint64 // XXH3-64 of the whole encoding
}

func (h head) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(h.epoch))
	b = binary.BigEndian.AppendUint64(b, h.size)
	return binary.BigEndian.AppendUint64(b, h.sum)
}

func decodeHead(b []byte) (head, error) {
	if len(b) != headLen {
		return head{}, errs.E("ring.head", errs.Invalid, "%d bytes, want %d", len(b), headLen)
	}
	h := head{chunk.Epoch(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])}
	if h.epoch == 0 || h.size == 0 || h.size > uint64(MapLenMax) {
		return head{}, errs.E("ring.head", errs.Invalid, "epoch %d, %d bytes", h.epoch, h.size)
	}
	return h, nil
}

// Handlers returns the commands that package ring registers with meta.
func Handlers() []meta.Handler {
	return []meta.Handler{
		{Kind: kindPagePut, Eval: evalPagePut},
		{Kind: kindPageGet, ReadOnly: true, Eval: evalPageGet},
		{Kind: kindMapInit, Eval: evalMapInit},
		{Kind: kindMapGet, ReadOnly: true, Eval: func(txn meta.Txn, _ []byte) ([]byte, error) { return txn.Get(headKey()) }},
	}
}

// evalPagePut stores one page: the body is the page's key and its bytes. Pages are
// named by content, so writing one again changes nothing.
func evalPagePut(txn meta.Txn, body []byte) ([]byte, error) {
	n := len(pageKey(0, 0))
	if len(body) <= n || len(body) > n+pageLen || string(body[:3]) != string(pageKey(0, 0)[:3]) {
		return nil, errs.E("ring.page.put", errs.Invalid, "a body of %d bytes is not a page", len(body))
	}
	txn.Set(body[:n], body[n:])
	return nil, nil
}

// evalPageGet returns the page whose key is the body.
func evalPageGet(txn meta.Txn, body []byte) ([]byte, error) {
	if len(body) != len(pageKey(0, 0)) || string(body[:3]) != string(pageKey(0, 0)[:3]) {
		return nil, errs.E("ring.page.get", errs.Invalid, "%x is not the key of a page", body)
	}
	page, err := txn.Get(body)
	if err == nil && page == nil {
		err = errs.E("ring.page.get", errs.NotFound, "no page %x", body)
	}
	return page, err
}

// evalMapInit stores the head if there is none, and returns the one that holds.
func evalMapInit(txn meta.Txn, body []byte) ([]byte, error) {
	if _, err := decodeHead(body); err != nil {
		return nil, err
	}
	old, err := txn.Get(headKey())
	if err != nil || old != nil {
		return old, err
	}
	txn.Set(headKey(), body)
	return slices.Clone(body), nil
}

// storeInitial stores m as the first map unless there is one, and returns the
// head of the map that holds.
func storeInitial(ctx context.Context, db meta.DB, m *Map) (head, error) {
	const op = "ring: store the first map"
	b := m.Encode()
	h := head{m.Epoch(), uint64(len(b)), xxh3.Hash(b)}
	for page := 0; page*pageLen < len(b); page++ {
		key := pageKey(h.sum, uint32(page))
		body := append(slices.Clone(key), b[page*pageLen:min((page+1)*pageLen, len(b))]...)
		if _, err := db.Do(ctx, meta.Command{Kind: kindPagePut, Key: key, Body: body}); err != nil {
			return head{}, errs.Wrap(op, err)
		}
	}
	reply, err := db.Do(ctx, meta.Command{Kind: kindMapInit, Key: headKey(), Body: h.encode()})
	if err != nil {
		return head{}, errs.Wrap(op, err)
	}
	return decodeHead(reply)
}

// loadHead returns the head that holds; NotFound when no map was ever stored.
func loadHead(ctx context.Context, db meta.DB) (head, error) {
	const op = "ring: load the map's head"
	reply, err := db.Query(ctx, meta.Command{Kind: kindMapGet, Key: headKey()})
	if err != nil {
		return head{}, errs.Wrap(op, err)
	}
	if len(reply) == 0 {
		return head{}, errs.E(op, errs.NotFound, "no ring map has been stored")
	}
	h, err := decodeHead(reply)
	if err != nil {
		return head{}, errs.E(op, errs.Corrupt, "%w", err)
	}
	return h, nil
}

// loadMap reads the pages that h names and checks them.
func loadMap(ctx context.Context, db meta.DB, h head) (*Map, error) {
	const op = "ring: load the map"
	b := make([]byte, 0, h.size)
	for page := uint32(0); uint64(len(b)) < h.size; page++ {
		key := pageKey(h.sum, page)
		p, err := db.Query(ctx, meta.Command{Kind: kindPageGet, Key: key, Body: key})
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
		if len(p) == 0 || uint64(len(b)+len(p)) > h.size {
			return nil, errs.E(op, errs.Corrupt, "page %d has %d bytes", page, len(p))
		}
		b = append(b, p...)
	}
	if got := xxh3.Hash(b); got != h.sum {
		return nil, errs.E(op, errs.Corrupt, "checksum %016x, want %016x", got, h.sum)
	}
	m, err := DecodeMap(b)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if m.Epoch() != h.epoch {
		return nil, errs.E(op, errs.Corrupt, "epoch %d, the head says %d", m.Epoch(), h.epoch)
	}
	return m, nil
}
