package meta

import (
	"bytes"
	"context"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3/raftpb"

	"torc/internal/errs"
)

func sampleEntry() *entry {
	return &entry{
		base: 41, clock: 1 << 50, bucket: 3,
		outcomes: []outcome{
			{id: requestID{1, 2}, state: outcomeReply, body: []byte("reply")},
			{id: requestID{3}, state: outcomeError, kind: errs.Precondition, body: []byte("no")},
		},
		ops: []op{{key: []byte("a"), value: []byte("1")}, {key: []byte("b"), del: true}, {key: []byte("c"), value: []byte{}}},
	}
}

func TestEntryRoundTrip(t *testing.T) {
	want := sampleEntry()
	got, err := decodeEntry(want.encode())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v; want %+v", got, err, want)
	}
}

// Every damaged byte of an entry and of a record is noticed.
func TestDamageIsNoticed(t *testing.T) {
	enc := sampleEntry().encode()
	rec := seal([]byte("key"), []byte("payload"))
	for i := range enc {
		bad := bytes.Clone(enc)
		bad[i] ^= 0x10
		if _, err := decodeEntry(bad); !errs.Is(err, errs.Corrupt) {
			t.Errorf("entry, byte %d: %v", i, err)
		}
	}
	for i := range rec {
		bad := bytes.Clone(rec)
		bad[i] ^= 0x10
		if _, err := unseal("test", []byte("key"), bad); !errs.Is(err, errs.Corrupt) {
			t.Errorf("record, byte %d: %v", i, err)
		}
	}
	if _, err := unseal("test", []byte("other"), rec); !errs.Is(err, errs.Corrupt) {
		t.Errorf("record under another key: %v", err)
	}
}

func TestEntryMayNotWriteBookkeeping(t *testing.T) {
	e := &entry{ops: []op{{key: []byte{prefixSystem, 1}, value: []byte("x")}}}
	if _, err := decodeEntry(e.encode()); !errs.Is(err, errs.Corrupt) {
		t.Errorf("got %v; want corrupt", err)
	}
}

// A damaged or missing log record keeps the store from opening, whatever its place.
func TestDamagedLogRefusesToOpen(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, db *pebble.DB, last uint64){
		"flipped byte": func(t *testing.T, db *pebble.DB, last uint64) {
			key := logKey(firstGroup, last-2)
			rec, err := get(db, key)
			if err != nil || rec == nil {
				t.Fatalf("no record: %v", err)
			}
			rec[len(rec)-1] ^= 1
			must(t, db.Set(key, rec, pebble.Sync))
		},
		"gap": func(t *testing.T, db *pebble.DB, last uint64) {
			must(t, db.Delete(logKey(firstGroup, last-2), pebble.Sync))
		},
		"lost tail": func(t *testing.T, db *pebble.DB, last uint64) {
			must(t, db.Delete(logKey(firstGroup, last), pebble.Sync))
		},
		"hard state": func(t *testing.T, db *pebble.DB, _ uint64) {
			must(t, db.Delete(raftKey(firstGroup, raftHard), pebble.Sync))
		},
		"data state": func(t *testing.T, db *pebble.DB, _ uint64) {
			must(t, db.Delete(dataKey(sysKey(firstGroup, sysApplied)), pebble.Sync))
		},
		"log's start": func(t *testing.T, db *pebble.DB, _ uint64) {
			must(t, db.Delete(raftKey(firstGroup, raftTrunc), pebble.Sync))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 1, nil)
			for range 5 {
				mustCall(t, c.client(), kindAdd, "n")
			}
			var last uint64
			c.eventually("status", func() bool { last = c.stores[0].Status().Ranges[0].LogLast; return last >= 7 })
			// Closed, not crashed: the applied index must be on disk for the damage
			// to contradict it.
			must(t, c.stores[0].Close(context.Background()))
			c.stores[0] = nil
			cfg, err := c.config(0).withDefaults()
			must(t, err)
			db, err := openPebble(cfg)
			must(t, err)
			damage(t, db, last)
			must(t, db.Close())
			if s, err := Open(context.Background(), c.config(0)); !errs.Is(err, errs.Corrupt) {
				t.Fatalf("opened %v, %v; want corrupt", s, err)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The log answers like a plain slice, whatever is overwritten, cut and reopened.
func TestReplicaLog(t *testing.T) {
	db := memPebble(t)
	state := &appliedState{index: 1, term: 1}
	for kind, payload := range map[byte][]byte{raftHard: encodeHard(hardState(1, 0, 1)), raftTrunc: encodeEntryID(entryID{1, 1})} {
		must(t, db.Set(raftKey(9, kind), seal(raftKey(9, kind), payload), nil))
	}
	l, err := openLog(db, 9, state)
	must(t, err)
	write := func(term uint64, first, n uint64) {
		b := db.NewBatch()
		var ents []*raftpb.Entry
		for i := range n {
			index, typ := first+i, raftpb.EntryNormal
			ents = append(ents, &raftpb.Entry{Index: &index, Term: &term, Type: &typ, Data: bytes.Repeat([]byte{byte(term)}, 300<<10)})
		}
		must(t, l.append(b, ents))
		must(t, b.Commit(nil))
	}
	write(2, 2, 30) // more than is kept in memory
	write(3, 20, 5) // overwrites 20 to 31
	check := func(first, last uint64) {
		t.Helper()
		if l.trunc.index+1 != first || l.last.index != last || l.bytes != int64(last+1-first)*300<<10 {
			t.Fatalf("log from %d to %d, %d bytes; want %d to %d", l.trunc.index+1, l.last.index, l.bytes, first, last)
		}
		for i := first; i <= last; i++ {
			want := uint64(2)
			if i >= 20 {
				want = 3
			}
			ents, err := l.Entries(i, i+1, 1)
			if term, terr := l.Term(i); err != nil || terr != nil || term != want || len(ents) != 1 || ents[0].GetIndex() != i || ents[0].Data[0] != byte(want) {
				t.Fatalf("entry %d: term %d, %v, %v", i, term, err, terr)
			}
		}
		if ents, err := l.Entries(first, last+1, 1<<40); err != nil || uint64(len(ents)) != last+1-first {
			t.Fatalf("%d entries, %v", len(ents), err)
		}
		if ents, err := l.Entries(first, last+1, 700<<10); err != nil || len(ents) != 2 {
			t.Fatalf("%d entries in 700 KiB, %v", len(ents), err)
		}
	}
	check(2, 24)
	b := db.NewBatch()
	must(t, l.truncate(b, 10))
	must(t, b.Commit(nil))
	check(11, 24)
	state.index = 12
	l, err = openLog(db, 9, state)
	must(t, err)
	check(11, 24)
	if l.hard.GetCommit() != 12 {
		t.Fatalf("committed %d; want what was applied, 12", l.hard.GetCommit())
	}
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add(sampleEntry().encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		// Past the checksum, so that the fields are reached.
		if len(b) > 5 {
			b = seal(nil, b[5:])
		}
		e, err := decodeEntry(b)
		if err != nil {
			if !errs.Is(err, errs.Corrupt) {
				t.Fatalf("kind of %v", err)
			}
			return
		}
		again, err := decodeEntry(e.encode())
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("%+v became %+v, %v", e, again, err)
		}
	})
}

func FuzzDecodeCommand(f *testing.F) {
	f.Add(commandHead{group: 1, id: requestID{1}, kind: "a.b", key: []byte("k")}.encode())
	f.Add(chunkHead{from: frameHead{"c", "s"}, group: 1, seq: 3}.encode())
	f.Add(hello{from: frameHead{"c", "s"}, voters: "a\nb"}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := decodeCommandHead(b); err == nil {
			if again, err := decodeCommandHead(h.encode()); err != nil || !reflect.DeepEqual(again, h) {
				t.Fatalf("%+v became %+v, %v", h, again, err)
			}
		}
		// The others must not panic, and must bound what they allocate.
		_, _ = decodeChunkHead(b)
		_, _ = decodeHello(b)
		_, _ = decodeFrameHead(b)
		_, _ = decodeMessages(b)
		_, _ = decodeAnswer(b, b)
		_, _ = decodeAppliedState(b)
	})
}
