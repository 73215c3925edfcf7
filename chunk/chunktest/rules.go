package chunktest

import (
	"bytes"
	"context"
	"math"
	"time"

	"torc/chunk"
	"torc/internal/errs"
)

func testAbsent(e *env) {
	for range 6 {
		k := e.key()
		_, err := e.s.Get(e.ctx, k, chunk.All)
		e.wantKind(err, errs.NotFound, "Get of absent %s", k)
		_, err = e.s.Stat(e.ctx, k)
		e.wantKind(err, errs.NotFound, "Stat of absent %s", k)
	}
}

func testPutGetStat(e *env) {
	var all []chunk.Write
	for range 12 {
		w := e.write(e.key(), e.bytes(1+e.rnd.IntN(9000)))
		e.put(w)
		e.wantStored(w)
		all = append(all, w)
	}
	for _, w := range all { // later puts did not disturb earlier ones
		e.wantStored(w)
	}
}

func testSizes(e *env) {
	sizes := []int{0, 1, 2, 63, 64, 65, 511, 512, 513, 4095, 4096, 4097,
		64<<10 - 1, 64 << 10, 64<<10 + 1, 1<<20 - 1, 1 << 20, 1<<20 + 1, 8 << 20, chunk.SizeMax}
	for _, n := range sizes {
		perProt := len(e.prots)
		if n > 1<<20 {
			perProt = 1
		}
		for range perProt {
			w := e.write(e.key(), e.bytes(n))
			e.put(w)
			e.wantStored(w)
		}
	}
}

func testRanges(e *env) {
	for _, size := range []int64{0, 1, 100, 64 << 10, 200_003} {
		for range e.prots {
			w := e.write(e.key(), e.bytes(int(size)))
			e.put(w)
			for _, r := range goodRanges(size) {
				e.wantRange(w, r)
			}
			for range 30 {
				off := e.rnd.Int64N(size + 1)
				e.wantRange(w, chunk.Range{Off: off, Len: e.rnd.Int64N(size - off + 1)})
			}
			for _, r := range []chunk.Range{
				{Off: size + 1, Len: 0}, {Off: size + 1, Len: -1}, {Off: 0, Len: size + 1}, {Off: size, Len: 1},
				{Off: -1, Len: 1}, {Off: -1, Len: -1}, {Off: math.MaxInt64, Len: 1}, {Off: 0, Len: math.MaxInt64},
				{Off: math.MinInt64, Len: math.MaxInt64}, {Off: 1, Len: math.MaxInt64},
			} {
				_, err := e.s.Get(e.ctx, w.Key, r)
				e.wantKind(err, errs.OutOfRange, "Get %+v of %d bytes", r, size)
			}
			e.wantStored(w)
		}
	}
}

func goodRanges(size int64) []chunk.Range {
	rs := []chunk.Range{
		{Off: 0, Len: -1}, {Off: 0, Len: size}, {Off: 0, Len: 0}, {Off: size, Len: 0}, {Off: size, Len: -1},
		{Off: size / 2, Len: -1}, {Off: size / 2, Len: -7}, {Off: size / 2, Len: size - size/2}, {Off: size / 3, Len: size / 3},
	}
	if size > 0 {
		rs = append(rs, chunk.Range{Off: 0, Len: 1}, chunk.Range{Off: size - 1, Len: 1}, chunk.Range{Off: size - 1, Len: -1})
	}
	if size > 64<<10 { // across the 64 KiB checksum blocks of a disk
		rs = append(rs, chunk.Range{Off: 64<<10 - 1, Len: 2}, chunk.Range{Off: 64 << 10, Len: 64 << 10}, chunk.Range{Off: 1, Len: 128 << 10})
	}
	return rs
}

func testVersionsOfPut(e *env) {
	for range e.prots {
		k := e.key()
		low := e.write(k, e.bytes(700))
		mid := e.write(k, e.bytes(90_000))
		high := e.write(k, e.bytes(10))
		e.put(mid)
		e.put(mid) // idempotent
		e.wantStored(mid)

		_, err := e.s.Put(e.ctx, low)
		e.wantKind(err, errs.Stale, "Put below the stored version")
		e.wantStored(mid)
		_, err = e.s.Delete(e.ctx, k, low.Version)
		e.wantKind(err, errs.Stale, "Delete below the stored version")
		e.wantStored(mid)

		e.put(high)
		e.wantStored(high)
		_, err = e.s.Put(e.ctx, mid)
		e.wantKind(err, errs.Stale, "Put of an overwritten version")
		e.put(high)
		e.wantStored(high)
	}
}

func testVersionsOfDelete(e *env) {
	for range e.prots {
		k := e.key()
		w := e.write(k, e.bytes(5000))
		late := e.write(k, e.bytes(6000))
		del := e.version()
		later := e.version()
		e.put(w)
		e.delete(k, del)
		e.wantTombstone(k, del)
		e.delete(k, del) // idempotent
		e.wantTombstone(k, del)

		_, err := e.s.Put(e.ctx, late)
		e.wantKind(err, errs.Stale, "late Put below the tombstone")
		_, err = e.s.Put(e.ctx, w)
		e.wantKind(err, errs.Stale, "repeated Put below the tombstone")
		_, err = e.s.Delete(e.ctx, k, w.Version)
		e.wantKind(err, errs.Stale, "Delete below the tombstone")
		e.wantTombstone(k, del)

		e.delete(k, later)
		e.wantTombstone(k, later)
		again := e.write(k, e.bytes(7000))
		e.put(again) // a new life above the tombstone
		e.wantStored(again)
		_, err = e.s.Delete(e.ctx, k, later)
		e.wantKind(err, errs.Stale, "repeated Delete below a new life")
		e.wantStored(again)
	}
}

// testDeleteOfTheSameVersion: a delete wins over a put of its own version in
// whichever order they come; a put must never be acknowledged and not stored.
func testDeleteOfTheSameVersion(e *env) {
	for range e.prots {
		w := e.write(e.key(), e.bytes(4000))
		e.put(w)
		e.delete(w.Key, w.Version)
		e.wantTombstone(w.Key, w.Version)
		_, err := e.s.Put(e.ctx, w)
		e.wantKind(err, errs.Stale, "Put of the version that was deleted")
		e.wantTombstone(w.Key, w.Version)
		next := e.write(w.Key, e.bytes(4000))
		e.put(next)
		e.wantStored(next)
	}
}

func testDeleteAbsent(e *env) {
	for range e.prots {
		k := e.key()
		late := e.write(k, e.bytes(100))
		del := e.version()
		e.delete(k, del)
		e.wantTombstone(k, del)
		_, err := e.s.Put(e.ctx, late)
		e.wantKind(err, errs.Stale, "Put below a tombstone left on nothing")
		e.wantTombstone(k, del)
	}
}

func testInvalid(e *env) {
	good := e.write(e.key(), e.bytes(10))
	e.put(good)
	badClass, badSchema := good.Key, chunk.NewKey(chunk.Payload{Object: 1, Volume: 1}, chunk.EC(4, 2))
	badClass[19] = 0x60
	badSchema[18] = badSchema[18]&0x0f | 0x50
	for name, change := range map[string]func(w *chunk.Write){
		"version 0":           func(w *chunk.Write) { w.Version = 0 },
		"negative group size": func(w *chunk.Write) { w.GroupSize = -1 },
		"class 6":             func(w *chunk.Write) { w.Key = badClass },
		"schema below width":  func(w *chunk.Write) { w.Key = badSchema },
		"index beyond width":  func(w *chunk.Write) { w.Key = chunk.NewKey(chunk.Payload{}, chunk.Replicas(2)).Sibling(2) },
	} {
		w := e.write(good.Key, e.bytes(20))
		change(&w)
		_, err := e.s.Put(e.ctx, w)
		e.wantKind(err, errs.Invalid, "Put with %s", name)
	}
	_, err := e.s.Delete(e.ctx, good.Key, 0)
	e.wantKind(err, errs.Invalid, "Delete with version 0")
	e.wantStored(good)
}

func testTooLarge(e *env) {
	for range e.prots {
		w := e.write(e.key(), e.bytes(100))
		w.Owner = e.bytes(chunk.OwnerLenMax)
		e.put(w)
		e.wantStored(w)
		over := e.write(w.Key, e.bytes(100))
		over.Owner = e.bytes(chunk.OwnerLenMax + 1)
		_, err := e.s.Put(e.ctx, over)
		e.wantKind(err, errs.TooLarge, "Put with an owner of %d bytes", len(over.Owner))
		e.wantStored(w)
	}
	w := e.write(e.key(), e.bytes(100)) // SizeMax itself is in testSizes
	e.put(w)
	over := e.write(w.Key, make([]byte, chunk.SizeMax+1))
	_, err := e.s.Put(e.ctx, over)
	e.wantKind(err, errs.TooLarge, "Put of %d bytes", len(over.Data))
	e.wantStored(w)
}

// testNotRetained changes the caller's memory as soon as Put returns.
func testNotRetained(e *env) {
	for _, n := range []int{1, 5000, 300_000} {
		for range e.prots {
			w := e.write(e.key(), e.bytes(n))
			mine := w
			mine.Data, mine.Owner = bytes.Clone(w.Data), bytes.Clone(w.Owner)
			e.put(mine)
			if !bytes.Equal(mine.Data, w.Data) || !bytes.Equal(mine.Owner, w.Owner) {
				e.Fatal("Put changed its caller's bytes")
			}
			clear(mine.Data)
			clear(mine.Owner)
			e.wantStored(w)

			_, err := e.s.Put(e.ctx, chunk.Write{Key: w.Key, Version: w.Version - 1, Data: mine.Data, Attrs: mine.Attrs})
			e.wantKind(err, errs.Stale, "Put below the stored version")
			fill(mine.Data, 1)
			e.wantStored(w)
		}
	}
}

// testReadersOwnTheirBytes: what one reader does with its bytes, another does
// not see, and a chunk in hand survives its overwrite and deletion.
func testReadersOwnTheirBytes(e *env) {
	for range e.prots {
		w := e.write(e.key(), e.bytes(70_000))
		e.put(w)
		a, err := e.s.Get(e.ctx, w.Key, chunk.All)
		if err != nil {
			e.Fatal(err)
		}
		b, err := e.s.Get(e.ctx, w.Key, chunk.All)
		if err != nil {
			e.Fatal(err)
		}
		clear(a.Data)
		a.Release()
		e.wantRange(w, chunk.Range{Off: 5, Len: 60_000})
		e.put(e.write(w.Key, e.bytes(70_000)))
		e.delete(w.Key, e.version())
		other := e.write(e.key(), e.bytes(70_000)) // may reuse a's buffer, not b's
		e.put(other)
		e.wantStored(other)
		if !bytes.Equal(b.Data, w.Data) {
			e.Fatal("a chunk that was not released changed in its reader's hands")
		}
		b.Release()
	}
}

func testCancelled(e *env) {
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	late, cancelLate := context.WithDeadline(e.ctx, time.Unix(1, 0))
	defer cancelLate()
	for range e.prots {
		stored := e.write(e.key(), e.bytes(3000))
		e.put(stored)
		for _, c := range []struct {
			ctx  context.Context
			kind errs.Kind
		}{{ctx, errs.Canceled}, {late, errs.Timeout}} {
			_, err := e.s.Get(c.ctx, stored.Key, chunk.All)
			e.wantKind(err, c.kind, "Get with an ended context")
			_, err = e.s.Stat(c.ctx, stored.Key)
			e.wantKind(err, c.kind, "Stat with an ended context")
			w := e.write(e.key(), e.bytes(3000))
			_, err = e.s.Put(c.ctx, w)
			e.wantKind(err, c.kind, "Put with an ended context")
			e.put(w) // whatever happened, the same write again is fine
			e.wantStored(w)
			v := e.version()
			_, err = e.s.Delete(c.ctx, w.Key, v)
			e.wantKind(err, c.kind, "Delete with an ended context")
			e.delete(w.Key, v)
			e.wantTombstone(w.Key, v)
		}
		e.wantStored(stored)
	}
}
