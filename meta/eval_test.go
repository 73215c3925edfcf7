package meta

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"torc/internal/clock"
	"torc/internal/errs"
)

func memPebble(t testing.TB) *pebble.DB {
	t.Helper()
	db, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), Logger: pebbleLogger{slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func newBatch(db *pebble.DB, cmds ...*command) *batch {
	now := clock.Timestamp(1000)
	handlers := map[Kind]Handler{}
	for _, h := range testHandlers() {
		handlers[h.Kind] = h
	}
	return &batch{
		group: firstGroup, base: db, handlers: handlers, cmds: cmds, ceiling: 500,
		state: appliedState{index: 7, clock: 400, desc: newDescriptor([]Peer{{ID: "s"}})},
		tick:  func() clock.Timestamp { now++; return now },
	}
}

func cmd(kind Kind, parts ...string) *command {
	return &command{ctx: context.Background(), id: newRequestID(), kind: kind, body: pack(parts...), done: make(chan answer, 1)}
}

func evaluateOK(t *testing.T, b *batch) evaluated {
	t.Helper()
	res, err := b.evaluate()
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// Later commands of a group see what earlier ones wrote, and nothing of one that failed.
func TestGroupIsSerial(t *testing.T) {
	res := evaluateOK(t, newBatch(memPebble(t),
		cmd(kindPut, "a", "1"), cmd(kindRefuse, "a"), cmd(kindPut, "a", "2"), cmd(kindPanic), cmd(kindNoop, "a"), cmd(kindDel, "b")))
	var got []string
	for _, a := range res.answers {
		got = append(got, fmt.Sprintf("%s/%v", a.reply, errs.KindOf(a.err)))
	}
	if string(res.answers[0].reply) != "" || string(res.answers[2].reply) != "1" || string(res.answers[4].reply) != "2" {
		t.Errorf("replies %q", got)
	}
	if !errs.Is(res.answers[1].err, errs.Precondition) || !errs.Is(res.answers[3].err, errs.Other) {
		t.Errorf("errors %v, %v", res.answers[1].err, res.answers[3].err)
	}
	if len(res.entry.ops) != 2 || string(res.entry.ops[0].value) != "2" || !res.entry.ops[1].del {
		t.Errorf("writes %+v; want a=2 and the deletion of b", res.entry.ops)
	}
	if len(res.entry.outcomes) != 3 {
		t.Errorf("%d outcomes; want those of the three commands that wrote", len(res.entry.outcomes))
	}
	if res.entry.base != 7 || res.entry.clock != 500 {
		t.Errorf("base %d, clock %d", res.entry.base, res.entry.clock)
	}
}

func TestGroupOfOneRequestTwice(t *testing.T) {
	c := cmd(kindAdd, "n")
	res := evaluateOK(t, newBatch(memPebble(t), c, c))
	if !bytes.Equal(res.answers[0].reply, res.answers[1].reply) || len(res.entry.outcomes) != 1 || len(res.entry.ops) != 1 {
		t.Errorf("answers %v, entry %+v", res.answers, res.entry)
	}
}

// A caller that has gone leaves nothing behind, least of all a remembered refusal.
func TestGroupSkipsWhoHasGone(t *testing.T) {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	first := cmd(kindAdd, "n")
	first.ctx, first.retry = gone, true
	second := cmd(kindAdd, "n")
	second.id = first.id
	res := evaluateOK(t, newBatch(memPebble(t), first))
	if res.entry != nil || res.answers[0].route != routeLost {
		t.Errorf("alone: %+v, %+v", res.entry, res.answers)
	}
	res = evaluateOK(t, newBatch(memPebble(t), first, second))
	if res.answers[0].route != routeLost || !bytes.Equal(res.answers[1].reply, be64(1)) || len(res.entry.outcomes) != 1 {
		t.Errorf("with a later attempt: %+v, %+v", res.entry, res.answers)
	}
}

func TestGroupWithoutEffects(t *testing.T) {
	res := evaluateOK(t, newBatch(memPebble(t), cmd(kindRefuse, "a"), cmd(kindNoop, "a")))
	if res.entry != nil || len(res.answers) != 2 {
		t.Errorf("entry %+v, %d answers", res.entry, len(res.answers))
	}
	retry := cmd(kindRefuse, "a")
	retry.retry = true
	res = evaluateOK(t, newBatch(memPebble(t), retry))
	if res.entry == nil || len(res.entry.outcomes) != 1 || res.entry.outcomes[0].state != outcomeError || len(res.entry.ops) != 0 {
		t.Errorf("a retried command's refusal was not remembered: %+v", res.entry)
	}
}

func TestGroupEndsWhenBigEnough(t *testing.T) {
	var cmds []*command
	for i := range 10 {
		cmds = append(cmds, cmd(kindPut, fmt.Sprint(i), strings.Repeat("x", groupBytesTarget/2)))
	}
	if res := evaluateOK(t, newBatch(memPebble(t), cmds...)); len(res.answers) != 2 {
		t.Errorf("%d commands in the group; want 2", len(res.answers))
	}
}

func TestCommandTooLarge(t *testing.T) {
	b := newBatch(memPebble(t), cmd("test.huge"), cmd(kindPut, "a", "1"))
	b.handlers["test.huge"] = Handler{Kind: "test.huge", Eval: func(txn Txn, _ []byte) ([]byte, error) {
		for i := range 4 {
			txn.Set([]byte{'h', byte(i)}, make([]byte, ValueLenMax))
		}
		return nil, nil
	}}
	res := evaluateOK(t, b)
	if !errs.Is(res.answers[0].err, errs.TooLarge) || len(res.entry.ops) != 1 {
		t.Errorf("answer %v, %d writes", res.answers[0].err, len(res.entry.ops))
	}
}

// An applied command is answered from the dedupe table, in this bucket and the
// two before it, and evaluated again after that.
func TestRememberedOutcome(t *testing.T) {
	db := memPebble(t)
	c := cmd(kindAdd, "n")
	key := dedupeKey(firstGroup, 5, c.id)
	enc := encoder{}
	outcome{state: outcomeReply, body: []byte("before")}.encode(&enc)
	if err := db.Set(dataKey(key), seal(key, enc.b), nil); err != nil {
		t.Fatal(err)
	}
	for bucket, known := range map[uint32]bool{4: false, 5: true, 6: true, 7: true, 8: false} {
		b := newBatch(db, c)
		b.bucket = bucket
		res := evaluateOK(t, b)
		if got := string(res.answers[0].reply) == "before"; got != known || (res.entry == nil) != known {
			t.Errorf("bucket %d: remembered %v, want %v", bucket, got, known)
		}
	}
}

// The overlay behaves like a sorted map, with rollback, over any base.
func TestOverlayAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	key := func() []byte { return []byte{PrefixPlain, byte(rng.IntN(20))} }
	for range 200 {
		db := memPebble(t)
		model := map[string]string{}
		for range rng.IntN(15) {
			k, v := key(), fmt.Sprint(rng.IntN(100))
			model[string(k)] = v
			if err := db.Set(dataKey(k), []byte(v), nil); err != nil {
				t.Fatal(err)
			}
		}
		o := newOverlay(db)
		for range 5 {
			before := map[string]string{}
			for k, v := range model {
				before[k] = v
			}
			o.mark()
			for range rng.IntN(6) {
				k, v := key(), fmt.Sprint(rng.IntN(100))
				if rng.IntN(3) == 0 {
					delete(model, string(k))
					o.write(op{key: k, del: true})
				} else {
					model[string(k)] = v
					o.write(op{key: k, value: []byte(v)})
				}
			}
			if rng.IntN(3) == 0 {
				o.rollback()
				model = before
			}
			compareOverlay(t, o, model, Span{From: key(), To: key()})
			compareOverlay(t, o, model, Span{From: []byte{prefixLocal}})
		}
	}
}

func compareOverlay(t *testing.T, o *overlay, model map[string]string, s Span) {
	t.Helper()
	var want, got []string
	for k, v := range model {
		if k >= string(s.From) && (s.To == nil || k < string(s.To)) {
			want = append(want, k+v)
		}
	}
	sort.Strings(want)
	if err := o.scan(s, func(k, v []byte) bool { got = append(got, string(k)+string(v)); return true }); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("scan %x: %q, want %q", s, got, want)
	}
	size := 0
	for _, w := range o.ops() {
		size += w.size()
		v, err := o.get(w.key)
		if m, ok := model[string(w.key)]; err != nil || ok != (v != nil) || string(v) != m {
			t.Fatalf("get %x: %q, %v; want %q", w.key, v, err, m)
		}
	}
	if size != o.bytes {
		t.Fatalf("counted %d bytes of %d", o.bytes, size)
	}
}
