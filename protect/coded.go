package protect

import (
	"bytes"
	"context"
	"slices"
	"time"

	"torc/chunk"
	"torc/internal/buf"
	"torc/internal/errs"
)

// coded is one read of a coded value. It asks for the bytes that it needs of
// the data fragments; if one fails or is late it asks others for a window that
// covers every need, until k fragments have that window, and reconstructs.
type coded struct {
	s   *Store
	g   *group
	at  [][]int     // by fragment: places that have not failed
	gen *generation // known, or that of the first answer
	rd  *reads

	all   bool        // the whole value; its size may not be known yet
	r     chunk.Range // resolved, unless all
	frag  int64       // fragment length; -1 until known
	first int         // data fragments needed: first..last
	last  int

	window  chunk.Range     // what spares are asked for
	spares  bool            // exact reads were not enough
	got     [][]fetched     // by fragment
	running [][]chunk.Range // by fragment: windows of the reads under way
	late    int             // reads under way that are late
	waited  time.Duration   // since the last answer
	failure error
}

// getCoded reads r (resolved, or All with gen unknown) from the fragments at at.
func (s *Store) getCoded(ctx context.Context, g *group, at [][]int, gen *generation, r chunk.Range) (*chunk.Chunk, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &coded{s: s, g: g, at: at, gen: gen, r: r, frag: -1, last: g.need - 1,
		got: make([][]fetched, g.n), running: make([][]chunk.Range, g.n), rd: s.newReads(g)}
	defer c.release()
	defer close(c.rd.gone)
	c.all = gen == nil
	c.window = chunk.All
	if gen != nil {
		c.plan()
	}
	for i := c.first; i <= c.last; i++ {
		if c.isSilent(i) || !c.start(ctx, i, c.need(i)) {
			c.spares = true
		}
	}
	for !c.complete() {
		if c.spares && !c.more(ctx) {
			return nil, orNoSource(c.failure)
		}
		if err := c.step(ctx); err != nil {
			return nil, err
		}
	}
	return c.assemble()
}

// plan computes what is needed once the size is known.
func (c *coded) plan() {
	c.frag = fragmentLen(c.gen.size, c.g.need)
	if c.all {
		c.r = chunk.Range{Off: 0, Len: c.gen.size}
		return // windows stay whole fragments: they have been asked for already
	}
	if c.r.Len == 0 || c.frag == 0 {
		c.first, c.last = 0, -1 // nothing to read
		return
	}
	c.first, c.last = int(c.r.Off/c.frag), int((c.r.Off+c.r.Len-1)/c.frag)
	c.window = c.need(c.first)
	for i := c.first + 1; i <= c.last; i++ {
		n := c.need(i)
		end := max(c.window.Off+c.window.Len, n.Off+n.Len)
		c.window.Off = min(c.window.Off, n.Off)
		c.window.Len = end - c.window.Off
	}
}

// need returns the bytes of data fragment i that the read asks for.
func (c *coded) need(i int) chunk.Range {
	if c.all {
		return chunk.All
	}
	lo := max(0, c.r.Off-int64(i)*c.frag)
	hi := min(c.frag, c.r.Off+c.r.Len-int64(i)*c.frag)
	return chunk.Range{Off: lo, Len: hi - lo}
}

// start reads a window of fragment i from the first place that may have it.
func (c *coded) start(ctx context.Context, i int, window chunk.Range) bool {
	if len(c.at[i]) == 0 {
		return false
	}
	c.running[i] = append(c.running[i], window)
	c.rd.start(ctx, source{i, c.at[i][0]}, window)
	return true
}

// complete reports whether there is enough to answer.
func (c *coded) complete() bool {
	if c.gen != nil && c.frag == 0 {
		return true // an empty value: one fragment has said so
	}
	exact := true
	for i := c.first; i <= c.last; i++ {
		exact = exact && c.have(i, c.need(i)) != nil
	}
	return exact || c.spares && c.windows() >= c.g.need
}

// have returns the bytes of fragment i in window, or nil.
func (c *coded) have(i int, window chunk.Range) []byte {
	for _, f := range c.got[i] {
		if off, n := c.within(f.window, window); off >= 0 {
			return f.c.Data[off : off+n]
		}
	}
	return nil
}

// within returns where window lies in have, relative to have's start; -1 if it
// is not part of it.
func (c *coded) within(have, window chunk.Range) (off, n int64) {
	if have.Off == 0 && have.Len < 0 {
		off, n = window.Off, window.Len
		if n < 0 {
			n = c.frag - off
		}
		return off, n
	}
	off, n = window.Off-have.Off, window.Len
	if n < 0 || off < 0 || off+n > have.Len {
		return -1, 0
	}
	return off, n
}

// windows counts the fragments that have the spare window.
func (c *coded) windows() int {
	n := 0
	for i := range c.got {
		if c.have(i, c.window) != nil {
			n++
		}
	}
	return n
}

// more starts spare reads until as many timely ones are under way as are
// missing. It reports false if the read cannot succeed any more.
func (c *coded) more(ctx context.Context) bool {
	coming := 0
	for i := range c.running {
		if c.coming(i) {
			coming++
		}
	}
	missing := c.g.need - c.windows() - max(0, coming-c.late)
	for _, silent := range []bool{false, true} { // silent places only if it must be
		for i := 0; i < c.g.n && missing > 0; i++ {
			if c.isSilent(i) == silent && !c.coming(i) && c.have(i, c.window) == nil && c.start(ctx, i, c.window) {
				missing--
			}
		}
	}
	return c.underWay() > 0
}

// isSilent reports whether fragment i would be read from a silent place.
func (c *coded) isSilent(i int) bool { return len(c.at[i]) > 0 && c.g.isSilent(c.at[i][0]) }

// coming reports whether a read of fragment i that covers the window is under way.
func (c *coded) coming(i int) bool {
	return slices.ContainsFunc(c.running[i], func(r chunk.Range) bool {
		off, _ := c.within(r, c.window)
		return off >= 0
	})
}

// step waits for one thing to happen.
func (c *coded) step(ctx context.Context) error {
	delay := c.s.hedgeAfter(c.window)
	late, stop := c.s.cfg.Clock.After(delay)
	defer stop()
	select {
	case f := <-c.rd.results:
		i := slices.Index(c.running[f.frag], f.window)
		c.running[f.frag] = slices.Delete(c.running[f.frag], i, i+1)
		c.late, c.waited = min(c.late, c.underWay()), 0
		return c.arrived(ctx, f)
	case <-late:
		c.waited += delay
		if c.late != c.underWay() && c.s.passedBy(c.g, c.lateSources(), c.window, delay, c.waited >= c.s.cfg.HandoffAfter) {
			c.late = c.underWay()
			c.spares = true
		}
		return nil
	case <-ctx.Done():
		return errs.Wrap("protect: read", ctx.Err())
	}
}

// lateSources returns where the fragments under way are read.
func (c *coded) lateSources() []source {
	var out []source
	for i, r := range c.running {
		if len(r) > 0 && len(c.at[i]) > 0 {
			out = append(out, source{i, c.at[i][0]})
		}
	}
	return out
}

func (c *coded) underWay() int {
	n := 0
	for _, r := range c.running {
		n += len(r)
	}
	return n
}

// arrived notes one fragment read. A NotFound or a second generation ends a
// read that did not survey: only a survey can tell what they mean.
func (c *coded) arrived(ctx context.Context, f fetched) error {
	direct := c.gen == nil || c.all
	err := f.err
	if err == nil {
		info := f.c.Info
		if c.gen == nil {
			gen := generationOf(info)
			gen.owner = bytes.Clone(gen.owner)
			c.gen = &gen
			c.plan()
		}
		switch {
		case !c.gen.equal(generationOf(info)):
			err = errs.E("protect: read", errs.NotFound, "version %v, want %v", info.Version, c.gen.version)
		case info.Size != c.frag:
			err = errs.E("protect: read", errs.Corrupt, "fragment of %d bytes, want %d", info.Size, c.frag)
		default:
			c.got[f.frag] = append(c.got[f.frag], f)
			return nil
		}
		f.c.Release()
	}
	c.s.failed(c.g, f.source, err)
	if direct && errs.Is(err, errs.NotFound) {
		return err
	}
	c.failure = worse(c.failure, err)
	c.spares = true
	c.at[f.frag] = slices.DeleteFunc(slices.Clone(c.at[f.frag]), func(p int) bool { return p == f.place })
	c.start(ctx, f.frag, f.window) // another place may have it
	return nil
}

func (c *coded) release() {
	for _, fs := range c.got {
		for _, f := range fs {
			f.c.Release()
		}
	}
}

// assemble makes the value's bytes out of the fragments.
func (c *coded) assemble() (*chunk.Chunk, error) {
	info := chunk.Info{Version: c.gen.version, Size: c.gen.size, Attrs: chunk.Attrs{GroupSize: c.gen.size, Owner: c.gen.owner}}
	if c.r.Len == 0 || c.frag == 0 {
		return chunk.NewChunk(info, nil, nil), nil
	}
	rebuilt, b, err := c.reconstruct()
	if err != nil {
		return nil, err
	}
	defer b.Release()
	out := buf.Get(int(c.r.Len))
	at := 0
	for i := c.first; i <= c.last; i++ {
		lo := max(0, c.r.Off-int64(i)*c.frag)
		hi := min(c.frag, c.r.Off+c.r.Len-int64(i)*c.frag)
		if hi <= lo {
			continue // all padding
		}
		exact := chunk.Range{Off: lo, Len: hi - lo}
		if data := c.have(i, exact); data != nil {
			at += copy(out.B[at:], data)
			continue
		}
		from := lo - c.window.Off
		at += copy(out.B[at:], rebuilt[i][from:from+hi-lo])
	}
	return chunk.NewChunk(info, out.B, out.Release), nil
}

// reconstruct computes the window of the data fragments that are missing.
func (c *coded) reconstruct() ([][]byte, *buf.Buffer, error) {
	var missing []int
	for i := c.first; i <= c.last; i++ {
		if c.have(i, c.need(i)) == nil {
			missing = append(missing, i)
		}
	}
	if len(missing) == 0 {
		return nil, nil, nil
	}
	code, err := c.s.codes.get(c.g.prot)
	if err != nil {
		return nil, nil, err
	}
	n := int(c.window.Len)
	if n < 0 {
		n = int(c.frag)
	}
	shards := make([][]byte, c.g.n)
	for i := range shards {
		shards[i] = c.have(i, c.window)
	}
	b := buf.Get(n * len(missing))
	required := make([]bool, c.g.need)
	for j, i := range missing {
		shards[i] = b.B[j*n : j*n : (j+1)*n]
		required[i] = true
	}
	if err := code.ReconstructSome(shards, required); err != nil {
		b.Release()
		return nil, nil, errs.E("protect: reconstruct", errs.Other, "%s: %w", c.g.key, err)
	}
	c.s.emit(Event{Kind: ReadRebuilt, Key: c.g.key, Version: c.gen.version, Err: c.failure})
	return shards, b, nil
}
