package harness

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Client returns an SDK client of server n that does not retry: tests count
// what happens themselves.
func (r *Ring) Client(n int) *s3.Client {
	r.T.Helper()
	env := r.Env(n)
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(env["AWS_ENDPOINT_URL"]),
		Region:       env["AWS_DEFAULT_REGION"],
		UsePathStyle: true,
		Retryer:      aws.NopRetryer{},
		HTTPClient:   &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: env["AWS_ACCESS_KEY_ID"], SecretAccessKey: env["AWS_SECRET_ACCESS_KEY"]}, nil
		}),
	})
}

// Put stores data.
func Put(ctx context.Context, c *s3.Client, bucket, key string, data []byte) error {
	_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(data)})
	return err
}

// Get returns an object's bytes; ErrNoKey when it is not there.
func Get(ctx context.Context, c *s3.Client, bucket, key string) ([]byte, error) {
	out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		var none *types.NoSuchKey
		if errors.As(err, &none) {
			return nil, ErrNoKey
		}
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}

// ErrNoKey says that an object does not exist.
var ErrNoKey = errors.New("no such key")

// ListAll returns every key of a bucket with its size.
func ListAll(ctx context.Context, c *s3.Client, bucket string) (map[string]int64, error) {
	keys := map[string]int64{}
	p := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: &bucket})
	for p.HasMorePages() {
		page, err := p.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			if _, dup := keys[*o.Key]; dup {
				return nil, fmt.Errorf("key %q listed twice", *o.Key)
			}
			keys[*o.Key] = *o.Size
		}
	}
	return keys, nil
}

// Pattern makes n bytes that are told by seed alone, cheap to make again for a comparison.
func Pattern(seed uint64, n int) []byte {
	out := make([]byte, n)
	x := seed*0x9e3779b97f4a7c15 + 1
	for i := 0; i < n; i += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		for j := 0; j < 8 && i+j < n; j++ {
			out[i+j] = byte(x >> (8 * j))
		}
	}
	return out
}

// Sum is the SHA-256 of data.
func Sum(data []byte) [32]byte { return sha256.Sum256(data) }
