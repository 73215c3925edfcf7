package object

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"torc/chunk"
	"torc/internal/clock"
	"torc/internal/errs"
	"torc/meta"
)

// samples returns one filled and one empty message of every kind that is stored
// or sent.
func samples() []message {
	e := Extent{Base: Base{7, 1 << 39}, Size: 1 << 30, StripeSize: 8 << 20, Protection: chunk.EC(9, 3)}
	at := clock.MakeTimestamp(time.UnixMilli(1_790_000_000_123), 5)
	part := Part{Number: 3, Size: e.Size, ETag: "e", Checksums: []Checksum{{"SHA256", "FULL_OBJECT", "eA=="}},
		Modified: time.UnixMilli(1_790_000_000_123).UTC(), Extent: e}
	md := Metadata{System: map[string]string{"Content-Type": "a/b"}, User: map[string]string{"b": "", "a": "é"}}
	head := objectHead{Size: 9, ETag: "x-1", At: at, Class: "C", Checksums: part.Checksums}
	debt := []StripeDebt{{3, 1, 0}, {9, 0, 2}}
	return []message{
		&Bucket{ID: 1 << 40, Name: "b", Owner: "123456789012", Region: "r", Created: part.Modified},
		&objectRecord{Head: head, Meta: md, Part: []Part{part, part}},
		&objectRecord{},
		&part,
		&uploadRecord{Started: at, Class: "C", Meta: md, ChecksumAlgorithm: "CRC32", ChecksumType: "COMPOSITE"},
		&outcomeRecord{List: "0123456789abcdef", Head: head},
		&purgeRecord{At: at, NotBefore: at, Attempts: 3, Extent: e},
		&debtRecord{Since: at, Extent: e, Stripes: debt},
		&sessionRecord{Name: "s1", Opened: at, Closed: at, Swept: []string{"s1", "s2"}},
		&counter{N: 1 << 60},
		&Owner{Bucket: 5, Key: "k", Upload: "u", Part: 10000},
		&putCommand{Bucket: bucketRef{"b", 1}, Key: "k", Body: written{e, debt, Seal{"e", part.Checksums}}, Meta: md, Class: "C",
			If: WriteCondition{IfMatch: []string{"*"}, IfNoneMatch: []string{"a", "b"}}},
		&partCommand{Bucket: bucketRef{"b", 1}, Key: "k", Upload: "u", Number: 4, Body: written{Extent: e}},
		&completeCommand{Bucket: bucketRef{"b", 1}, Key: "k", Upload: "u", Parts: []chosenPart{{1, e.Base}}, List: "l", Seal: Seal{ETag: "e"}},
		&listQuery{Bucket: bucketRef{"b", 1}, Prefix: "p", Delimiter: "/", After: "a", From: "f", Limit: 1000},
		&listReply{Count: 1, Raw: []byte("raw"), More: true, Resume: "r"},
		&uploadsReply{Entries: []uploadEntry{{Key: "k", Upload: "u", Record: uploadRecord{Started: at}}}, More: true, Resume: "x"},
		&deleteReply{Done: []itemAnswer{{}, {errs.Precondition, NotHeld, "no"}}},
		&refsQuery{Refs: []reference{{Owner{Bucket: 5, Key: "k"}, e.Base}}},
		&purgePage{Due: []purgeEntry{{[]byte("anchor"), purgeRecord{At: at, Extent: e}}}, Next: []byte("n"), Seen: 4, Bytes: 9, Oldest: time.Hour},
		&purgeDone{Later: []purgeEntry{{[]byte("anchor"), purgeRecord{At: at, Extent: e}}}, Delay: []time.Duration{time.Second}},
		&debtPage{Entries: []debtEntry{{[]byte("anchor"), debtRecord{Since: at, Extent: e, Stripes: debt}}}, Next: []byte("n")},
		&sessionsReply{Sessions: []Session{{ID: 4, Name: "n", Opened: part.Modified, Age: time.Second, Swept: []string{"x"}}}, More: true},
	}
}

func blank(m message) message { return reflect.New(reflect.TypeOf(m).Elem()).Interface().(message) }

// TestRoundTrip: what is written is read back, and no shorter or longer bytes are.
func TestRoundTrip(t *testing.T) {
	for _, m := range samples() {
		if e, ok := m.(*objectRecord); ok && e.Part == nil { // its zero extent list is fine, an extent of nothing is not
			e.Head.At = 1
		}
		b := encode(m)
		got := blank(m)
		if err := decode("x", b, got); err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		if !reflect.DeepEqual(m, got) {
			t.Fatalf("%T:\nwrote %+v\n read %+v", m, m, got)
		}
		for i := range b {
			if err := decode("x", b[:i], blank(m)); !errs.Is(err, errs.Corrupt) {
				t.Fatalf("%T: the first %d of %d bytes decode: %v", m, i, len(b), err)
			}
		}
		if err := decode("x", append(b, 0), blank(m)); !errs.Is(err, errs.Corrupt) {
			t.Fatalf("%T: a byte too many decodes: %v", m, err)
		}
		b[0]++
		if err := decode("x", b, blank(m)); !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "version") {
			t.Fatalf("%T: another version decodes: %v", m, err)
		}
	}
}

// TestGoldenRecord pins the bytes of format 1: records outlive builds.
func TestGoldenRecord(t *testing.T) {
	rec := objectRecord{
		Head: objectHead{Size: 300, ETag: "ab", At: 0x0102030405060708, Class: "", Checksums: []Checksum{{"CRC32", "", "eA=="}}},
		Meta: Metadata{User: map[string]string{"b": "2", "a": "1"}},
		Part: []Part{{Size: 300, Extent: Extent{Base: Base{1, 2}, Size: 300, StripeSize: 256, Protection: chunk.EC(4, 2)}}},
	}
	want := "\x01" + // version
		"\x1c" + "\x01\xac\x02" + "\x02ab" + "\x01\x02\x03\x04\x05\x06\x07\x08" + "\x00" + "\x01\x05CRC32\x00\x04eA==" +
		"\x00" + "\x02\x01a\x011\x01b\x012" +
		"\x01" + "\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00" + "\x01\x02\xac\x02\x80\x02\x00\x04\x02"
	if got := string(encode(&rec)); got != want {
		t.Fatalf("record is\n%q, want\n%q", got, want)
	}
}

// FuzzDecode: any bytes either decode to something that encodes to bytes that
// decode to the same, or are refused; and no bytes allocate out of proportion.
func FuzzDecode(f *testing.F) {
	all := samples()
	for i, m := range all {
		f.Add(i, encode(m))
	}
	f.Fuzz(func(t *testing.T, i int, b []byte) {
		m := blank(all[uint(i)%uint(len(all))])
		if err := decode("x", b, m); err != nil {
			if !errs.Is(err, errs.Corrupt) {
				t.Fatalf("kind of %v", err)
			}
			return
		}
		again := blank(m)
		if err := decode("x", encode(m), again); err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}

// FuzzHandlers: no body makes a handler panic.
func FuzzHandlers(f *testing.F) {
	for i, m := range samples() {
		f.Add(i, encode(m))
	}
	hs := Handlers()
	f.Fuzz(func(t *testing.T, i int, body []byte) {
		h := hs[uint(i)%uint(len(hs))]
		db := meta.NewMemory(clock.NewManual(time.UnixMilli(1_790_000_000_000)), h)
		if h.ReadOnly {
			_, _ = db.Query(ctx, meta.Command{Kind: h.Kind, Body: body})
			return
		}
		_, _ = db.Do(ctx, meta.Command{Kind: h.Kind, Body: body})
	})
}

// TestReasonsTravel: a reason survives wrapping and flattening, and no key can
// forge one.
func TestReasonsTravel(t *testing.T) {
	for _, r := range []Reason{NoBucket, NoKey, partsChanged, ""} {
		err := errs.Wrap("deeper", fail(r, errs.Conflict, "op", "key %q", "reason(no such upload): x"))
		got := fromWire("object.x", flatten(toWire(err)))
		if ReasonOf(got) != r || !errs.Is(got, errs.Conflict) || !decided(got) || strings.Contains(got.Error(), reasonOpen+string(r)+reasonClose) && r != "" {
			t.Fatalf("%q came back as %q: %v", r, ReasonOf(got), got)
		}
	}
	plain := fromWire("object.x", errs.E("meta.Do", errs.Unknown, "no quorum"))
	if ReasonOf(plain) != "" || decided(plain) || !errs.Is(plain, errs.Unknown) {
		t.Fatalf("%v is taken for a handler's answer", plain)
	}
	forged := fromWire("object.x", flatten(toWire(errs.E("op", errs.Invalid, "%s", "reason(no such key): x"))))
	if ReasonOf(forged) != "" {
		t.Fatalf("a key forged the reason %q", ReasonOf(forged))
	}
	r := newRig(t)
	r.bucket("b")
	_, _, err := r.svc.Stat(ctx, "b", "reason(no such bucket): ")
	wantKind(t, err, errs.NotFound, NoKey)
}
