package s3

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"log/slog"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"torc/chunk"
	"torc/internal/clock"
	"torc/meta"
	"torc/object"
)

// Behind a load balancer a client makes a bucket anew through one server and
// writes to it through another, which remembers the former bucket of the name.
// What it is told must make an SDK try again by itself.
func TestBucketMadeAnewThroughAnotherServer(t *testing.T) {
	ctx := context.Background()
	db, chunks := meta.NewMemory(clock.System{}, object.Handlers()...), chunk.NewMemory()
	service := func(name string) *object.Service {
		s, err := object.New(object.Config{DB: db, Chunks: chunks, Clock: clock.System{}, Log: slog.New(slog.DiscardHandler),
			Name: name, Policy: object.Policy{Small: chunk.Replicas(3), Large: chunk.EC(4, 2)}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close(ctx) })
		return s
	}
	here, there := service("here"), service("there")
	r := newRig(t, false, func(c *Config) { c.Objects = here })
	r.must(200, "PUT", "/bkt", "") // remembered here
	owner := object.AccountID(testKeyring()[aliceKey].Account.ID)
	if err := there.DeleteBucket(ctx, "bkt"); err != nil {
		t.Fatal(err)
	}
	if _, err := there.CreateBucket(ctx, "bkt", owner, ""); err != nil {
		t.Fatal(err)
	}
	client := awss3.New(r.alice().Options(), func(o *awss3.Options) { o.RetryMaxAttempts = 2 })
	_, err := client.PutObject(ctx, &awss3.PutObjectInput{Bucket: aws.String("bkt"), Key: aws.String("k"), Body: strings.NewReader("x")})
	if err != nil {
		t.Fatal(err)
	}
	if _, o, err := there.Stat(ctx, "bkt", "k"); err != nil || o.Size != 1 {
		t.Fatalf("stored %d bytes, %v", o.Size, err)
	}
}

// A condition that names no tag holds for nothing; it is not the absence of one.
func TestEmptyTagDeletesNothing(t *testing.T) {
	r := newRig(t, false)
	r.must(200, "PUT", "/bkt", "")
	r.must(200, "PUT", "/bkt/k", "x")
	for _, tag := range []string{`""`, ``, ` `} {
		r.do("DELETE", "/bkt/k", "", "If-Match: "+tag).wantError(t, 400, "InvalidArgument")
		r.do("PUT", "/bkt/k", "y", "If-Match: "+tag).wantError(t, 400, "InvalidArgument")
		doc := `<Delete><Object><Key>k</Key><ETag>` + tag + `</ETag></Object></Delete>`
		sum := md5.Sum([]byte(doc))
		got := r.must(200, "POST", "/bkt?delete", doc, "Content-MD5: "+base64.StdEncoding.EncodeToString(sum[:]))
		got.wantError(t, 200, "InvalidArgument")
	}
	r.do("PUT", "/bkt/k", "y", "If-None-Match: ").wantError(t, 400, "InvalidArgument")
	if got := r.must(200, "GET", "/bkt/k", ""); got.body != "x" {
		t.Errorf("stored %q", got.body)
	}
}
