package meta

import (
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"torc/internal/errs"
	"torc/internal/transport"
)

// Methods of this package on the transport: block 0x02xx.
const (
	methodRaft     transport.Method = 0x0201 // a frame of raft messages; no reply
	methodDo       transport.Method = 0x0202 // one command
	methodQuery    transport.Method = 0x0203 // one query
	methodSnapshot transport.Method = 0x0204 // a chunk of a snapshot
	methodHello    transport.Method = 0x0205 // a new store's question to its peers
)

// frameHead opens a frame of raft messages: whose cluster, which server sent it.
type frameHead struct {
	cluster string
	server  string
}

func (h frameHead) encode() []byte {
	enc := encoder{}
	enc.u8(formatVersion)
	enc.bytes([]byte(h.cluster))
	enc.bytes([]byte(h.server))
	return enc.b
}

func decodeFrameHead(b []byte) (frameHead, error) {
	d := decoder{b: b, what: "frame"}
	if v := d.u8(); v != formatVersion && d.err == nil {
		return frameHead{}, errs.E("meta: read frame", errs.Unsupported, "version %d", v)
	}
	h := frameHead{string(d.bytes(idLenMax)), string(d.bytes(idLenMax))}
	return h, d.done()
}

// groupMessage is a raft message and the range it is for.
type groupMessage struct {
	group groupID
	msg   *raftpb.Message
}

// appendMessage adds a message to a frame's body.
func appendMessage(body []byte, m groupMessage) ([]byte, error) {
	enc := encoder{b: body}
	enc.uvarint(uint64(m.group))
	enc.uvarint(uint64(proto.Size(m.msg)))
	return proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(enc.b, m.msg)
}

func decodeMessages(body []byte) ([]groupMessage, error) {
	d := decoder{b: body, what: "frame"}
	var out []groupMessage
	for len(d.b) > 0 {
		m := groupMessage{group: groupID(d.uvarint()), msg: &raftpb.Message{}}
		raw := d.bytes(transport.BodyLenMax)
		if d.err != nil {
			return nil, d.err
		}
		if err := proto.Unmarshal(raw, m.msg); err != nil {
			return nil, errs.E("meta: read frame", errs.Corrupt, "%w", err)
		}
		if m.msg.GetType() == raftpb.MsgSnap {
			return nil, errs.E("meta: read frame", errs.Invalid, "a snapshot message without its snapshot")
		}
		out = append(out, m)
	}
	return out, nil
}

// commandHead is a command on the wire, but for its body.
type commandHead struct {
	group groupID
	retry bool
	id    requestID
	kind  Kind
	key   []byte
}

func (h commandHead) encode() []byte {
	enc := encoder{b: make([]byte, 0, 48+len(h.kind)+len(h.key))}
	enc.u8(formatVersion)
	enc.uvarint(uint64(h.group))
	if h.retry {
		enc.u8(1)
	} else {
		enc.u8(0)
	}
	enc.raw(h.id[:])
	enc.bytes([]byte(h.kind))
	enc.bytes(h.key)
	return enc.b
}

// decodeCommandHead reads a head; its key lies in b.
func decodeCommandHead(b []byte) (commandHead, error) {
	d := decoder{b: b, what: "command"}
	if v := d.u8(); v != formatVersion && d.err == nil {
		return commandHead{}, errs.E("meta: read command", errs.Unsupported, "version %d", v)
	}
	h := commandHead{group: groupID(d.uvarint()), retry: d.u8() == 1}
	copy(h.id[:], d.raw(uint64(len(h.id))))
	h.kind = Kind(d.bytes(kindLenMax))
	h.key = d.bytes(KeyLenMax)
	return h, d.done()
}

// encodeAnswer splits an answer into a reply's head and body.
func encodeAnswer(a answer) (head, body []byte) {
	enc := encoder{}
	enc.u8(formatVersion)
	enc.u8(byte(a.route))
	if a.err != nil {
		enc.u8(1)
		enc.u8(byte(errs.KindOf(a.err)))
		msg := a.err.Error()
		enc.bytes([]byte(msg[:min(len(msg), dedupeReplyLenMax)]))
	} else {
		enc.u8(0)
	}
	enc.bytes([]byte(a.hint))
	return enc.b, a.reply
}

// decodeAnswer copies what it keeps.
func decodeAnswer(head, body []byte) (answer, error) {
	d := decoder{b: head, what: "answer"}
	if v := d.u8(); v != formatVersion && d.err == nil {
		return answer{}, errs.E("meta: read answer", errs.Unsupported, "version %d", v)
	}
	a := answer{route: route(d.u8())}
	if d.u8() == 1 {
		kind := errs.Kind(d.u8())
		if !kind.Valid() {
			kind = errs.Other
		}
		a.err = &errs.Error{Kind: kind, Msg: string(d.bytes(dedupeReplyLenMax))}
	}
	a.hint = string(d.bytes(idLenMax))
	if a.route > routeLost {
		d.fail("unknown route")
	}
	if err := d.done(); err != nil {
		return answer{}, err
	}
	if a.err == nil && a.route == routeDone {
		a.reply = append([]byte(nil), body...)
	}
	return a, nil
}
