package object

import (
	"context"
	"io"
	"sync"

	"torc/chunk"
	"torc/internal/buf"
	"torc/internal/errs"
)

// emptyReadsMax bounds how often a Reader may answer neither bytes nor an error.
const emptyReadsMax = 100

// readFull fills p from r. It returns fewer bytes only at io.EOF, which it
// reports as nil error and n < len(p); any other error of r is returned as is.
func readFull(r io.Reader, p []byte) (n int, err error) {
	for idle := 0; n < len(p); {
		m, err := r.Read(p[n:])
		if n += m; err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
		if m > 0 {
			idle = 0
		} else if idle++; idle > emptyReadsMax {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}

// writer cuts one body into stripes and stores them, several at a time.
type writer struct {
	s      *Service
	ctx    context.Context
	cancel context.CancelFunc
	grant  *grant
	owner  []byte
	extent Extent

	slots chan struct{} // one token a stripe in flight
	width int           // how many slots there are
	wg    sync.WaitGroup

	mu       sync.Mutex
	err      error
	debt     []StripeDebt
	attempts int64 // stripes that may exist
}

// write stores body under a fresh base of c and returns what is to be
// committed. On an error nothing is left but what abandon could not remove,
// which it has noted.
func (s *Service) write(ctx context.Context, c *session, owner Owner, body Body) (written, error) {
	grant, err := s.mem.enter(ctx, s.firstBuffer(body.Size))
	if err != nil {
		return written{}, err
	}
	defer grant.leave()
	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &writer{s: s, ctx: wctx, cancel: cancel, grant: grant, owner: encode(&owner), width: 1,
		slots: make(chan struct{}, s.cfg.StripesInWork), extent: Extent{Base: c.base(), StripeSize: s.cfg.StripeSize}}
	w.slots <- struct{}{}

	err = w.copy(body)
	w.wg.Wait()
	if err = firstError(w.err, err); err == nil {
		var seal Seal
		if seal, err = body.Seal(); err == nil {
			return written{Extent: w.extent, Debt: w.debt, Seal: seal}, nil
		}
	}
	w.extent.Size = w.attempts * w.extent.StripeSize
	s.abandon(ctx, c, owner, w.extent)
	return written{}, err
}

// firstBuffer is the memory that a body of a declared size needs to begin.
func (s *Service) firstBuffer(size int64) int64 {
	if size >= 0 {
		return min(size, s.cfg.StripeSize)
	}
	return max(s.cfg.StripeSize, s.cfg.Policy.SmallSize)
}

// copy reads the whole body and starts its stripes. The extent's Size and
// Protection are set when it returns without error.
func (w *writer) copy(body Body) error {
	size, limit := body.Size, int64(PutSizeMax)
	if size > limit {
		return fail(SizeTooLarge, errs.TooLarge, "object: write", "body of %d bytes, at most %d", size, limit)
	}
	if size < 0 {
		return w.copyUnknown(body.Reader)
	}
	w.extent.Protection = w.s.policy(size)
	for off := int64(0); off < size; off += w.extent.StripeSize {
		b, n, err := w.fill(body.Reader, min(w.extent.StripeSize, size-off), nil)
		if err != nil {
			return err
		}
		if int64(n) < min(w.extent.StripeSize, size-off) {
			b.Release()
			return fail(BodyTooShort, errs.Invalid, "object: write", "body ended after %d of %d bytes", off+int64(n), size)
		}
		if err := w.put(b); err != nil {
			return err
		}
	}
	var one [1]byte
	if n, err := readFull(body.Reader, one[:]); err != nil {
		return err
	} else if n > 0 {
		return fail(BodyTooLong, errs.Invalid, "object: write", "body goes on after the declared %d bytes", size)
	}
	w.extent.Size = size
	return nil
}

// copyUnknown writes a body of unknown length: its first SmallSize bytes decide
// how it is protected.
func (w *writer) copyUnknown(r io.Reader) error {
	small := w.s.cfg.Policy.SmallSize
	head := buf.Get(int(small))
	defer head.Release()
	n, err := readFull(r, head.B)
	if err != nil {
		return err
	}
	w.extent.Protection = w.s.policy(int64(n))
	rest := head.B[:n]
	for total, ended := int64(0), int64(n) < small; ; {
		want := w.extent.StripeSize
		if ended {
			want = min(want, int64(len(rest)))
		}
		if want == 0 {
			w.extent.Size = total
			return nil
		}
		b, n, err := w.fill(r, want, &rest)
		if err != nil {
			return err
		}
		if total += int64(n); total > PutSizeMax {
			b.Release()
			return fail(SizeTooLarge, errs.TooLarge, "object: write", "body of more than %d bytes", int64(PutSizeMax))
		}
		last := !ended && int64(n) < want
		if b.B = b.B[:n]; n == 0 {
			b.Release()
		} else if err := w.put(b); err != nil {
			return err
		}
		if last {
			w.extent.Size = total
			return nil
		}
	}
}

func (s *Service) policy(size int64) chunk.Protection {
	if size < s.cfg.Policy.SmallSize {
		return s.cfg.Policy.Small
	}
	return s.cfg.Policy.Large
}

// fill waits for a slot and fills a buffer of n bytes from what is left in head
// and then from r. The slot is given back on an error.
func (w *writer) fill(r io.Reader, n int64, head *[]byte) (*buf.Buffer, int, error) {
	if err := w.slot(n); err != nil {
		return nil, 0, err
	}
	b := buf.Get(int(n))
	have := 0
	if head != nil {
		have = copy(b.B, *head)
		*head = (*head)[have:]
	}
	m, err := readFull(r, b.B[have:])
	if err != nil {
		b.Release()
		return nil, 0, err
	}
	return b, have + m, nil
}

// slot waits until another stripe may be in flight; it adds one while there is
// memory for it.
func (w *writer) slot(n int64) error {
	select {
	case <-w.slots:
	default:
		if w.width < cap(w.slots) && w.grant.more(n) {
			w.width++
			break
		}
		select {
		case <-w.slots:
		case <-w.ctx.Done():
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return firstError(w.err, w.ctx.Err())
}

// put stores b as the next stripe, in the background unless it is the only one.
func (w *writer) put(b *buf.Buffer) error {
	n := w.attempts
	if n >= stripesMax {
		b.Release()
		return fail(SizeTooLarge, errs.TooLarge, "object: write", "more than %d stripes", stripesMax)
	}
	w.attempts++
	w.wg.Add(1)
	go func() {
		defer w.wg.Done()
		defer func() { w.slots <- struct{}{} }()
		defer b.Release()
		w.store(n, b.B)
	}()
	return nil
}

func (w *writer) store(n int64, data []byte) {
	r, err := w.s.chunks.Put(w.ctx, chunk.Write{
		Key:     StripeKey(w.extent.Base, n, w.extent.Protection),
		Version: w.s.hlc.Now(),
		Attrs:   chunk.Attrs{GroupSize: int64(len(data)), Owner: w.owner},
		Data:    data,
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil:
		if w.err == nil {
			w.err = errs.Wrap("object: store stripe", err)
		}
		w.cancel()
	case !r.Whole():
		w.debt = append(w.debt, StripeDebt{Stripe: n, Missing: max(0, r.Want-r.Durable), Misplaced: r.Handoff})
	}
}

// abandon removes an extent that will never be committed: now if its homes are
// there, else through the purge queue, else when the session is swept. It goes
// on after the client has left.
func (s *Service) abandon(ctx context.Context, c *session, owner Owner, e Extent) {
	if e.stripes() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if err := deleteExtent(ctx, s.chunks, s.hlc, e); err == nil {
		return
	}
	q := discardCommand{Owner: owner, Extent: e}
	err := do(ctx, s.db, kindDiscard, objectKey(owner.Bucket, owner.Key), &q, &empty{})
	if err != nil {
		s.sessions.doubt(c)
		s.cfg.Log.Warn("bytes of an aborted write wait for the sweep",
			"session", e.Base.Volume, "sequence", e.Base.Sequence, "stripes", e.stripes(), "error", err)
	}
}
