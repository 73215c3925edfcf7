package chunktest

import (
	"bytes"
	"slices"
	"sync"

	"torc/chunk"
	"torc/internal/errs"
)

func (e *env) lister() chunk.Lister { return e.s.(chunk.ListStore) }

// page lists once and checks what holds for every answer.
func (e *env) page(l chunk.Lister, after *chunk.Key, limit int) []chunk.Info {
	e.Helper()
	infos, err := l.List(e.ctx, after, limit)
	if err != nil {
		e.Fatalf("List after %v limit %d: %v", after, limit, err)
	}
	if len(infos) > limit {
		e.Fatalf("List limit %d: %d infos", limit, len(infos))
	}
	prev := after
	for i := range infos {
		k := &infos[i].Key
		if prev != nil && bytes.Compare(k[:], prev[:]) <= 0 {
			e.Fatalf("List: key %s does not ascend from %s", k, prev)
		}
		prev = k
	}
	return infos
}

// listAll pages to the end.
func (e *env) listAll(l chunk.Lister, limit int) []chunk.Info {
	e.Helper()
	var all []chunk.Info
	var after *chunk.Key
	for {
		p := e.page(l, after, limit)
		if len(p) == 0 {
			return all
		}
		all = append(all, p...)
		last := p[len(p)-1].Key
		after = &last
	}
}

// wantListed compares what l lists with want. Of a tombstone only key and
// version are promised.
func (e *env) wantListed(l chunk.Lister, limit int, want []chunk.Info) {
	e.Helper()
	got := e.listAll(l, limit)
	if len(got) != len(want) {
		e.Fatalf("List limit %d: %d chunks, want %d", limit, len(got), len(want))
	}
	for i, w := range want {
		if !sameInfo(got[i], w) {
			e.Fatalf("List limit %d, entry %d: %+v, want %+v", limit, i, got[i], w)
		}
	}
}

func sameInfo(a, b chunk.Info) bool {
	if a.Key != b.Key || a.Version != b.Version || a.Deleted != b.Deleted || a.Size != b.Size {
		return false
	}
	return a.Deleted || a.Sum == b.Sum && a.GroupSize == b.GroupSize && bytes.Equal(a.Owner, b.Owner)
}

func testListEmpty(e *env) {
	for _, limit := range []int{1, chunk.ListMax} {
		if got := e.page(e.lister(), nil, limit); len(got) != 0 {
			e.Fatalf("List of an empty store: %+v", got)
		}
	}
}

func testListPages(e *env) {
	l := e.lister()
	var want []chunk.Info
	for i := range 60 {
		w := e.write(e.key(), e.bytes(1+e.rnd.IntN(300)))
		if i%7 == 3 {
			w = e.write(w.Key, nil)
		}
		e.put(w)
		info := chunk.Info{Key: w.Key, Version: w.Version, Size: int64(len(w.Data)), Sum: chunk.Checksum(w.Data), Attrs: w.Attrs}
		if i%5 == 0 {
			info = chunk.Info{Key: w.Key, Version: e.version(), Deleted: true}
			e.delete(w.Key, info.Version)
		}
		want = append(want, info)
	}
	slices.SortFunc(want, func(a, b chunk.Info) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	for _, limit := range []int{1, 2, 7, 59, 60, 61, chunk.ListMax} {
		e.wantListed(l, limit, want)
	}
	mid := want[30].Key
	mid[chunk.KeyLen-1]++ // need not exist
	if p := e.page(l, &mid, 1); len(p) != 1 || p[0].Key != want[31].Key {
		e.Fatalf("List after a key that does not exist: %+v, want %s", p, want[31].Key)
	}
	last := chunk.Key(bytes.Repeat([]byte{0xff}, chunk.KeyLen))
	if p := e.page(l, &last, 5); len(p) != 0 {
		e.Fatalf("List after the last key: %+v", p)
	}
	first := chunk.Key{}
	if p := e.page(l, &first, 1); len(p) != 1 || p[0].Key != want[0].Key {
		e.Fatalf("List after the lowest key: %+v", p)
	}
}

func testListLimits(e *env) {
	e.put(e.write(e.key(), e.bytes(10)))
	for _, limit := range []int{0, -1, chunk.ListMax + 1} {
		_, err := e.lister().List(e.ctx, nil, limit)
		e.wantKind(err, errs.Invalid, "List limit %d", limit)
	}
}

// testListWhileWriting: chunks that are there all the time are listed, once,
// however much is written around them.
func testListWhileWriting(e *env) {
	l := e.lister()
	steady := map[chunk.Key]bool{}
	for range 50 {
		w := e.write(e.key(), e.bytes(20))
		e.put(w)
		steady[w.Key] = true
	}
	var others []chunk.Write
	for range 300 {
		others = append(others, e.write(e.key(), e.bytes(20)))
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, w := range others {
			if _, err := e.s.Put(e.ctx, w); err != nil {
				e.Errorf("Put: %v", err)
				return
			}
		}
	})
	for range 5 {
		n := 0
		for _, i := range e.listAll(l, 9) {
			if steady[i.Key] {
				n++
			}
		}
		if n != len(steady) {
			e.Errorf("List while writing: %d of %d steady chunks", n, len(steady))
		}
	}
	wg.Wait()
}

// testSiblings: the copies or fragments of one group are independent chunks.
func testSiblings(e *env) {
	for _, prot := range e.prots {
		main := chunk.NewKey(chunk.Payload{Object: e.rnd.Uint64(), Service: chunk.ServiceS3}, prot)
		ws := make([]chunk.Write, prot.Width())
		for i := range ws {
			ws[i] = e.write(main.Sibling(i), e.bytes(100+i))
			e.put(ws[i])
		}
		for i, w := range ws {
			e.wantStored(w)
			v := e.version()
			e.delete(w.Key, v)
			for _, other := range ws[i+1:] {
				e.wantStored(other)
			}
			e.wantTombstone(w.Key, v)
		}
	}
}

// testAttrsUnchanged: what the attributes mean is the writer's business.
func testAttrsUnchanged(e *env) {
	for _, a := range []chunk.Attrs{
		{}, {GroupSize: 1 << 40}, {Owner: []byte{0}}, {GroupSize: 3, Owner: e.bytes(chunk.OwnerLenMax)},
	} {
		w := e.write(e.key(), e.bytes(1000))
		w.Attrs = a
		e.put(w)
		e.wantStored(w)
		next := e.write(w.Key, w.Data) // a new version brings its own
		next.Attrs = chunk.Attrs{GroupSize: 9, Owner: []byte("next")}
		e.put(next)
		e.wantStored(next)
	}
}
