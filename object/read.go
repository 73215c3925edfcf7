package object

import (
	"context"
	"io"

	"torc/chunk"
	"torc/internal/errs"
)

// segment is a run of bytes within one stripe.
type segment struct {
	key chunk.Key
	r   chunk.Range
}

// segments walks the stripes that cover a range of an object.
type segments struct {
	parts  []Part
	skip   int64 // bytes of parts[0] before the range
	remain int64 // bytes of the range left
}

func (s *segments) next() (segment, bool) {
	if s.remain <= 0 {
		return segment{}, false
	}
	for len(s.parts) > 0 && s.skip >= s.parts[0].Size {
		s.skip -= s.parts[0].Size
		s.parts = s.parts[1:]
	}
	if len(s.parts) == 0 {
		return segment{}, false
	}
	e := s.parts[0].Extent
	n := s.skip / e.StripeSize
	off := s.skip % e.StripeSize
	length := min(e.stripeSize(n)-off, s.remain)
	s.skip += length
	s.remain -= length
	return segment{StripeKey(e.Base, n, e.Protection), chunk.Range{Off: off, Len: length}}, true
}

type fetched struct {
	c   *chunk.Chunk
	err error
}

// fetcher reads a range stripe by stripe, a bounded number ahead. Not safe for
// concurrent use.
type fetcher struct {
	s      *Service
	ctx    context.Context
	cancel context.CancelFunc
	todo   segments
	queue  []chan fetched
	grant  *grant
	width  int // how many stripes may be in memory
	unit   int64
	held   *chunk.Chunk // given out by next, ours again with the next call
}

// fetch begins to read n bytes of o from off, in memory that admit grants for
// the first stripe. Close it.
func (s *Service) fetch(ctx context.Context, o Object, off, n int64,
	admit func(ctx context.Context, n int64) (*grant, error)) (*fetcher, error) {
	const op = "object: read"
	if off < 0 || n < 0 || off > o.Size || n > o.Size-off {
		return nil, errs.E(op, errs.OutOfRange, "%d bytes from %d of an object of %d", n, off, o.Size)
	}
	f := &fetcher{s: s, todo: segments{parts: o.Parts, skip: off, remain: n}, width: 1}
	for _, p := range o.Parts {
		f.unit = max(f.unit, min(p.Extent.StripeSize, p.Size))
		if err := p.Extent.validate(); err != nil {
			return nil, errs.Wrap(op, err)
		}
	}
	f.unit = min(f.unit, n)
	var err error
	if f.grant, err = admit(ctx, f.unit); err != nil {
		return nil, err
	}
	f.ctx, f.cancel = context.WithCancel(ctx)
	return f, nil
}

// next returns the next bytes, verified; they stay valid until the next call.
// io.EOF at the end.
func (f *fetcher) next() ([]byte, error) {
	f.drop()
	for len(f.queue) < f.width {
		seg, ok := f.todo.next()
		if !ok {
			break
		}
		f.start(seg)
		if f.width <= f.s.cfg.ReadAhead && f.todo.remain > 0 && f.grant.more(f.unit) {
			f.width++
		}
	}
	if len(f.queue) == 0 {
		if f.todo.remain > 0 {
			return nil, errs.E("object: read", errs.Corrupt, "the object's parts end %d bytes early", f.todo.remain)
		}
		return nil, io.EOF
	}
	r := <-f.queue[0]
	f.queue = f.queue[1:]
	if r.err != nil {
		return nil, errs.Wrap("object: read stripe", r.err)
	}
	f.held = r.c
	return r.c.Data, nil
}

// start reads a segment; the last one of a range that nothing else is in
// flight for is read without a goroutine.
func (f *fetcher) start(seg segment) {
	ch := make(chan fetched, 1)
	f.queue = append(f.queue, ch)
	get := func() {
		c, err := f.s.chunks.Get(f.ctx, seg.key, seg.r)
		if err == nil && int64(len(c.Data)) != seg.r.Len {
			err = errs.E("object: read stripe", errs.Corrupt, "%s: %d bytes, want %d", seg.key, len(c.Data), seg.r.Len)
			c.Release()
			c = nil
		}
		ch <- fetched{c, err}
	}
	if len(f.queue) == 1 && f.todo.remain == 0 {
		get()
		return
	}
	go get()
}

func (f *fetcher) drop() {
	if f.held != nil {
		f.held.Release()
		f.held = nil
	}
}

// close stops what is in flight and waits for it.
func (f *fetcher) close() {
	f.cancel()
	f.drop()
	for _, ch := range f.queue {
		if r := <-ch; r.c != nil {
			r.c.Release()
		}
	}
	f.queue = nil
	f.grant.leave()
}

// WriteRange writes n bytes of o from off to w, verified, stripe by stripe with
// read-ahead. An error before the first byte was written comes as the store gave
// it; NotFound means the object was replaced or deleted and its bytes purged.
func (s *Service) WriteRange(ctx context.Context, w io.Writer, o Object, off, n int64) error {
	f, err := s.fetch(ctx, o, off, n, s.mem.enter)
	if err != nil {
		return err
	}
	defer f.close()
	for {
		b, err := f.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
}

// Open returns a reader of n bytes of o from off, to be the Body of a put: a
// copy. Close it. Errors come with Read. It holds nothing before the first Read,
// and then one stripe beside what the put was admitted with: if it had to wait
// for memory, copies that hold all of it would wait for each other.
func (s *Service) Open(ctx context.Context, o Object, off, n int64) io.ReadCloser {
	beside := func(context.Context, int64) (*grant, error) { return &grant{a: s.mem}, nil }
	return &reader{open: func() (*fetcher, error) { return s.fetch(ctx, o, off, n, beside) }}
}

// reader is a fetcher as an io.ReadCloser.
type reader struct {
	open func() (*fetcher, error) // nil once called
	f    *fetcher
	b    []byte
	err  error
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if r.open != nil && r.err == nil {
		r.f, r.err = r.open()
		r.open = nil
	}
	if len(r.b) == 0 && r.err == nil {
		r.b, r.err = r.f.next()
	}
	if r.err != nil {
		return 0, r.err
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}

// Close implements io.Closer.
func (r *reader) Close() error {
	if r.f != nil {
		r.f.close()
	}
	r.f, r.b, r.err = nil, nil, errs.E("object: read", errs.Closed, "the reader is closed")
	return nil
}
