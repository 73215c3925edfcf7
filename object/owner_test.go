package object

import (
	"testing"

	"torc/internal/errs"
)

const (
	former                 = "the former bucket"
	formerOwner  AccountID = "111111111111"
	presentOwner AccountID = "222222222222"
)

// TestNameThatChangedHands: the connector saw a bucket of formerOwner, who since
// deleted it, and presentOwner made another under the name.
func TestNameThatChangedHands(t *testing.T) {
	for _, cached := range []string{former, "the present bucket", "nothing"} {
		t.Run(cached, func(t *testing.T) {
			r := newRig(t)
			now, err := r.svc.CreateBucket(ctx, "b", presentOwner, "")
			if err != nil {
				t.Fatal(err)
			}
			r.put("b", "k", random(150))
			up, err := r.svc.CreateUpload(ctx, UploadRequest{Bucket: "b", Key: "u"})
			part, perr := r.svc.PutPart(ctx, PartRequest{Bucket: "b", Key: "u", Upload: up.ID, Number: 1, Body: body(random(70))})
			if err := firstError(err, perr); err != nil {
				t.Fatal(err)
			}
			chunks, _ := r.live()
			id := up.ID
			done := CompleteRequest{Bucket: "b", Key: "u", Upload: id, Parts: []CompletedPart{{1, part.ETag}},
				Seal: func(Upload, []Part) (Seal, error) { return Seal{ETag: "e"}, nil }}
			put := PutRequest{Bucket: "b", Key: "k", Body: body(random(9))}
			mine := ActingFor(ctx, formerOwner)
			ops := map[string]func() error{
				"Put":          func() error { _, err := r.svc.Put(mine, put); return err },
				"Stat":         func() error { _, _, err := r.svc.Stat(mine, "b", "k"); return err },
				"List":         func() error { _, err := r.svc.List(mine, ListRequest{Bucket: "b", Limit: 9}); return err },
				"Delete":       func() error { return r.svc.Delete(mine, "b", DeleteItem{Key: "k"}) },
				"DeleteMany":   func() error { _, err := r.svc.DeleteMany(mine, "b", []DeleteItem{{Key: "k"}}); return err },
				"CreateUpload": func() error { _, err := r.svc.CreateUpload(mine, UploadRequest{Bucket: "b", Key: "v"}); return err },
				"Upload":       func() error { _, err := r.svc.Upload(mine, "b", "u", id); return err },
				"PutPart": func() error {
					_, err := r.svc.PutPart(mine, PartRequest{Bucket: "b", Key: "u", Upload: id, Number: 2, Body: body(random(9))})
					return err
				},
				"Parts":        func() error { _, err := r.svc.Parts(mine, "b", "u", id, 0, 9); return err },
				"Uploads":      func() error { _, err := r.svc.Uploads(mine, UploadsRequest{Bucket: "b", Limit: 9}); return err },
				"Abort":        func() error { return r.svc.Abort(mine, "b", "u", id) },
				"Complete":     func() error { _, err := r.svc.Complete(mine, done); return err },
				"DeleteBucket": func() error { return r.svc.DeleteBucket(mine, "b") },
			}
			for name, op := range ops {
				r.svc.forget("b")
				if b, ok := map[string]Bucket{former: {ID: 77, Name: "b", Owner: formerOwner}, "the present bucket": now}[cached]; ok {
					r.svc.remember(b)
				}
				err := op()
				if name == "Put" && cached == former {
					wantKind(t, err, errs.Unavailable, BucketReplaced) // a body is not sent twice
					continue
				}
				if ReasonOf(err) != NotOwner || !errs.Is(err, errs.Permission) {
					t.Errorf("%s: got %v; want %s", name, err, NotOwner)
				}
			}
			if n, _ := r.live(); n != chunks {
				t.Errorf("%d chunks, %d before", n, chunks)
			}
			if got, err := r.read("b", "k"); err != nil || string(got) != string(random(150)) {
				t.Errorf("the object: %d bytes, %v", len(got), err)
			}
			// Who owns it now does everything, whatever is remembered.
			mine = ActingFor(ctx, presentOwner)
			for _, name := range []string{"Stat", "Parts", "Uploads", "Delete", "Complete"} {
				r.svc.remember(Bucket{ID: 77, Name: "b", Owner: formerOwner})
				if err := ops[name](); err != nil {
					t.Errorf("%s by the owner: %v", name, err)
				}
			}
		})
	}
}

// TestBucketIDsDoNotWrap: a session lives for years, and every put takes a base.
func TestBucketIDsDoNotWrap(t *testing.T) {
	r := newRig(t)
	first := r.bucket("first")
	r.svc.sessions.mu.Lock()
	r.svc.sessions.cur.next.Store(1 << 32) // as after four billion puts
	r.svc.sessions.mu.Unlock()
	if again := r.bucket("again"); again.ID == first.ID {
		t.Fatalf("two buckets with the id %x", again.ID)
	}
}
