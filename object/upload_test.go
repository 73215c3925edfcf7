package object

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"

	"torc/chunk"
	"torc/internal/errs"
)

const big = PartSizeMin

func bigStripes(c *Config) { c.StripeSize, c.Policy.Large = 1<<20, chunk.Replicas(2) }

func (r *rig) part(up Upload, n int, data []byte) Part {
	r.t.Helper()
	p, err := r.svc.PutPart(ctx, PartRequest{Bucket: "b", Key: up.Key, Upload: up.ID, Number: n, Body: body(data)})
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

func (r *rig) upload(key string) Upload {
	r.t.Helper()
	up, err := r.svc.CreateUpload(ctx, UploadRequest{Bucket: "b", Key: key, Class: "STANDARD",
		Meta: Metadata{User: map[string]string{"m": key}}, ChecksumAlgorithm: "CRC32", ChecksumType: "COMPOSITE"})
	if err != nil {
		r.t.Fatal(err)
	}
	return up
}

func sealAll(_ Upload, parts []Part) (Seal, error) {
	return Seal{ETag: fmt.Sprintf("x-%d", len(parts)), Checksums: []Checksum{{"CRC32", "COMPOSITE", "AAAA-1"}}}, nil
}

func (r *rig) complete(up Upload, parts ...Part) (Object, error) {
	q := CompleteRequest{Bucket: "b", Key: up.Key, Upload: up.ID, Seal: sealAll}
	for _, p := range parts {
		q.Parts = append(q.Parts, CompletedPart{p.Number, p.ETag})
	}
	return r.svc.Complete(ctx, q)
}

func TestMultipart(t *testing.T) {
	r := newRig(t, bigStripes)
	r.bucket("b")
	r.put("b", "k", random(1000)) // to be replaced
	up := r.upload("k")
	if got, err := r.svc.Upload(ctx, "b", "k", up.ID); err != nil || got.ChecksumType != "COMPOSITE" || got.Meta.User["m"] != "k" || !got.Started.Equal(up.Started) {
		t.Fatalf("upload %+v, %v", got, err)
	}
	first := random(big + 17)
	r.part(up, 7, random(big)) // replaced
	p7 := r.part(up, 7, first)
	p9 := r.part(up, 9, random(50)) // not named
	p12 := r.part(up, 12, random(300))

	page, err := r.svc.Parts(ctx, "b", "k", up.ID, 0, 2)
	if err != nil || len(page.Parts) != 2 || !page.Truncated || page.Next != 9 || page.Parts[0].Size != int64(len(first)) {
		t.Fatalf("parts %+v, %v", page, err)
	}
	if page, err = r.svc.Parts(ctx, "b", "k", up.ID, 9, 2); err != nil || len(page.Parts) != 1 || page.Truncated || page.Parts[0].Number != 12 {
		t.Fatalf("parts %+v, %v", page, err)
	}
	refusals(t, r, up, p7, p9, p12)

	o, err := r.complete(up, p7, p12)
	if err != nil || o.ETag != "x-2" || o.Size != int64(len(first))+300 || o.Meta.User["m"] != "k" || len(o.Parts) != 2 || o.Checksums[0].Value != "AAAA-1" {
		t.Fatalf("completed %+v, %v", o, err)
	}
	again, err := r.complete(up, p7, p12)
	if err != nil || again.ETag != o.ETag || again.Size != o.Size || !again.Modified.Equal(o.Modified) {
		t.Fatalf("repeated %+v, %v", again, err)
	}
	_, err = r.complete(up, p7)
	wantKind(t, err, errs.NotFound, NoUpload)
	_, err = r.svc.PutPart(ctx, PartRequest{Bucket: "b", Key: "k", Upload: up.ID, Number: 1, Body: body(nil)})
	wantKind(t, err, errs.NotFound, NoUpload)
	got, err := r.read("b", "k")
	if err != nil || !bytes.Equal(got, append(first, random(300)...)) {
		t.Fatalf("read %d bytes, %v", len(got), err)
	}
	step(t, r.purger())
	if n, _ := r.live(); n != 7 { // 6 stripes and 1
		t.Fatalf("%d chunks live, want 7", n)
	}
}

func refusals(t *testing.T, r *rig, up Upload, p7, p9, p12 Part) {
	t.Helper()
	wrong := p7
	wrong.ETag = "no"
	for _, c := range []struct {
		parts  []Part
		reason Reason
	}{
		{nil, InvalidPart},
		{[]Part{p12, p7}, PartOrder},
		{[]Part{p7, p7}, PartOrder},
		{[]Part{wrong}, InvalidPart},
		{[]Part{{Number: 8, ETag: "x"}}, InvalidPart},
		{[]Part{{Number: 0, ETag: "x"}}, InvalidPart},
		{[]Part{p7, {Number: 10001, ETag: "x"}}, InvalidPart},
		{[]Part{p7, p9, p12}, PartTooSmall},
	} {
		_, err := r.complete(up, c.parts...)
		wantKind(t, err, errs.Invalid, c.reason)
	}
	bad := up
	for _, id := range []UploadID{"", "x", UploadID(strings.Repeat("A", uploadIDLen)), UploadID(strings.Repeat("0", uploadIDLen))} {
		bad.ID = id
		_, err := r.complete(bad, p7)
		wantKind(t, err, errs.NotFound, NoUpload)
		wantKind(t, r.svc.Abort(ctx, "b", "k", id), errs.NotFound, NoUpload)
	}
	_, err := r.svc.PutPart(ctx, PartRequest{Bucket: "b", Key: "k", Upload: up.ID, Number: PartNumberMax + 1, Body: body(nil)})
	wantKind(t, err, errs.Invalid, "")
	boom := errs.E("seal", errs.Precondition, "no")
	_, err = r.svc.Complete(ctx, CompleteRequest{Bucket: "b", Key: "k", Upload: up.ID, Parts: []CompletedPart{{7, p7.ETag}},
		Seal: func(Upload, []Part) (Seal, error) { return Seal{}, boom }})
	wantKind(t, err, errs.Precondition, "")
	_, err = r.svc.Complete(ctx, CompleteRequest{Bucket: "b", Key: "k", Upload: up.ID, Parts: []CompletedPart{{7, p7.ETag}},
		Seal: sealAll, If: WriteCondition{IfNoneMatch: []string{"*"}}})
	wantKind(t, err, errs.Precondition, NotHeld)
}

// TestCompleteRace: a part is replaced between reading the parts and committing;
// Complete reads again, and what it commits is what it sealed.
func TestCompleteRace(t *testing.T) {
	r := newRig(t)
	r.bucket("b")
	up := r.upload("k")
	p := r.part(up, 1, random(200))
	calls := 0
	o, err := r.svc.Complete(ctx, CompleteRequest{Bucket: "b", Key: "k", Upload: up.ID, Parts: []CompletedPart{{1, p.ETag}},
		Seal: func(_ Upload, parts []Part) (Seal, error) {
			if calls++; calls == 1 {
				r.part(up, 1, random(200)) // the same bytes under another base
			}
			return Seal{ETag: fmt.Sprint(parts[0].Extent.Base)}, nil
		}})
	if err != nil || calls != 2 || o.ETag != fmt.Sprint(o.Parts[0].Extent.Base) {
		t.Fatalf("%d calls, %+v, %v", calls, o, err)
	}
	step(t, r.purger())
	if n, _ := r.live(); n != 4 {
		t.Fatalf("%d chunks live, want 4", n)
	}
}

func TestAbort(t *testing.T) {
	r := newRig(t)
	r.bucket("b")
	up, other := r.upload("k"), r.upload("k")
	r.part(up, 1, random(200))
	r.part(up, 2, nil)
	r.part(other, 1, random(300))
	if err := r.svc.Abort(ctx, "b", "k", up.ID); err != nil {
		t.Fatal(err)
	}
	wantKind(t, r.svc.Abort(ctx, "b", "k", up.ID), errs.NotFound, NoUpload)
	step(t, r.purger())
	if n, _ := r.live(); n != 5 {
		t.Fatalf("%d chunks live, want the other upload's 5", n)
	}
}

// TestUploadsModel compares pages of uploads with a dumb model.
func TestUploadsModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, db := range []string{"one range", "many ranges"} {
		t.Run(db, func(t *testing.T) {
			r := newRig(t)
			b := r.bucket("b")
			r.bucket("c")
			keys := randomKeys(rng, 40)
			var all []Upload
			for i := range 100 {
				all = append(all, r.upload(keys[rng.IntN(len(keys))]))
				if i%9 == 0 && db == "many ranges" {
					r.ranges.split(objectKey(b.ID, keys[rng.IntN(len(keys))]))
				}
			}
			sort.SliceStable(all, func(i, j int) bool { return all[i].Key < all[j].Key }) // within a key: as started
			for range 1500 {
				q := UploadsRequest{Bucket: "b", Prefix: some(rng, keys), AfterKey: some(rng, keys), Limit: rng.IntN(12),
					Delimiter: []string{"", "/", "é", "a"}[rng.IntN(4)]}
				if u := all[rng.IntN(len(all))]; rng.IntN(3) == 0 {
					q.AfterKey, q.AfterUpload = u.Key, u.ID
				}
				page, err := r.svc.Uploads(ctx, q)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, u := range page.Uploads {
					got = append(got, u.Key+"\x00"+string(u.ID))
				}
				got = append(got, page.Prefixes...)
				sort.Strings(got)
				want, more := dumbUploads(all, q)
				if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) || page.Truncated != more {
					t.Fatalf("%+v:\n got %q %v\nwant %q %v", q, got, page.Truncated, want, more)
				}
			}
		})
	}
}

func dumbUploads(all []Upload, q UploadsRequest) (page []string, more bool) {
	rolls := func(key string) string {
		if q.Delimiter == "" || !strings.HasPrefix(key, q.Prefix) {
			return ""
		}
		i := strings.Index(key[len(q.Prefix):], q.Delimiter)
		if i < 0 {
			return ""
		}
		return key[:len(q.Prefix)+i+len(q.Delimiter)]
	}
	seen := map[string]bool{}
	for _, u := range all {
		name, line := u.Key, u.Key+"\x00"+string(u.ID)
		if g := rolls(u.Key); g != "" {
			name, line = g, g
		}
		after := name > q.AfterKey || name == u.Key && u.Key == q.AfterKey && line != name && q.AfterUpload != "" && u.ID > q.AfterUpload
		if !strings.HasPrefix(u.Key, q.Prefix) || !after || seen[line] {
			continue
		}
		if seen[line] = true; len(page) == q.Limit {
			more = q.Limit > 0
			break
		}
		page = append(page, line)
	}
	sort.Strings(page)
	return page, more
}

// fakePart commits a part large enough to complete, without writing its bytes.
func (r *rig) fakePart(b Bucket, up Upload, n int, seq uint64) CompletedPart {
	r.t.Helper()
	c := partCommand{Bucket: bucketRef{b.Name, b.ID}, Key: up.Key, Upload: up.ID, Number: n, Body: written{
		Extent: Extent{Base: Base{1, seq}, Size: big, StripeSize: 8 << 20, Protection: chunk.Replicas(1)},
		Seal:   Seal{ETag: etag([]byte{byte(n)}), Checksums: []Checksum{{"SHA256", "COMPOSITE", strings.Repeat("x", 44)}}}}}
	var p Part
	if err := do(ctx, r.db, kindPartPut, objectKey(b.ID, up.Key), &c, &p); err != nil {
		r.t.Fatal(err)
	}
	return CompletedPart{n, p.ETag}
}

// TestManyParts: thousands of parts complete into one record, an abort of them
// takes several commands, and all bytes are freed.
func TestManyParts(t *testing.T) {
	const many = abortPartsMax + 100
	r := newRig(t)
	b := r.bucket("b")
	up, other := r.upload("k"), r.upload("k")
	tail := random(10)
	last := r.part(up, PartNumberMax, tail)
	q := CompleteRequest{Bucket: "b", Key: "k", Upload: up.ID, Seal: sealAll}
	for n := 1; n <= many; n++ {
		q.Parts = append(q.Parts, r.fakePart(b, up, n, uint64(1000+n)))
		r.fakePart(b, other, n, uint64(1<<20+n))
	}
	q.Parts = append(q.Parts, CompletedPart{PartNumberMax, last.ETag})
	if _, err := r.svc.Complete(ctx, q); err != nil {
		t.Fatal(err)
	}
	_, o, err := r.svc.Stat(ctx, "b", "k")
	if err != nil || len(o.Parts) != many+1 || o.Size != many*big+10 {
		t.Fatalf("%d parts of %d bytes, %v", len(o.Parts), o.Size, err)
	}
	var w bytes.Buffer
	if err := r.svc.WriteRange(ctx, &w, o, o.Size-4, 4); err != nil || !bytes.Equal(w.Bytes(), tail[6:]) {
		t.Fatalf("the last bytes are %x, %v", w.Bytes(), err)
	}
	for _, err := range []error{r.svc.Abort(ctx, "b", "k", other.ID), r.svc.Delete(ctx, "b", DeleteItem{Key: "k"})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	p := r.purger()
	for i := 0; i == 0 || p.from != nil; i++ {
		step(t, p)
	}
	step(t, p)
	if st := p.Status(); st.Entries != 0 || st.Purged != 2*many+1 {
		t.Fatalf("%+v", st)
	}
}
