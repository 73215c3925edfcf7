package remote

import (
	"bytes"
	"encoding/binary"

	"torc/chunk"
	"torc/internal/errs"
	"torc/internal/transport"
)

// Methods of the remote chunk protocol. Wire format: append, never renumber.
const (
	MethodPut    transport.Method = 0x0101
	MethodGet    transport.Method = 0x0102
	MethodStat   transport.Method = 0x0103
	MethodDelete transport.Method = 0x0104
	MethodList   transport.Method = 0x0105
)

// headVersion opens every head. A server reads this version and the one before.
const headVersion = 1

// NodeLenMax bounds a storage node's id on the wire, in bytes.
const NodeLenMax = 64

// request is the head of any request; which fields count depends on the method.
type request struct {
	node  chunk.NodeID
	epoch chunk.Epoch
	key   chunk.Key

	version   chunk.Version // put, delete
	groupSize int64         // put
	owner     []byte        // put; lies in the encoded head after decode
	rng       chunk.Range   // get
	first     bool          // list: from the very first, key does not count
	limit     uint32        // list
}

// append encodes r for a method behind b.
func (r *request) append(b []byte, m transport.Method) []byte {
	b = append(b, headVersion, byte(len(r.node)))
	b = append(b, r.node...)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.epoch))
	b = append(b, r.key[:]...)
	switch m {
	case MethodPut:
		b = binary.LittleEndian.AppendUint64(b, uint64(r.version))
		b = binary.LittleEndian.AppendUint64(b, uint64(r.groupSize))
		b = appendBytes(b, r.owner)
	case MethodDelete:
		b = binary.LittleEndian.AppendUint64(b, uint64(r.version))
	case MethodGet:
		b = binary.LittleEndian.AppendUint64(b, uint64(r.rng.Off))
		b = binary.LittleEndian.AppendUint64(b, uint64(r.rng.Len))
	case MethodList:
		b = append(b, flag(r.first))
		b = binary.LittleEndian.AppendUint32(b, r.limit)
	}
	return b
}

// decodeRequest reads a head; Invalid if it is not exactly one. The owner
// stays in b.
func decodeRequest(b []byte, m transport.Method) (request, error) {
	d := decoder{b: b}
	var r request
	v := d.u8()
	r.node = chunk.NodeID(d.take(int(d.u8())))
	r.epoch = chunk.Epoch(d.u64())
	copy(r.key[:], d.take(chunk.KeyLen))
	switch m {
	case MethodPut:
		r.version, r.groupSize = chunk.Version(d.u64()), int64(d.u64())
		r.owner = d.bytes(chunk.OwnerLenMax)
	case MethodDelete:
		r.version = chunk.Version(d.u64())
	case MethodGet:
		r.rng = chunk.Range{Off: int64(d.u64()), Len: int64(d.u64())}
	case MethodList:
		r.first, r.limit = d.flag(), d.u32()
	}
	if err := d.finish("request", v); err != nil {
		return request{}, err
	}
	if len(r.node) == 0 || len(r.node) > NodeLenMax {
		return request{}, errs.E("remote: decode request", errs.Invalid, "node id of %d bytes, want 1-%d", len(r.node), NodeLenMax)
	}
	return r, nil
}

// appendReceipt encodes the reply head of put and delete.
func appendReceipt(b []byte, r chunk.Receipt) []byte {
	b = append(b, headVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(r.Want))
	b = binary.LittleEndian.AppendUint32(b, uint32(r.Durable))
	return binary.LittleEndian.AppendUint32(b, uint32(r.Handoff))
}

func decodeReceipt(b []byte) (chunk.Receipt, error) {
	d := decoder{b: b}
	v := d.u8()
	r := chunk.Receipt{Want: int(d.u32()), Durable: int(d.u32()), Handoff: int(d.u32())}
	if err := d.finish("receipt", v); err != nil {
		return chunk.Receipt{}, err
	}
	return r, nil
}

// infoLenMax bounds an encoded Info, in bytes.
const infoLenMax = chunk.KeyLen + 8 + 8 + 4 + 1 + 8 + 2 + chunk.OwnerLenMax

// appendInfo encodes an Info behind b, without a version of its own.
func appendInfo(b []byte, i *chunk.Info) []byte {
	b = append(b, i.Key[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(i.Version))
	b = binary.LittleEndian.AppendUint64(b, uint64(i.Size))
	b = binary.LittleEndian.AppendUint32(b, i.Sum)
	b = append(b, flag(i.Deleted))
	b = binary.LittleEndian.AppendUint64(b, uint64(i.GroupSize))
	return appendBytes(b, i.Owner)
}

// info reads an Info; its owner is a copy.
func (d *decoder) info() chunk.Info {
	var i chunk.Info
	copy(i.Key[:], d.take(chunk.KeyLen))
	i.Version = chunk.Version(d.u64())
	i.Size = int64(d.u64())
	i.Sum = d.u32()
	i.Deleted = d.flag()
	i.GroupSize = int64(d.u64())
	if o := d.bytes(chunk.OwnerLenMax); len(o) > 0 {
		i.Owner = bytes.Clone(o)
	}
	if i.Size < 0 || i.Size > chunk.SizeMax {
		d.bad = true
	}
	return i
}

// appendInfoHead encodes the reply head of get and stat.
func appendInfoHead(b []byte, i *chunk.Info) []byte { return appendInfo(append(b, headVersion), i) }

func decodeInfoHead(b []byte) (chunk.Info, error) {
	d := decoder{b: b}
	v := d.u8()
	i := d.info()
	if err := d.finish("info", v); err != nil {
		return chunk.Info{}, err
	}
	return i, nil
}

// appendList encodes the reply body of list.
func appendList(b []byte, infos []chunk.Info) []byte {
	b = append(b, headVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(infos)))
	for i := range infos {
		b = appendInfo(b, &infos[i])
	}
	return b
}

func decodeList(b []byte) ([]chunk.Info, error) {
	d := decoder{b: b}
	v := d.u8()
	n := d.u32()
	if n > chunk.ListMax {
		return nil, errs.E("remote: decode list", errs.Corrupt, "%d chunks, at most %d", n, chunk.ListMax)
	}
	var infos []chunk.Info
	for range n {
		if infos = append(infos, d.info()); d.bad {
			break
		}
	}
	if err := d.finish("list", v); err != nil {
		return nil, err
	}
	return infos, nil
}

func appendBytes(b, p []byte) []byte {
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(p))), p...)
}

func flag(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// decoder reads fields in order; a field that is not there marks it bad.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n int) []byte {
	if n > len(d.b) {
		d.bad, d.b = true, nil
		return nil
	}
	p := d.b[:n:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) u8() byte {
	if p := d.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if p := d.take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if p := d.take(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

func (d *decoder) flag() bool {
	v := d.u8()
	d.bad = d.bad || v > 1
	return v == 1
}

// bytes reads a length of 16 bits and that many bytes, at most limit.
func (d *decoder) bytes(limit int) []byte {
	p := d.take(2)
	if p == nil {
		return nil
	}
	n := int(binary.LittleEndian.Uint16(p))
	if n > limit {
		d.bad = true
		return nil
	}
	return d.take(n)
}

// finish fails with Invalid unless everything was there and nothing is left.
func (d *decoder) finish(what string, version byte) error {
	op := "remote: decode " + what
	switch {
	case d.bad:
		return errs.E(op, errs.Invalid, "truncated or malformed")
	case version != headVersion:
		return errs.E(op, errs.Invalid, "version %d, want %d", version, headVersion)
	case len(d.b) > 0:
		return errs.E(op, errs.Invalid, "%d bytes too many", len(d.b))
	}
	return nil
}
