package meta

import (
	"context"
	"log/slog"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"torc/internal/transport"
)

// outbox sends raft messages to one peer, in order, from its own goroutine, so
// that a slow or dead peer never holds up the driver. What does not fit in the
// queue is dropped: raft repeats it.
type outbox struct {
	server string
	addr   string
	head   []byte
	frames chan []byte
	body   []byte // being filled, driver only
}

// sendTimeout bounds one frame's way into a connection.
const sendTimeout = time.Second

func newOutbox(server, addr string, head frameHead) *outbox {
	return &outbox{server: server, addr: addr, head: head.encode(), frames: make(chan []byte, outboxFramesMax)}
}

// add packs a message; the frame goes out when it is big enough, or on flush.
func (o *outbox) add(g groupID, m *raftpb.Message, log *slog.Logger) {
	if len(o.body) > frameBytesTarget {
		o.flush()
	}
	body, err := appendMessage(o.body, groupMessage{g, m})
	if err != nil {
		log.Error("meta: encode raft message", "err", err)
		return
	}
	o.body = body
}

func (o *outbox) flush() {
	if len(o.body) == 0 {
		return
	}
	select {
	case o.frames <- o.body:
	default:
	}
	o.body = nil
}

// run sends until ctx ends. unreachable is called when a send fails.
func (o *outbox) run(ctx context.Context, caller transport.Caller, unreachable func(server string)) {
	for {
		select {
		case <-ctx.Done():
			return
		case body := <-o.frames:
			sctx, cancel := context.WithTimeout(ctx, sendTimeout)
			err := caller.Send(sctx, o.addr, transport.Request{Method: methodRaft, Head: o.head, Body: body})
			cancel()
			if err != nil && ctx.Err() == nil {
				unreachable(o.server)
			}
		}
	}
}
