package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"torc/chunk"
	"torc/internal/buf"
	"torc/internal/errs"
	"torc/internal/vfs"
)

// readRetries bounds how often a read follows a chunk that relocation moves.
const readRetries = 8

// Stat implements chunk.Getter, from the index alone.
func (d *Disk) Stat(ctx context.Context, k chunk.Key) (chunk.Info, error) {
	const op = "storage.Stat"
	if err := d.enter(ctx, op); err != nil {
		return chunk.Info{}, err
	}
	defer d.leave()
	e, err := d.find(ctx, op, k)
	if err != nil {
		return chunk.Info{}, err
	}
	return e.info(k), nil
}

// find returns the index entry of k.
func (d *Disk) find(ctx context.Context, op string, k chunk.Key) (entry, error) {
	if err := d.readable(ctx, op); err != nil {
		return entry{}, err
	}
	e, ok, err := d.lookup(op, k)
	if err == nil && !ok {
		err = errs.E(op, errs.NotFound, "no chunk %s", k)
	}
	return e, err
}

// Get implements chunk.Getter. It reads the blocks that r touches and verifies each.
func (d *Disk) Get(ctx context.Context, k chunk.Key, r chunk.Range) (*chunk.Chunk, error) {
	const op = "storage.Get"
	if err := d.enter(ctx, op); err != nil {
		return nil, err
	}
	defer d.leave()
	for range readRetries {
		e, err := d.find(ctx, op, k)
		if err != nil {
			return nil, err
		}
		if e.deleted {
			return nil, errs.E(op, errs.NotFound, "no chunk %s", k)
		}
		off, n, ok := r.Resolve(e.size)
		if !ok {
			return nil, errs.E(op, errs.OutOfRange, "%s: bytes %d+%d of %d", k, r.Off, r.Len, e.size)
		}
		if n == 0 {
			return chunk.NewChunk(e.info(k), nil, nil), nil
		}
		c := d.container(e.container)
		if c == nil {
			continue // freed meanwhile: the chunk has moved or gone
		}
		if c.missing {
			return nil, d.damaged(op, k, &e, "its container is missing")
		}
		file, ok := c.acquire()
		if !ok {
			continue
		}
		b, err := d.readData(op, file, k, &e, off, n)
		c.release()
		if err != nil {
			return nil, err
		}
		d.count.gets.Add(1)
		d.count.getBytes.Add(n)
		return b, nil
	}
	return nil, errs.E(op, errs.Unavailable, "%s: moved %d times during one read", k, readRetries)
}

// damaged reports corruption of k's record and returns the error for the reader.
func (d *Disk) damaged(op string, k chunk.Key, e *entry, what string) error {
	d.count.errors.Add(1)
	d.reportCorruption(Corruption{Container: e.container, Offset: e.pos, Len: e.recordLen(k), Key: k, What: what})
	return errs.E(op, errs.Corrupt, "%s: container %d at %d: %s", k, e.container, e.pos, what)
}

// readData reads and verifies n bytes at off of the chunk. Head and data come with
// one system call where the range begins in the first block.
func (d *Disk) readData(op string, file vfs.File, k chunk.Key, e *entry, off, n int64) (*chunk.Chunk, error) {
	h := e.header(k)
	first := off / blockSize
	lo := first * blockSize
	hi := min(e.size, (off+n+blockSize-1)/blockSize*blockSize)
	head := buf.Get(int(h.dataOff()))
	defer head.Release()
	body := buf.Get(int(hi - lo))
	fail := func(err error) (*chunk.Chunk, error) {
		body.Release()
		return nil, err
	}
	var err error
	if lo == 0 {
		_, err = file.ReadVec([][]byte{head.B, body.B}, e.pos)
	} else {
		_, err = file.ReadVec([][]byte{head.B}, e.pos)
		if err == nil {
			_, err = file.ReadVec([][]byte{body.B}, e.pos+h.dataOff()+lo)
		}
	}
	if errors.Is(err, io.EOF) {
		return fail(d.damaged(op, k, e, "the container is truncated"))
	}
	if err != nil {
		d.count.errors.Add(1)
		d.setState(Warn, "read error: "+err.Error(), err)
		return fail(errs.E(op, errs.Unavailable, "%s: container %d at %d: %w", k, e.container, e.pos, err))
	}
	if why := d.verify(k, e, head.B, body.B, int(first)); why != "" {
		return fail(d.damaged(op, k, e, why))
	}
	return chunk.NewChunk(e.info(k), body.B[off-lo:off-lo+n], body.Release), nil
}

// verify checks a record's head and the data blocks from block first, and returns
// what is wrong.
func (d *Disk) verify(k chunk.Key, e *entry, head, body []byte, first int) string {
	h, err := decodeHeader(head, d.salt, e.container, e.pos)
	if err != nil {
		return err.Error()
	}
	if h.key != k || h.version != e.version || h.sum != e.sum || h.size != e.size || h.ownerLen != len(e.owner) || h.seq != e.seq {
		return "the record is another one"
	}
	meta := head[recordHeaderSize : recordHeaderSize+h.metaLen()]
	if crc32.Checksum(meta, castagnoli) != h.metaSum {
		return "checksum table damaged"
	}
	if h.blocks() == 0 {
		if len(body) == int(h.size) && crc32.Checksum(body, castagnoli) != h.sum {
			return "data damaged"
		}
		return ""
	}
	sums := meta[h.ownerLen:]
	for i := first; len(body) > 0; i++ {
		block := body[:min(blockSize, len(body))]
		if crc32.Checksum(block, castagnoli) != binary.LittleEndian.Uint32(sums[4*i:]) {
			return "data damaged"
		}
		body = body[len(block):]
	}
	return ""
}

// List implements chunk.Lister.
func (d *Disk) List(ctx context.Context, after *chunk.Key, limit int) ([]chunk.Info, error) {
	const op = "storage.List"
	if limit < 1 || limit > chunk.ListMax {
		return nil, errs.E(op, errs.Invalid, "limit %d: want 1-%d", limit, chunk.ListMax)
	}
	if err := d.enter(ctx, op); err != nil {
		return nil, err
	}
	defer d.leave()
	if err := d.readable(ctx, op); err != nil {
		return nil, err
	}
	var out []chunk.Info
	err := d.ix.list(op, after, func(k chunk.Key, e entry) bool {
		if d.alive(&e) {
			out = append(out, e.info(k))
		}
		return len(out) < limit
	})
	if err != nil {
		return nil, err
	}
	d.count.lists.Add(1)
	return out, nil
}

// readable returns an error when ctx has ended.
func (d *Disk) readable(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return errs.Wrap(op, err)
	}
	return nil
}

// enter keeps Close waiting until leave: the index must not close under a reader. It
// also bounds the reads under way, so that those of a disk that hangs do not take up
// all that serves the healthy ones.
func (d *Disk) enter(ctx context.Context, op string) error {
	select {
	case d.reads <- struct{}{}:
	case <-ctx.Done():
		return errs.Wrap(op, ctx.Err())
	case <-d.quit:
		return errs.E(op, errs.Closed, "disk %s is closed", d.cfg.Dir)
	}
	d.readers.RLock()
	if d.closed {
		d.leave()
		return errs.E(op, errs.Closed, "disk %s is closed", d.cfg.Dir)
	}
	return nil
}

func (d *Disk) leave() {
	d.readers.RUnlock()
	<-d.reads
}
