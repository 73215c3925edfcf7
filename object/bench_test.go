package object

import (
	"bytes"
	"fmt"
	"testing"
)

// BenchmarkListPage is a page of 1,000 keys: handler, reply and decoding.
func BenchmarkListPage(b *testing.B) {
	r := newRig(b)
	r.bucket("b")
	for i := range 3000 {
		r.put("b", fmt.Sprintf("some/directory/file-%06d.bin", i), nil)
	}
	b.ReportAllocs()
	for b.Loop() {
		p, err := r.svc.List(ctx, ListRequest{Bucket: "b", After: "some/directory/file-001", Limit: 1000})
		if err != nil || len(p.Objects) != 1000 {
			b.Fatal(len(p.Objects), err)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20, 32 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			r := newRig(b, func(c *Config) { c.StripeSize, c.Policy.SmallSize = 8<<20, 60000 })
			r.bucket("b")
			data := random(size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				q := PutRequest{Bucket: "b", Key: "k", Body: Body{Reader: bytes.NewReader(data), Size: int64(size),
					Seal: func() (Seal, error) { return Seal{ETag: "e"}, nil }}}
				if _, err := r.svc.Put(ctx, q); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				step(b, r.purger())
				b.StartTimer()
			}
		})
	}
}
