package transport

import (
	"io"
	"net"
	"sync"
)

// outbox is a link's queue of frames to write. Frames queued while a write is
// under way leave together in the next one. Bodies up to CopyLenMax are copied,
// larger ones are lent and written from where they lie.
type outbox struct {
	mu      sync.Mutex
	filled  *batch // what the writer takes next
	spare   *batch
	seq     uint64 // number of the filled batch, from 1
	taken   uint64 // the last batch handed to the writer
	wake    chan struct{}
	writing bool // the taken batch has not been recycled
	closed  bool
}

// batch is frames in order: one buffer of bytes, with lent bodies between them.
type batch struct {
	bytes []byte
	lent  []*loan
}

// loan is a frame whose body is written from its owner's memory.
type loan struct {
	start, end int    // header and head in batch.bytes; the body follows
	body       []byte // nil once withdrawn
	batch      uint64
	done       func()        // called once when the memory is no longer needed; may be nil
	written    chan struct{} // closed then, if not nil
}

const batchKeepLen = 1 << 20 // bytes of buffer that a batch keeps for its next use

func newOutbox() *outbox {
	return &outbox{filled: &batch{}, spare: &batch{}, seq: 1, wake: make(chan struct{}, 1)}
}

// push queues a frame whose payload may be reused at once: head and body are
// copied. It returns the number of the batch; ok is false after close.
func (o *outbox) push(h *header, head, body []byte) (seq uint64, ok bool) {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return 0, false
	}
	b := o.filled
	b.bytes = h.append(b.bytes)
	b.bytes = append(append(b.bytes, head...), body...)
	seq = o.seq
	o.mu.Unlock()
	o.signal()
	return seq, true
}

// lend queues a frame whose body stays where it is until l.done is called.
func (o *outbox) lend(h *header, head []byte, l *loan) (ok bool) {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return false
	}
	b := o.filled
	l.start, l.batch = len(b.bytes), o.seq
	b.bytes = append(h.append(b.bytes), head...)
	l.end = len(b.bytes)
	b.lent = append(b.lent, l)
	o.mu.Unlock()
	o.signal()
	return true
}

// withdraw takes a lent frame back if the writer has not got it; done is then not called.
func (o *outbox) withdraw(l *loan) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.taken >= l.batch || o.closed {
		return false
	}
	l.body = nil
	return true
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// started reports whether batch seq has been handed to the writer.
func (o *outbox) started(seq uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.taken >= seq
}

// take hands the filled batch over; nil when there is nothing to write.
func (o *outbox) take() *batch {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.filled.bytes) == 0 {
		return nil
	}
	b := o.filled
	o.filled, o.spare = o.spare, nil
	if o.filled == nil {
		o.filled = &batch{}
	}
	o.taken = o.seq
	o.seq++
	o.writing = true
	return b
}

// recycle ends a batch: lenders get their memory back.
func (o *outbox) recycle(b *batch) {
	for i, l := range b.lent {
		l.settle()
		b.lent[i] = nil
	}
	b.lent = b.lent[:0]
	b.bytes = b.bytes[:0]
	if cap(b.bytes) > batchKeepLen {
		b.bytes = nil
	}
	o.mu.Lock()
	o.spare, o.writing = b, false
	o.mu.Unlock()
}

func (l *loan) settle() {
	if l.body == nil {
		return // withdrawn
	}
	if l.done != nil {
		l.done()
	}
	if l.written != nil {
		close(l.written)
	}
}

// close refuses further frames and settles those that were never taken.
func (o *outbox) close() {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return
	}
	o.closed = true
	b := o.filled
	o.filled = &batch{}
	o.mu.Unlock()
	for _, l := range b.lent {
		l.settle()
	}
}

// writeStep is how many bytes one system call is given at most, so that
// progress on a slow network is noticed between them.
const writeStep = 1 << 20

// writeTo writes the batch to w and returns how many bytes went out; progress
// is called between steps.
func (b *batch) writeTo(w io.Writer, progress func()) (int64, error) {
	if len(b.lent) == 0 {
		n, err := w.Write(b.bytes)
		return int64(n), err
	}
	s := stepper{w: w, progress: progress}
	at := 0
	for _, l := range b.lent {
		s.add(b.bytes[at:l.start])
		at = l.end
		if l.body != nil {
			s.add(b.bytes[l.start:l.end])
			s.add(l.body)
		}
	}
	s.add(b.bytes[at:])
	s.flush()
	return s.written, s.err
}

// stepper gathers pieces and writes them in steps; after an error it does nothing.
type stepper struct {
	w        io.Writer
	progress func()
	bufs     net.Buffers
	size     int
	written  int64
	err      error
}

func (s *stepper) add(p []byte) {
	for len(p) > 0 && s.err == nil {
		n := min(len(p), writeStep-s.size)
		s.bufs = append(s.bufs, p[:n])
		s.size += n
		p = p[n:]
		if s.size == writeStep {
			s.flush()
			s.progress()
		}
	}
}

func (s *stepper) flush() {
	if s.err != nil || s.size == 0 {
		return
	}
	bufs := s.bufs // WriteTo consumes the slice it is called on
	var n int64
	n, s.err = bufs.WriteTo(s.w)
	s.written += n
	s.bufs, s.size = s.bufs[:0], 0
}

// empty reports that everything queued has been written.
func (o *outbox) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed || len(o.filled.bytes) == 0 && !o.writing
}
