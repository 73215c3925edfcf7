package chunktest

import (
	"bytes"
	"encoding/binary"
	"sync"

	"torc/chunk"
	"torc/internal/errs"
)

const (
	writersMax = 8  // goroutines that write at once
	keysEach   = 12 // keys of each of them
)

func testConcurrentKeys(e *env) {
	work := make([][]chunk.Write, writersMax)
	for i := range work {
		for range keysEach {
			work[i] = append(work[i], e.write(e.key(), e.bytes(1+e.rnd.IntN(20_000))))
		}
	}
	var wg sync.WaitGroup
	for _, ws := range work {
		wg.Go(func() {
			for _, w := range ws {
				if _, err := e.s.Put(e.ctx, w); err != nil {
					e.Errorf("Put %s: %v", w.Key, err)
					return
				}
				c, err := e.s.Get(e.ctx, w.Key, chunk.All)
				if err != nil {
					e.Errorf("Get %s after its Put: %v", w.Key, err)
					return
				}
				if !bytes.Equal(c.Data, w.Data) {
					e.Errorf("Get %s after its Put: other bytes", w.Key)
				}
				c.Release()
			}
		})
	}
	wg.Wait()
	for _, ws := range work {
		for _, w := range ws {
			e.wantStored(w)
		}
	}
}

// stamped returns a value whose every 8 bytes name its version, of a size that
// depends on the version, so that a mixture shows.
func stamped(v chunk.Version) []byte {
	b := make([]byte, 8*(500+uint64(v)%977))
	for i := 0; i < len(b); i += 8 {
		binary.BigEndian.PutUint64(b[i:], uint64(v))
	}
	return b
}

// testConcurrentVersions: writers race with versions of one key while readers
// watch; the highest wins and nobody ever sees a mixture. A single store's
// readers never see versions go back.
func testConcurrentVersions(e *env) {
	for range e.prots {
		k := e.key()
		var ws []chunk.Write
		for range 40 {
			w := e.write(k, nil)
			w.Data = stamped(w.Version)
			w.GroupSize = int64(len(w.Data))
			ws = append(ws, w)
		}
		top := ws[len(ws)-1]
		e.rnd.Shuffle(len(ws), func(i, j int) { ws[i], ws[j] = ws[j], ws[i] })

		var writers, readers sync.WaitGroup
		stop := make(chan struct{})
		for range 2 {
			readers.Go(func() { e.watch(k, stop) })
		}
		for i := range writersMax {
			writers.Go(func() {
				for j := i; j < len(ws); j += writersMax {
					if _, err := e.s.Put(e.ctx, ws[j]); err != nil && (errs.KindOf(err) != errs.Stale || ws[j].Version == top.Version) {
						e.Errorf("Put version %v of at most %v: %v", ws[j].Version, top.Version, err)
					}
				}
			})
		}
		writers.Wait()
		close(stop)
		readers.Wait()
		e.wantStored(top)
	}
}

// watch reads k until stop closes.
func (e *env) watch(k chunk.Key, stop <-chan struct{}) {
	var last chunk.Version
	for {
		select {
		case <-stop:
			return
		default:
		}
		c, err := e.s.Get(e.ctx, k, chunk.All)
		if err != nil {
			kind := errs.KindOf(err)
			// A group in the middle of an overwrite may have no readable generation.
			if kind != errs.NotFound && !(e.main && kind == errs.Unavailable) {
				e.Errorf("Get while writing: %v", err)
				return
			}
			if kind == errs.NotFound && last != 0 && !e.main {
				e.Errorf("Get while writing: not found after version %v was read", last)
				return
			}
			continue
		}
		if !bytes.Equal(c.Data, stamped(c.Version)) {
			e.Errorf("Get while writing: version %v with bytes that are not its own", c.Version)
		}
		if c.Version < last && !e.main {
			e.Errorf("Get while writing: version %v after %v", c.Version, last)
		}
		last = c.Version
		c.Release()
	}
}

// testConcurrentRetries: the same write from many goroutines succeeds for all.
func testConcurrentRetries(e *env) {
	for range e.prots {
		w := e.write(e.key(), e.bytes(40_000))
		v := e.version()
		var wg sync.WaitGroup
		for range writersMax {
			wg.Go(func() {
				if _, err := e.s.Put(e.ctx, w); err != nil {
					e.Errorf("Put of the same version: %v", err)
				}
			})
		}
		wg.Wait()
		e.wantStored(w)
		for range writersMax {
			wg.Go(func() {
				if _, err := e.s.Delete(e.ctx, w.Key, v); err != nil {
					e.Errorf("Delete of the same version: %v", err)
				}
			})
		}
		wg.Wait()
		e.wantTombstone(w.Key, v)
	}
}
