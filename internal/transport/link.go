package transport

import (
	"bufio"
	"hash/crc32"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"torc/internal/buf"
	"torc/internal/errs"
)

// Buffers of a link, in bytes. A server has links with every server it talks
// to, so they are kept small where they gain little.
const (
	readBufLen     = 32 << 10  // read ahead, for many small frames in one system call
	readBufLenBulk = 8 << 10   // large bodies are read straight to where they stay
	corkLen        = 64 << 10  // TLS records gathered
	corkLenBulk    = 256 << 10 // TLS records gathered on a bulk link
)

const (
	readStep    = 64 << 10 // bytes of a large body checksummed while they are in cache
	headBodyMax = 64 << 10 // bytes up to which head and body share one buffer
)

// link is what both ends of a connection share: framing, the writer, the
// activity that keepalive looks at, and ending.
type link struct {
	conn  net.Conn
	flush func() error // after each batch; nil when conn does not buffer
	class class
	peer  Peer
	out   *outbox
	stats *counters

	active atomic.Bool // bytes have moved since the last look

	// Owned by keepalive.
	owedSince time.Time
	silent    int // looks in a row that found nothing

	endOnce sync.Once
	ended   chan struct{} // closed when the link breaks or is closed
	err     error         // why; set before ended is closed
}

func newLink(conn net.Conn, cl class, peer Peer, stats *counters) *link {
	l := &link{conn: conn, class: cl, peer: peer, stats: stats, out: newOutbox(), ended: make(chan struct{})}
	if c, ok := conn.(*tlsConn); ok {
		n := corkLen
		if cl == classBulk {
			n = corkLenBulk
		}
		c.cork(n)
		l.flush = c.Flush
	}
	return l
}

// end breaks the link for a reason; only the first counts.
func (l *link) end(err error) {
	l.endOnce.Do(func() {
		l.err = err
		close(l.ended)
		_ = l.conn.Close()
		l.out.close()
	})
}

// isEnded reports whether the link has broken.
func (l *link) isEnded() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

// writeLoop writes what the outbox gathers until the link ends.
func (l *link) writeLoop() {
	for {
		select {
		case <-l.out.wake:
		case <-l.ended:
			return
		}
		for {
			runtime.Gosched() // let those who are about to queue do so: one system call for all
			b := l.out.take()
			if b == nil {
				break
			}
			n, err := b.writeTo(l.conn, l.touch)
			if err == nil && l.flush != nil {
				err = l.flush()
			}
			l.stats.bytesOut.Add(n)
			l.out.recycle(b)
			if err != nil {
				l.end(err)
				return
			}
		}
	}
}

func (l *link) touch() { l.active.Store(true) }

// control sends a frame without payload.
func (l *link) control(typ frameType, id uint64) {
	h := header{typ: typ, id: id}
	_, _ = l.out.push(&h, nil, nil)
}

// frame is a received frame. Its memory goes back by release.
type frame struct {
	header
	head, body []byte
	bufs       [2]*buf.Buffer
}

func (f *frame) release() {
	f.bufs[0].Release()
	f.bufs[1].Release()
	f.bufs = [2]*buf.Buffer{}
	f.head, f.body = nil, nil
}

// frameReader reads frames from a connection.
type frameReader struct {
	r       *bufio.Reader
	touch   func()
	bytesIn *atomic.Int64
	hdr     [headerLen]byte
}

func newFrameReader(r io.Reader, cl class, touch func(), bytesIn *atomic.Int64) *frameReader {
	n := readBufLen
	if cl == classBulk {
		n = readBufLenBulk
	}
	return &frameReader{r: bufio.NewReaderSize(r, n), touch: touch, bytesIn: bytesIn}
}

// next reads one frame. An error means that the connection cannot be used any
// more: Corrupt when a checksum or a length is wrong, else the connection's own.
// admit is asked before memory is taken for the payload.
func (r *frameReader) next(admit func(*header) error) (frame, error) {
	if _, err := io.ReadFull(r.r, r.hdr[:]); err != nil {
		return frame{}, err
	}
	r.touch()
	h, err := decodeHeader(r.hdr[:])
	if err != nil {
		return frame{}, err
	}
	if err := admit(&h); err != nil {
		return frame{}, err
	}
	f := frame{header: h}
	if h.headLen+h.bodyLen > 0 {
		if err := r.payload(&f); err != nil {
			f.release()
			return frame{}, err
		}
	}
	r.bytesIn.Add(h.cost())
	return f, nil
}

func (r *frameReader) payload(f *frame) error {
	hn, bn := int(f.headLen), int(f.bodyLen)
	if hn+bn <= headBodyMax {
		f.bufs[0] = buf.Get(hn + bn)
		f.head, f.body = f.bufs[0].B[:hn:hn], f.bufs[0].B[hn:]
	} else {
		if hn > 0 {
			f.bufs[0] = buf.Get(hn)
			f.head = f.bufs[0].B
		}
		f.bufs[1] = buf.Get(bn)
		f.body = f.bufs[1].B
	}
	sum, err := r.fill(0, f.head)
	if err == nil {
		sum, err = r.fill(sum, f.body)
	}
	if err != nil {
		return err
	}
	if sum != f.sum {
		return errs.E("transport: read frame", errs.Corrupt, "payload checksum %08x, computed %08x", f.sum, sum)
	}
	return nil
}

// fill reads p in steps and extends the checksum.
func (r *frameReader) fill(sum uint32, p []byte) (uint32, error) {
	for len(p) > 0 {
		n := min(len(p), readStep)
		if _, err := io.ReadFull(r.r, p[:n]); err != nil {
			return 0, err
		}
		sum = crc32.Update(sum, castagnoli, p[:n])
		r.touch()
		p = p[n:]
	}
	return sum, nil
}

// silentLooks is how many looks in a row must find silence before a link is
// given up. Counting them as well as the time spares links when this process
// itself was suspended.
const silentLooks = int(KeepaliveTimeout / KeepaliveInterval)

// overdue is the keepalive rule: it reports whether the peer has been silent
// for KeepaliveTimeout while it owed us something. Called from one goroutine.
func (l *link) overdue(now time.Time, owed bool) bool {
	if l.active.Swap(false) || !owed {
		l.owedSince, l.silent = time.Time{}, 0
		return false
	}
	if l.silent++; l.silent == 1 {
		l.owedSince = now
	}
	return l.silent > silentLooks && now.Sub(l.owedSince) >= KeepaliveTimeout
}
