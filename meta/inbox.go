package meta

import (
	"sync"

	"google.golang.org/protobuf/proto"

	"torc/internal/errs"
)

// inbox is what the driver has to do next. Everyone else puts, the driver takes.
type inbox struct {
	mu     sync.Mutex
	work   work
	bytes  int // of messages
	closed bool
	ready  chan struct{} // capacity 1: something was put
}

// work is one pass's input.
type work struct {
	msgs     []groupMessage
	commands []routed[*command]
	reads    []routed[reader]
	calls    []func() // rare things, run on the driver
	ticks    int
}

// routed is something for one range.
type routed[T any] struct {
	group groupID
	item  T
}

func newInbox() *inbox { return &inbox{ready: make(chan struct{}, 1)} }

func (in *inbox) signal() {
	select {
	case in.ready <- struct{}{}:
	default:
	}
}

// put runs f on the waiting work; it answers errs.Closed after close and
// f's refusal otherwise.
func (in *inbox) put(f func(w *work) error) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return errs.E("meta: store", errs.Closed, "")
	}
	if err := f(&in.work); err != nil {
		return err
	}
	in.signal()
	return nil
}

func (in *inbox) messages(ms []groupMessage) error {
	return in.put(func(w *work) error {
		for _, m := range ms {
			n := proto.Size(m.msg)
			if in.bytes+n > inboxBytesMax {
				return errs.E("meta: receive", errs.Overload, "%d bytes of raft messages are waiting", in.bytes)
			}
			in.bytes += n
			w.msgs = append(w.msgs, m)
		}
		return nil
	})
}

func (in *inbox) command(g groupID, c *command) error {
	return in.put(func(w *work) error {
		if len(w.commands) >= commandQueueLenMax {
			return errs.E("meta.Do", errs.Overload, "%d commands are waiting", len(w.commands))
		}
		w.commands = append(w.commands, routed[*command]{g, c})
		return nil
	})
}

func (in *inbox) read(g groupID, f reader) error {
	return in.put(func(w *work) error {
		if len(w.reads) >= queryQueueLenMax {
			return errs.E("meta.Query", errs.Overload, "%d queries are waiting", len(w.reads))
		}
		w.reads = append(w.reads, routed[reader]{g, f})
		return nil
	})
}

func (in *inbox) call(f func()) error {
	return in.put(func(w *work) error {
		w.calls = append(w.calls, f)
		return nil
	})
}

// tick counts at most one election's worth of ticks, however late the driver is.
func (in *inbox) tick() {
	_ = in.put(func(w *work) error {
		w.ticks = min(w.ticks+1, electionTicks)
		return nil
	})
}

// take empties the inbox.
func (in *inbox) take() work {
	in.mu.Lock()
	defer in.mu.Unlock()
	w := in.work
	in.work, in.bytes = work{}, 0
	return w
}

// close refuses all further work and returns what waited.
func (in *inbox) close() work {
	in.mu.Lock()
	in.closed = true
	in.mu.Unlock()
	return in.take()
}
