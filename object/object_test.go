package object

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"torc/chunk"
	"torc/internal/errs"
)

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(uint64(n), 7))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// TestPutSizes covers the edges of small, stripe and their multiples, with the
// length declared or not.
func TestPutSizes(t *testing.T) {
	r := newRig(t)
	r.bucket("b")
	for _, size := range []int{0, 1, 63, 64, 65, 99, 100, 101, 127, 128, 129, 640, 1000} {
		for _, declared := range []bool{true, false} {
			data := random(size)
			bd := body(data)
			if !declared {
				bd.Size = -1
			}
			bd.Reader = iotest.OneByteReader(bd.Reader)
			meta := Metadata{System: map[string]string{"Content-Type": "x/y"}, User: map[string]string{"a": "1", "b": ""}}
			put, err := r.svc.Put(ctx, PutRequest{Bucket: "b", Key: "k", Body: bd, Meta: meta, Class: "STANDARD_IA"})
			if err != nil {
				t.Fatal(size, declared, err)
			}
			_, o, err := r.svc.Stat(ctx, "b", "k")
			if err != nil {
				t.Fatal(err)
			}
			if o.Size != int64(size) || o.ETag != etag(data) || o.Class != "STANDARD_IA" || !o.Modified.Equal(put.Modified) ||
				!maps.Equal(o.Meta.User, meta.User) || !maps.Equal(o.Meta.System, meta.System) {
				t.Fatalf("size %d: stat %+v", size, o)
			}
			if size == 0 {
				if len(o.Parts) != 0 {
					t.Fatalf("empty object has parts %v", o.Parts)
				}
			} else if want := r.svc.policy(int64(size)); o.Parts[0].Extent.Protection != want || len(put.Parts) != 1 {
				t.Fatalf("size %d is protected by %v, want %v", size, o.Parts[0].Extent.Protection, want)
			}
			got, err := r.read("b", "k")
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("size %d declared %v: read %d bytes, %v", size, declared, len(got), err)
			}
		}
	}
	step(t, r.purger())
	if n, _ := r.live(); n != 16 { // the last one: 1000 bytes in stripes of 64
		t.Fatalf("%d chunks live after the purge, want 16", n)
	}
}

// TestReadRanges compares every range of an object of several parts with the bytes.
func TestReadRanges(t *testing.T) {
	r := newRig(t)
	r.bucket("b")
	data := random(300)
	o := r.put("b", "k", data)
	for off := int64(0); off <= 300; off += 7 {
		for n := int64(0); off+n <= 300; n += 13 {
			var w bytes.Buffer
			if err := r.svc.WriteRange(ctx, &w, o, off, n); err != nil || !bytes.Equal(w.Bytes(), data[off:off+n]) {
				t.Fatalf("range %d+%d: %d bytes, %v", off, n, w.Len(), err)
			}
			rd := r.svc.Open(ctx, o, off, n)
			got, err := io.ReadAll(iotest.HalfReader(rd))
			if err != nil || !bytes.Equal(got, data[off:off+n]) {
				t.Fatalf("open %d+%d: %d bytes, %v", off, n, len(got), err)
			}
			if err := rd.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, bad := range [][2]int64{{-1, 1}, {0, 301}, {301, 0}, {1, -1}, {1 << 62, 1 << 62}} {
		wantKind(t, r.svc.WriteRange(ctx, io.Discard, o, bad[0], bad[1]), errs.OutOfRange, "")
		rd := r.svc.Open(ctx, o, bad[0], bad[1])
		if _, err := rd.Read(make([]byte, 1)); !errs.Is(err, errs.OutOfRange) {
			t.Fatalf("open %v: %v", bad, err)
		}
		_ = rd.Close()
	}
}

// TestReadAfterPurge: bytes purged under a reader are a clean error.
func TestReadAfterPurge(t *testing.T) {
	r := newRig(t)
	r.bucket("b")
	o := r.put("b", "k", random(1000))
	rd := r.svc.Open(ctx, o, 0, o.Size)
	if _, err := io.ReadFull(rd, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if err := r.svc.Delete(ctx, "b", DeleteItem{Key: "k"}); err != nil {
		t.Fatal(err)
	}
	step(t, r.purger())
	n, err := io.Copy(io.Discard, rd)
	if !errs.Is(err, errs.NotFound) || n >= 990 {
		t.Fatalf("read %d bytes, %v", n, err)
	}
	_ = rd.Close()
	if _, err := rd.Read(make([]byte, 1)); !errs.Is(err, errs.Closed) {
		t.Fatalf("read after close: %v", err)
	}
}

// TestBadBodies: whatever is wrong with a body, the object that was there
// stays, and no byte of the new one does.
func TestBadBodies(t *testing.T) {
	r := newRig(t)
	r.bucket("b")
	old := random(200)
	r.put("b", "k", old)
	before, _ := r.live()
	boom := errors.New("boom")
	for _, c := range []struct {
		name   string
		body   Body
		kind   errs.Kind
		reason Reason
		is     error
	}{
		{"short", bodyOf(bytes.NewReader(random(150)), 151), errs.Invalid, BodyTooShort, nil},
		{"empty", bodyOf(bytes.NewReader(nil), 151), errs.Invalid, BodyTooShort, nil},
		{"long", bodyOf(bytes.NewReader(random(152)), 151), errs.Invalid, BodyTooLong, nil},
		{"longer than empty", bodyOf(bytes.NewReader(random(1)), 0), errs.Invalid, BodyTooLong, nil},
		{"fails", bodyOf(io.MultiReader(bytes.NewReader(random(150)), iotest.ErrReader(boom)), 200), errs.Other, "", boom},
		{"fails at the end", bodyOf(io.MultiReader(bytes.NewReader(random(150)), iotest.ErrReader(boom)), 150), errs.Other, "", boom},
		{"fails, unknown length", bodyOf(io.MultiReader(bytes.NewReader(random(150)), iotest.ErrReader(boom)), -1), errs.Other, "", boom},
		{"fails at once, unknown length", bodyOf(iotest.ErrReader(boom), -1), errs.Other, "", boom},
		{"cut off", bodyOf(io.MultiReader(bytes.NewReader(random(70)), iotest.ErrReader(io.ErrUnexpectedEOF)), -1), errs.Other, "", io.ErrUnexpectedEOF},
		{"never ends", bodyOf(idleReader{}, 5), errs.Other, "", io.ErrNoProgress},
		{"seal refuses", Body{Reader: bytes.NewReader(random(500)), Size: 500,
			Seal: func() (Seal, error) { return Seal{}, boom }}, errs.Other, "", boom},
		{"too large", bodyOf(bytes.NewReader(nil), PutSizeMax+1), errs.TooLarge, SizeTooLarge, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := r.svc.Put(ctx, PutRequest{Bucket: "b", Key: "k", Body: c.body})
			wantKind(t, err, c.kind, c.reason)
			if c.is != nil && !errors.Is(err, c.is) {
				t.Fatalf("error %v is not %v", err, c.is)
			}
			if got, err := r.read("b", "k"); err != nil || !bytes.Equal(got, old) {
				t.Fatalf("the old object reads %d bytes, %v", len(got), err)
			}
			if n, _ := r.live(); n != before {
				t.Fatalf("%d chunks, %d before", n, before)
			}
		})
	}
}

type idleReader struct{}

func (idleReader) Read([]byte) (int, error) { return 0, nil }

func TestBadNames(t *testing.T) {
	r := newRig(t)
	r.bucket("b")
	put := func(key string, m Metadata) error {
		_, err := r.svc.Put(ctx, PutRequest{Bucket: "b", Key: key, Meta: m, Body: body(nil)})
		return err
	}
	wantKind(t, put("", Metadata{}), errs.Invalid, "")
	wantKind(t, put(strings.Repeat("é", 513), Metadata{}), errs.Invalid, KeyTooLong)
	wantKind(t, put("\xff", Metadata{}), errs.Invalid, "")
	wantKind(t, put("k", Metadata{User: map[string]string{"a": strings.Repeat("x", UserMetaLenMax)}}), errs.TooLarge, "")
	if err := put(strings.Repeat("k", KeyLenMax), Metadata{User: map[string]string{"a": strings.Repeat("x", UserMetaLenMax-1)}}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []BucketName{"", BucketName(strings.Repeat("b", 256)), "a\x00b"} {
		_, err := r.svc.CreateBucket(ctx, name, "o", "")
		wantKind(t, err, errs.Invalid, "")
		_, err = r.svc.Bucket(ctx, name)
		wantKind(t, err, errs.NotFound, NoBucket)
	}
	_, err := r.svc.Put(ctx, PutRequest{Bucket: "none", Key: "k", Body: body(random(300))})
	wantKind(t, err, errs.NotFound, NoBucket)
	_, _, err = r.svc.Stat(ctx, "b", "none")
	wantKind(t, err, errs.NotFound, NoKey)
}

func TestConditions(t *testing.T) {
	r := newRig(t)
	r.bucket("b")
	first := r.put("b", "k", random(200))
	put := func(key string, c WriteCondition) error {
		_, err := r.svc.Put(ctx, PutRequest{Bucket: "b", Key: key, If: c, Body: body(random(300))})
		return err
	}
	wantKind(t, put("k", WriteCondition{IfNoneMatch: []string{"*"}}), errs.Precondition, NotHeld)
	wantKind(t, put("k", WriteCondition{IfNoneMatch: []string{"x", first.ETag}}), errs.Precondition, NotHeld)
	wantKind(t, put("k", WriteCondition{IfMatch: []string{"x"}}), errs.Precondition, NotHeld)
	wantKind(t, put("none", WriteCondition{IfMatch: []string{"*"}}), errs.NotFound, NoKey)
	wantKind(t, r.svc.Delete(ctx, "b", DeleteItem{Key: "k", IfMatch: "x"}), errs.Precondition, NotHeld)
	wantKind(t, r.svc.Delete(ctx, "b", DeleteItem{Key: "none", IfMatch: "x"}), errs.NotFound, NoKey)
	if n, _ := r.live(); n != 4 {
		t.Fatalf("%d chunks live, want the first object's 4", n)
	}
	for _, err := range []error{
		put("k", WriteCondition{IfMatch: []string{"x", first.ETag}}),
		put("k", WriteCondition{IfMatch: []string{"*"}}),
		put("new", WriteCondition{IfNoneMatch: []string{"*"}}),
		r.svc.Delete(ctx, "b", DeleteItem{Key: "k", IfMatch: etag(random(300))}),
		r.svc.Delete(ctx, "b", DeleteItem{Key: "k"}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestBuckets(t *testing.T) {
	r := newRig(t)
	b := r.bucket("b1")
	again, err := r.svc.CreateBucket(ctx, "b1", "999999999999", "")
	wantKind(t, err, errs.Exists, BucketExists)
	if again != b {
		t.Fatalf("the bucket in the way is %+v, want %+v", again, b)
	}
	for _, n := range []BucketName{"b3", "b2", "c1"} {
		r.bucket(n)
	}
	if _, err := r.svc.CreateBucket(ctx, "b25", "12345678901", ""); err != nil { // an owner that is a prefix of the other
		t.Fatal(err)
	}
	names := func(prefix, after string, limit int) (string, bool) {
		all, more, err := r.svc.Buckets(ctx, "123456789012", prefix, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		var s []string
		for _, b := range all {
			s = append(s, string(b.Name))
		}
		return strings.Join(s, " "), more
	}
	for _, c := range []struct {
		prefix, after string
		limit         int
		want          string
		more          bool
	}{
		{"", "", 10, "b1 b2 b3 c1", false},
		{"b", "", 2, "b1 b2", true},
		{"b", "b2", 2, "b3", false},
		{"c", "b2", 2, "c1", false},
		{"", "c1", 2, "", false},
		{"", "", 0, "", false},
		{"x", "", 5, "", false},
	} {
		if got, more := names(c.prefix, c.after, c.limit); got != c.want || more != c.more {
			t.Fatalf("%+v: got %q %v", c, got, more)
		}
	}
	r.put("b1", "k", nil)
	wantKind(t, r.svc.DeleteBucket(ctx, "b1"), errs.Conflict, BucketNotEmpty)
	if _, err := r.svc.CreateUpload(ctx, UploadRequest{Bucket: "b2", Key: "k"}); err != nil {
		t.Fatal(err)
	}
	wantKind(t, r.svc.DeleteBucket(ctx, "b2"), errs.Conflict, BucketNotEmpty)
	if err := r.svc.DeleteBucket(ctx, "b3"); err != nil {
		t.Fatal(err)
	}
	wantKind(t, r.svc.DeleteBucket(ctx, "b3"), errs.NotFound, NoBucket)
	if got, _ := names("", "", 10); got != "b1 b2 c1" {
		t.Fatalf("buckets %q", got)
	}
}

// TestBucketReplaced: another connector deletes and recreates a bucket behind
// this one's cache.
func TestBucketReplaced(t *testing.T) {
	r := newRig(t)
	r.bucket("b")
	cfg := r.cfg
	cfg.Name = "s2"
	other := r.service(cfg)
	if err := other.DeleteBucket(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	_, err := r.svc.Put(ctx, PutRequest{Bucket: "b", Key: "k", Body: body(random(300))})
	wantKind(t, err, errs.NotFound, NoBucket)
	r.svc.remember(Bucket{ID: 77, Name: "b"})
	if _, err := other.CreateBucket(ctx, "b", "o", ""); err != nil {
		t.Fatal(err)
	}
	_, err = r.svc.Put(ctx, PutRequest{Bucket: "b", Key: "k", Body: body(random(300))})
	wantKind(t, err, errs.Unavailable, BucketReplaced)
	if n, _ := r.live(); n != 0 {
		t.Fatalf("%d chunks of refused puts", n)
	}
	r.put("b", "k", random(300))
	r.svc.remember(Bucket{ID: 77, Name: "b"})
	if _, _, err := r.svc.Stat(ctx, "b", "k"); err != nil { // queries find their way by themselves
		t.Fatal(err)
	}
}

func TestDeleteMany(t *testing.T) {
	r := newRig(t)
	r.bucket("b")
	for _, k := range []string{"a", "b", "c"} {
		r.put("b", k, random(150))
	}
	res, err := r.svc.DeleteMany(ctx, "b", []DeleteItem{{Key: "a"}, {Key: ""}, {Key: "none"}, {Key: "b", IfMatch: "x"}, {Key: "c", IfMatch: etag(random(150))}})
	if err != nil {
		t.Fatal(err)
	}
	if res[0].Err != nil || res[2].Err != nil || res[4].Err != nil || res[4].Key != "c" {
		t.Fatalf("%+v", res)
	}
	wantKind(t, res[1].Err, errs.Invalid, "")
	wantKind(t, res[3].Err, errs.Precondition, NotHeld)
	step(t, r.purger())
	if n, _ := r.live(); n != 3 {
		t.Fatalf("%d chunks live, want those of b", n)
	}
	_, err = r.svc.DeleteMany(ctx, "none", []DeleteItem{{Key: "a"}})
	wantKind(t, err, errs.NotFound, NoBucket)
	_, err = r.svc.DeleteMany(ctx, "b", make([]DeleteItem, DeleteManyMax+1))
	wantKind(t, err, errs.TooLarge, "")
}

func TestStripeKey(t *testing.T) {
	b := Base{Volume: 0xABCD, Sequence: sequenceMax}
	for _, prot := range []chunk.Protection{chunk.Replicas(3), chunk.EC(4, 2)} {
		k := StripeKey(b, stripesMax-1, prot)
		for i := range prot.Width() {
			got, n, ok := BaseOf(k.Sibling(i))
			if !ok || got != b || n != stripesMax-1 || k.Protection() != prot {
				t.Fatalf("%s: %v %d %v", k.Sibling(i), got, n, ok)
			}
		}
	}
	if _, _, ok := BaseOf(chunk.NewKey(chunk.Payload{Service: chunk.ServiceUser}, chunk.Replicas(1))); ok {
		t.Fatal("another service's key has a base")
	}
}
