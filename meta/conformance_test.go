package meta

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"torc/internal/clock"
	"torc/internal/errs"
)

// Every DB behaves the same: the model in memory, and three replicas.
func TestConformance(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		conformance(t, NewMemory(clock.System{}, testHandlers()...))
	})
	t.Run("three replicas", func(t *testing.T) {
		conformance(t, newCluster(t, 3, nil).client())
	})
	t.Run("one replica", func(t *testing.T) {
		conformance(t, newCluster(t, 1, nil).client())
	})
}

func conformance(t *testing.T, db DB) {
	want := func(kind Kind, reply string, parts ...string) {
		t.Helper()
		if got, err := call(db, kind, parts...); err != nil || got != reply {
			t.Fatalf("%s %.40q: got %.40q, %v; want %.40q", kind, parts, got, err, reply)
		}
	}
	refused := func(k errs.Kind, kind Kind, parts ...string) {
		t.Helper()
		if got, err := call(db, kind, parts...); !errs.Is(err, k) {
			t.Fatalf("%s %.40q: got %.40q, %v; want %v", kind, parts, got, err, k)
		}
	}
	want(kindGet, "", "a")
	want(kindPut, "", "a", "1")
	want(kindPut, "1", "a", "2")
	want(kindGet, "2", "a")
	want(kindPut, "", "c", "3")
	want(kindPut, "", "b", "")
	want(kindScan, "a=2 b= c=3 ", "", "")
	want(kindScan, "a=2 b= ", "a", "c")
	want(kindScan, "", "d", "")
	want(kindDel, "", "b")
	want(kindDel, "", "b")
	want(kindScan, "a=2 c=3 ", "", "")
	want(kindNoop, "2", "a")

	refused(errs.Precondition, kindRefuse, "a")
	want(kindGet, "2", "a")
	refused(errs.Unsupported, "test.unknown", "a")
	refused(errs.Other, kindPanic)
	want(kindGet, "", "panicked")
	refused(errs.Invalid, kindPut, "\x00sys", "x")
	refused(errs.Invalid, kindPut, "", "x")
	refused(errs.TooLarge, kindPut, string(make([]byte, KeyLenMax+1))+"k", "x")
	refused(errs.TooLarge, kindPut, "k"+string(make([]byte, KeyLenMax)), "x")
	refused(errs.TooLarge, kindPut, "big", string(make([]byte, ValueLenMax+1)))
	want(kindPut, "", "big", string(make([]byte, ValueLenMax)))
	want(kindDel, "", "big")

	local := string(LocalKey(7, []byte("c\x00x"), []byte("s")))
	want(kindPut, "", local, "part")
	want(kindGet, "part", local)
	want(kindScan, "a=2 c=3 ", "a", "")
	span := LocalSpan(7, []byte("c"), []byte("d"))
	want(kindScan, local+"=part ", string(span.From), string(span.To))

	concurrentAdds(t, db)
	clockOnlyGoesForward(t, db)
}

func concurrentAdds(t *testing.T, db DB) {
	const clients, each = 8, 20
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range each {
				if _, err := call(db, kindAdd, "sum"); err != nil {
					t.Errorf("add: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if got, err := call(db, kindAdd, "sum"); err != nil || got != string(be64(clients*each+1)) {
		t.Fatalf("sum is %x, %v; want %d", got, err, clients*each+1)
	}
}

func clockOnlyGoesForward(t *testing.T, db DB) {
	last := ""
	start := time.Now()
	for i := range 40 {
		kind := kindNow
		if i%3 != 0 {
			kind = kindNowQ
		}
		now, err := call(db, kind)
		if err != nil || now <= last {
			t.Fatalf("%s: clock %x after %x, %v", kind, now, last, err)
		}
		last = now
	}
	at := clock.Timestamp(fromBE64(last)).Time()
	if d := at.Sub(start); d < -2*time.Second || d > time.Minute {
		t.Fatalf("the clock is %s off", d)
	}
}

func be64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func fromBE64(s string) uint64 { return binary.BigEndian.Uint64([]byte(s)) }
