package transport

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"torc/internal/errs"
)

// frameType says what a frame is. The values are wire format: append, never renumber.
type frameType uint8

const (
	frameCall   frameType = 1 // request that is answered
	frameSend   frameType = 2 // request that is not
	frameReply  frameType = 3 // answer; id names the call
	frameError  frameType = 4 // answer; kind and text (in head)
	frameCancel frameType = 5 // the caller of id gave up
	frameCredit frameType = 6 // id is a number of bytes given back to the window
	framePing   frameType = 7
	framePong   frameType = 8
	frameGoAway frameType = 9 // no new calls on this link; those in flight are answered
	frameTypes            = 10
)

// headerLen is the fixed length of a frame header in bytes; docs/formats/wire.md draws it.
const headerLen = 32

// header is a decoded frame header.
type header struct {
	typ     frameType
	kind    errs.Kind // frameError only
	method  Method
	id      uint64
	headLen uint32
	bodyLen uint32
	micros  uint32 // time left until the caller's deadline; 0: none
	sum     uint32 // CRC32C of head, then body
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func payloadSum(head, body []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, head), castagnoli, body)
}

// append encodes h with its own checksum behind b.
func (h *header) append(b []byte) []byte {
	n := len(b)
	b = append(b, byte(h.typ), byte(h.kind))
	b = binary.LittleEndian.AppendUint16(b, uint16(h.method))
	b = binary.LittleEndian.AppendUint32(b, h.headLen)
	b = binary.LittleEndian.AppendUint64(b, h.id)
	b = binary.LittleEndian.AppendUint32(b, h.bodyLen)
	b = binary.LittleEndian.AppendUint32(b, h.micros)
	b = binary.LittleEndian.AppendUint32(b, h.sum)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[n:], castagnoli))
}

// decodeHeader reads headerLen bytes. Corrupt: the checksum fails, the type is
// unknown or a length is above its limit.
func decodeHeader(b []byte) (header, error) {
	const op = "transport: decode frame"
	if len(b) != headerLen {
		return header{}, errs.E(op, errs.Corrupt, "header of %d bytes, want %d", len(b), headerLen)
	}
	if got, want := crc32.Checksum(b[:28], castagnoli), binary.LittleEndian.Uint32(b[28:]); got != want {
		return header{}, errs.E(op, errs.Corrupt, "header checksum %08x, computed %08x", want, got)
	}
	h := header{
		typ:     frameType(b[0]),
		kind:    errs.Kind(b[1]),
		method:  Method(binary.LittleEndian.Uint16(b[2:])),
		headLen: binary.LittleEndian.Uint32(b[4:]),
		id:      binary.LittleEndian.Uint64(b[8:]),
		bodyLen: binary.LittleEndian.Uint32(b[16:]),
		micros:  binary.LittleEndian.Uint32(b[20:]),
		sum:     binary.LittleEndian.Uint32(b[24:]),
	}
	switch {
	case h.typ == 0 || h.typ >= frameTypes:
		return header{}, errs.E(op, errs.Corrupt, "frame type %d", h.typ)
	case h.headLen > HeadLenMax:
		return header{}, errs.E(op, errs.Corrupt, "head of %d bytes, at most %d", h.headLen, HeadLenMax)
	case h.bodyLen > BodyLenMax:
		return header{}, errs.E(op, errs.Corrupt, "body of %d bytes, at most %d", h.bodyLen, BodyLenMax)
	}
	return h, nil
}

// cost is what a request takes from the link's window, in bytes: its frame's length.
func (h *header) cost() int64 { return headerLen + int64(h.headLen) + int64(h.bodyLen) }

// microsLeft encodes the time left until a deadline: at least 1, at most what 32 bits hold (71 minutes).
func microsLeft(d time.Duration) uint32 {
	return uint32(min(max(d.Microseconds(), 1), int64(^uint32(0))))
}

// class says what a link is for; the client states it at connect.
type class uint8

const (
	classCalls class = 0
	classSends class = 1
	classBulk  class = 2
	classes          = 3
)

// Protocol versions this build speaks. Version n speaks n-1 too, from version 2 on.
const (
	VersionMin uint16 = 1
	VersionMax uint16 = 1
)

const (
	prefaceLen = 32
	magic      = "TORCwire"
)

// preface is the first thing each end sends. The client states the versions it
// speaks and the class; the server answers with the version chosen (in both
// fields; 0 when it speaks none of them) and the window.
type preface struct {
	versionMin, versionMax uint16
	class                  class
	calls                  uint32 // in flight on this link
	bytes                  uint64 // of requests in flight on this link
}

func (p *preface) encode() []byte {
	b := make([]byte, 0, prefaceLen)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint16(b, p.versionMin)
	b = binary.LittleEndian.AppendUint16(b, p.versionMax)
	b = append(b, byte(p.class), 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, p.calls)
	b = binary.LittleEndian.AppendUint64(b, p.bytes)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodePreface(b []byte) (preface, error) {
	const op = "transport: decode preface"
	if len(b) != prefaceLen || string(b[:len(magic)]) != magic {
		return preface{}, errs.E(op, errs.Corrupt, "the peer does not speak Torc's protocol")
	}
	if crc32.Checksum(b[:28], castagnoli) != binary.LittleEndian.Uint32(b[28:]) {
		return preface{}, errs.E(op, errs.Corrupt, "checksum fails")
	}
	p := preface{
		versionMin: binary.LittleEndian.Uint16(b[8:]),
		versionMax: binary.LittleEndian.Uint16(b[10:]),
		class:      class(b[12]),
		calls:      binary.LittleEndian.Uint32(b[16:]),
		bytes:      binary.LittleEndian.Uint64(b[20:]),
	}
	if p.class >= classes || p.versionMin > p.versionMax {
		return preface{}, errs.E(op, errs.Corrupt, "class %d, versions %d-%d", p.class, p.versionMin, p.versionMax)
	}
	return p, nil
}

// chooseVersion returns the highest version both ends speak, 0 if there is none.
func chooseVersion(p preface) uint16 {
	v := min(p.versionMax, VersionMax)
	if v < p.versionMin || v < VersionMin {
		return 0
	}
	return v
}
