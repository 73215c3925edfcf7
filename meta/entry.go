package meta

import (
	"encoding/binary"

	"torc/internal/clock"
	"torc/internal/errs"
)

// requestID names one command of one client, over all its retries.
type requestID [16]byte

// entry is what one raft log entry does to a range: the effects of a group of
// commands, evaluated one after the other by the leaseholder.
type entry struct {
	base     uint64          // log index whose applied state the group was evaluated on
	clock    clock.Timestamp // no command of the group, and no later query, read more than this
	bucket   uint32          // dedupe bucket of the outcomes
	outcomes []outcome
	ops      []op
}

// outcome is what is remembered of one command.
type outcome struct {
	id    requestID
	state outcomeState
	kind  errs.Kind // of a failed command
	body  []byte    // the reply, or a failed command's message
}

type outcomeState byte

const (
	outcomeReply   outcomeState = 0 // body is the reply
	outcomeError   outcomeState = 1 // the handler refused; nothing was written
	outcomeApplied outcomeState = 2 // applied, but the reply was too large to keep
)

// dedupeReplyLenMax bounds a remembered reply, in bytes.
const dedupeReplyLenMax = 4096

type op struct {
	key   []byte
	value []byte
	del   bool
}

const (
	opSet    = 1
	opDelete = 2
)

// encode returns the entry's bytes: version u8 | crc32c u32 of the rest | rest.
func (e *entry) encode() []byte {
	size := 64
	for _, o := range e.outcomes {
		size += len(o.body) + 24
	}
	for _, o := range e.ops {
		size += len(o.key) + len(o.value) + 8
	}
	enc := encoder{b: make([]byte, 5, size)}
	enc.uvarint(e.base)
	enc.uvarint(uint64(e.clock))
	enc.uvarint(uint64(e.bucket))
	enc.uvarint(uint64(len(e.outcomes)))
	for _, o := range e.outcomes {
		enc.raw(o.id[:])
		o.encode(&enc)
	}
	enc.uvarint(uint64(len(e.ops)))
	for _, o := range e.ops {
		if o.del {
			enc.u8(opDelete)
			enc.bytes(o.key)
			continue
		}
		enc.u8(opSet)
		enc.bytes(o.key)
		enc.bytes(o.value)
	}
	enc.b[0] = formatVersion
	binary.LittleEndian.PutUint32(enc.b[1:], sum(enc.b[5:]))
	return enc.b
}

// decodeEntry verifies and reads an entry, whose slices lie in b.
func decodeEntry(b []byte) (*entry, error) {
	body, err := unseal("entry", nil, b)
	if err != nil {
		return nil, err
	}
	d := decoder{b: body, what: "entry"}
	e := &entry{base: d.uvarint(), clock: clock.Timestamp(d.uvarint())}
	bucket := d.uvarint()
	if bucket > 1<<32-1 {
		d.fail("bucket is out of range")
	}
	e.bucket = uint32(bucket)
	for n := d.count(); n > 0 && d.err == nil; n-- {
		id := requestID{}
		copy(id[:], d.raw(uint64(len(id))))
		o := decodeOutcome(&d)
		o.id = id
		e.outcomes = append(e.outcomes, o)
	}
	for n := d.count(); n > 0 && d.err == nil; n-- {
		o := op{}
		switch d.u8() {
		case opSet:
			o.key, o.value = d.bytes(KeyLenMax), d.bytes(ValueLenMax)
		case opDelete:
			o.key, o.del = d.bytes(KeyLenMax), true
		default:
			d.fail("unknown operation")
		}
		if d.err == nil && (len(o.key) == 0 || o.key[0] == prefixSystem) {
			d.fail("writes a key that is not a command's to write")
		}
		e.ops = append(e.ops, o)
	}
	if err := d.done(); err != nil {
		return nil, err
	}
	return e, nil
}

func (o outcome) encode(enc *encoder) {
	enc.u8(byte(o.state))
	enc.u8(byte(o.kind))
	enc.bytes(o.body)
}

func decodeOutcome(d *decoder) outcome {
	o := outcome{state: outcomeState(d.u8()), kind: errs.Kind(d.u8())}
	o.body = d.bytes(BodyLenMax)
	if o.state > outcomeApplied || !o.kind.Valid() {
		d.fail("unknown outcome")
	}
	return o
}

// remembered cuts an outcome to what the dedupe table keeps.
func (o outcome) remembered() outcome {
	switch {
	case len(o.body) <= dedupeReplyLenMax:
	case o.state == outcomeReply:
		o.state, o.body = outcomeApplied, nil
	default:
		o.body = o.body[:dedupeReplyLenMax]
	}
	return o
}

// answer turns an outcome back into what the command's caller is told.
func (o outcome) answer() ([]byte, error) {
	switch o.state {
	case outcomeReply:
		return o.body, nil
	case outcomeError:
		return nil, &errs.Error{Kind: o.kind, Msg: string(o.body)}
	default:
		return nil, errs.E("meta.Do", errs.Unknown, "the command was applied, but its reply was too large to keep for a retry")
	}
}
