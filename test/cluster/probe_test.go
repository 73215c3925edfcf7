package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"torc/test/harness"
)

// serveOnce does one PUT (small and erasure coded), GET, LIST and DELETE.
func serveOnce(t *testing.T, c *s3.Client, key string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	bucket := harness.ProbeBucket
	for _, size := range []int{1000, 300_000} {
		k := fmt.Sprintf("%s/%d", key, size)
		data := harness.Pattern(uint64(size), size)
		if err := harness.Put(ctx, c, bucket, k, data); err != nil {
			return fmt.Errorf("put: %w", err)
		}
		got, err := harness.Get(ctx, c, bucket, k)
		if err != nil {
			return fmt.Errorf("get: %w", err)
		}
		if !bytes.Equal(got, data) {
			t.Fatalf("%s: wrong bytes", k)
		}
		out, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &k})
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		if len(out.Contents) != 1 {
			t.Fatalf("%s: acknowledged but not listed", k)
		}
		if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &k}); err != nil {
			return fmt.Errorf("delete: %w", err)
		}
		if _, err := harness.Get(ctx, c, bucket, k); !errors.Is(err, harness.ErrNoKey) {
			if err == nil {
				t.Fatalf("%s: deleted but still there", k)
			}
			return fmt.Errorf("get after delete: %w", err)
		}
	}
	return nil
}
