package s3

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"strings"
	"testing"

	"torc/object"
)

// handover is a store whose bucket changes hands right after the connector has
// found that it is the caller's.
type handover struct {
	Objects
	swap func()
}

func (h *handover) Bucket(ctx context.Context, name object.BucketName) (object.Bucket, error) {
	b, err := h.Objects.Bucket(ctx, name)
	h.swap()
	return b, err
}

func (h *handover) CachedBucket(ctx context.Context, name object.BucketName) (object.Bucket, error) {
	b, err := h.Objects.CachedBucket(ctx, name)
	h.swap()
	return b, err
}

// Between the check of a bucket's owner and what a request does, the owner may
// delete the bucket and another account make one of the same name. The request
// must not act on that one.
func TestBucketChangesHandsWithinRequest(t *testing.T) {
	cases := map[string]struct{ method, path, body string }{
		"PutObject":             {"PUT", "/shared/k", "alice's"},
		"DeleteObject":          {"DELETE", "/shared/k", ""},
		"CreateMultipartUpload": {"POST", "/shared/k?uploads", ""},
		"DeleteBucket":          {"DELETE", "/shared", ""},
		"DeleteObjects":         {"POST", "/shared?delete", "<Delete><Object><Key>k</Key></Object></Delete>"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := &handover{swap: func() {}}
			r := newRig(t, false, func(cfg *Config) { h.Objects = cfg.Objects; cfg.Objects = h })
			r.must(200, "PUT", "/shared", "")
			ctx, bob := context.Background(), testKeyring()[bobKey].Account.ID
			h.swap = func() {
				h.swap = func() {}
				if err := r.store.DeleteBucket(ctx, "shared"); err != nil {
					t.Error(err)
				}
				if _, err := r.store.CreateBucket(ctx, "shared", object.AccountID(bob), ""); err != nil {
					t.Error(err)
				}
				if name == "DeleteBucket" {
					return
				}
				o := newCopy(strings.NewReader("bob's"), 5, 0)
				if _, err := r.store.Put(ctx, object.PutRequest{Bucket: "shared", Key: "k", Body: o.objectBody()}); err != nil {
					t.Error(err)
				}
			}
			var headers []string
			if name == "DeleteObjects" {
				sum := md5.Sum([]byte(c.body))
				headers = []string{"Content-MD5: " + base64.StdEncoding.EncodeToString(sum[:])}
			}
			got := r.do(c.method, c.path, c.body, headers...)
			if got.status != 403 && got.status != 409 {
				t.Errorf("status %d, want a refusal", got.status)
			}
			b, err := r.store.Bucket(ctx, "shared")
			if err != nil || b.Owner != object.AccountID(bob) {
				t.Errorf("bucket %+v, %v", b, err)
			}
			if name != "DeleteBucket" {
				if _, o, err := r.store.Stat(ctx, "shared", "k"); err != nil || o.Size != 5 {
					t.Errorf("bob's object: %d bytes, %v", o.Size, err)
				}
			}
			if page, err := r.store.Uploads(ctx, object.UploadsRequest{Bucket: "shared", Limit: 9}); err != nil || len(page.Uploads) > 0 {
				t.Errorf("uploads %+v, %v", page, err)
			}
		})
	}
}
