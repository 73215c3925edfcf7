package s3

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// minio-go signs every chunk of its uploads over HTTP and names its checksums
// in trailers over TLS: other paths than the AWS SDK's.
func TestMinioGo(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := context.Background()
		cl, err := minio.New(strings.SplitN(r.url, "://", 2)[1], &minio.Options{
			Creds:     credentials.NewStaticV4(aliceKey, aliceSecret, ""),
			Secure:    strings.HasPrefix(r.url, "https"),
			Transport: r.client.Transport, Region: "us-east-1", MaxRetries: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := cl.MakeBucket(ctx, "bkt", minio.MakeBucketOptions{}); err != nil {
			t.Fatal(err)
		}
		if ok, err := cl.BucketExists(ctx, "bkt"); !ok || err != nil {
			t.Errorf("bucket: %v %v", ok, err)
		}
		if ok, err := cl.BucketExists(ctx, "none"); ok || err != nil {
			t.Errorf("no bucket: %v %v", ok, err)
		}
		for _, size := range []int{0, 1, 65536, 65537, 200000} {
			data := pattern(size)
			put := must[minio.UploadInfo](t)(cl.PutObject(ctx, "bkt", "o", strings.NewReader(data), int64(size),
				minio.PutObjectOptions{UserMetadata: map[string]string{"Who": "me"}}))
			o := must[*minio.Object](t)(cl.GetObject(ctx, "bkt", "o", minio.GetObjectOptions{}))
			if got := must[[]byte](t)(io.ReadAll(o)); string(got) != data {
				t.Errorf("%d bytes: read %d others", size, len(got))
			}
			o.Close()
			st := must[minio.ObjectInfo](t)(cl.StatObject(ctx, "bkt", "o", minio.StatObjectOptions{}))
			if st.ETag != put.ETag || st.UserMetadata["Who"] != "me" || st.Size != int64(size) {
				t.Errorf("stat %+v", st)
			}
		}
		// A stream of unknown length goes up in parts of 16 MiB.
		big := bytes.Repeat([]byte("0123456789abcdef"), 17<<20/16)
		must[minio.UploadInfo](t)(cl.PutObject(ctx, "bkt", "dir/big", struct{ io.Reader }{bytes.NewReader(big)}, -1, minio.PutObjectOptions{PartSize: 16 << 20}))
		o := must[*minio.Object](t)(cl.GetObject(ctx, "bkt", "dir/big", minio.GetObjectOptions{}))
		if got := must[[]byte](t)(io.ReadAll(o)); !bytes.Equal(got, big) {
			t.Errorf("big: read %d bytes, others", len(got))
		}
		o.Close()
		must[minio.UploadInfo](t)(cl.CopyObject(ctx, minio.CopyDestOptions{Bucket: "bkt", Object: "dir/c+o p&y"}, minio.CopySrcOptions{Bucket: "bkt", Object: "o"}))
		must[minio.UploadInfo](t)(cl.ComposeObject(ctx, minio.CopyDestOptions{Bucket: "bkt", Object: "composed"},
			minio.CopySrcOptions{Bucket: "bkt", Object: "dir/big"}, minio.CopySrcOptions{Bucket: "bkt", Object: "o"}))
		var names []string
		for o := range cl.ListObjects(ctx, "bkt", minio.ListObjectsOptions{Recursive: true, MaxKeys: 1}) {
			if o.Err != nil {
				t.Fatal(o.Err)
			}
			names = append(names, o.Key)
		}
		if strings.Join(names, " ") != "composed dir/big dir/c+o p&y o" {
			t.Errorf("listed %q", names)
		}
		if _, err := cl.StatObject(ctx, "bkt", "none", minio.StatObjectOptions{}); minio.ToErrorResponse(err).Code != "NoSuchKey" {
			t.Errorf("stat of nothing: %v", err)
		}
		objects := make(chan minio.ObjectInfo, len(names))
		for _, n := range names {
			objects <- minio.ObjectInfo{Key: n}
		}
		close(objects)
		for e := range cl.RemoveObjects(ctx, "bkt", objects, minio.RemoveObjectsOptions{}) {
			t.Errorf("remove %s: %v", e.ObjectName, e.Err)
		}
		if err := cl.RemoveBucket(ctx, "bkt"); err != nil {
			t.Error(err)
		}
	})
}

func TestPresigned(t *testing.T) {
	r := newRig(t, false)
	ctx := context.Background()
	makeBucket(t, r.alice(), "bkt")
	p := awss3.NewPresignClient(r.alice())
	put := must[*v4.PresignedHTTPRequest](t)(p.PresignPutObject(ctx, &awss3.PutObjectInput{Bucket: aws.String("bkt"), Key: aws.String("k")}))
	q := must[*http.Request](t)(http.NewRequest(put.Method, put.URL, strings.NewReader("hello")))
	for name, values := range put.SignedHeader {
		q.Header[name] = values
	}
	if got := r.sendRaw(q); got.status != 200 {
		t.Fatalf("put: %d %s", got.status, got.body)
	}
	get := must[*v4.PresignedHTTPRequest](t)(p.PresignGetObject(ctx, &awss3.GetObjectInput{Bucket: aws.String("bkt"), Key: aws.String("k"),
		ResponseContentType: aws.String("a/b")}, awss3.WithPresignExpires(time.Minute)))
	q = must[*http.Request](t)(http.NewRequest("GET", get.URL, nil))
	if got := r.sendRaw(q); got.status != 200 || got.body != "hello" || got.header.Get("Content-Type") != "a/b" {
		t.Errorf("get: %d %s %v", got.status, got.body, got.header)
	}
	// The same URL for another key, or with another answer, is not signed.
	for _, change := range [][2]string{{"/k?", "/k2?"}, {"a%2Fb", "text%2Fhtml"}} {
		q = must[*http.Request](t)(http.NewRequest("GET", strings.Replace(get.URL, change[0], change[1], 1), nil))
		r.sendRaw(q).wantError(t, 403, "SignatureDoesNotMatch")
	}
	q = must[*http.Request](t)(http.NewRequest("DELETE", get.URL, nil))
	r.sendRaw(q).wantError(t, 403, "SignatureDoesNotMatch")
}
