package object

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"io"
	"log/slog"
	"testing"
	"time"

	"torc/chunk"
	"torc/internal/buf"
	"torc/internal/clock"
	"torc/internal/errs"
	"torc/meta"
)

// flatDB passes errors on as the network does: kind and text, wrapped once more.
type flatDB struct{ meta.DB }

func flatten(err error) error {
	if err == nil {
		return nil
	}
	return errs.E("meta.Do", errs.KindOf(err), "range 1: %s", err.Error())
}

func (d flatDB) Do(ctx context.Context, c meta.Command) ([]byte, error) {
	b, err := d.DB.Do(ctx, c)
	return b, flatten(err)
}

func (d flatDB) Query(ctx context.Context, c meta.Command) ([]byte, error) {
	b, err := d.DB.Query(ctx, c)
	return b, flatten(err)
}

// rig is a whole object layer in memory with small stripes.
type rig struct {
	t      testing.TB
	clock  *clock.Manual
	ranges *ranged
	db     meta.DB
	chunks *chunk.Memory
	svc    *Service
	cfg    Config
}

func newRig(t testing.TB, mods ...func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, clock: clock.NewManual(time.UnixMilli(1_790_000_000_000)), chunks: chunk.NewMemory()}
	r.ranges = newRanged(r.clock)
	r.db = flatDB{r.ranges}
	r.cfg = Config{
		DB: r.db, Chunks: r.chunks, Clock: r.clock, Log: slog.New(slog.DiscardHandler), Name: "s1",
		Policy:     Policy{Small: chunk.Replicas(3), Large: chunk.EC(4, 2), SmallSize: 100},
		StripeSize: 64,
		AdmitWait:  time.Millisecond,
	}
	for _, m := range mods {
		m(&r.cfg)
	}
	r.svc = r.service(r.cfg)
	before := buf.InUse()
	t.Cleanup(func() {
		if after := buf.InUse(); after != before {
			t.Errorf("buffers out: %d before, %d after", before, after)
		}
	})
	return r
}

func (r *rig) service(cfg Config) *Service {
	r.t.Helper()
	s, err := New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) bucket(name BucketName) Bucket {
	r.t.Helper()
	b, err := r.svc.CreateBucket(ctx, name, "123456789012", "eu-1")
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

var ctx = context.Background()

func etag(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// body is a body of a declared length, sealed by its MD5.
func body(b []byte) Body { return bodyOf(bytes.NewReader(b), int64(len(b))) }

func bodyOf(r io.Reader, size int64) Body {
	h := md5.New()
	return Body{Reader: io.TeeReader(r, h), Size: size, Seal: func() (Seal, error) {
		return Seal{ETag: hex.EncodeToString(h.Sum(nil))}, nil
	}}
}

func (r *rig) put(b BucketName, key string, data []byte) Object {
	r.t.Helper()
	o, err := r.svc.Put(ctx, PutRequest{Bucket: b, Key: key, Body: body(data)})
	if err != nil {
		r.t.Fatal(err)
	}
	return o
}

// read returns an object's bytes through Stat and WriteRange.
func (r *rig) read(b BucketName, key string) ([]byte, error) {
	_, o, err := r.svc.Stat(ctx, b, key)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = r.svc.WriteRange(ctx, &out, o, 0, o.Size)
	return out.Bytes(), err
}

// live counts the chunks that are not tombstones.
func (r *rig) live() (n int, keys map[chunk.Key]bool) {
	r.t.Helper()
	keys = map[chunk.Key]bool{}
	for after := (*chunk.Key)(nil); ; {
		infos, err := r.chunks.List(ctx, after, chunk.ListMax)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(infos) == 0 {
			return len(keys), keys
		}
		for _, i := range infos {
			if !i.Deleted {
				keys[i.Key] = true
			}
			after = &i.Key
		}
	}
}

func (r *rig) purger() *Purger {
	return NewPurger(PurgerConfig{DB: r.db, Chunks: r.chunks, Clock: r.clock, Log: r.cfg.Log})
}

func step(t testing.TB, s interface{ Step(context.Context) error }) {
	t.Helper()
	if err := s.Step(ctx); err != nil {
		t.Fatal(err)
	}
}

func wantKind(t testing.TB, err error, k errs.Kind, reason Reason) {
	t.Helper()
	if !errs.Is(err, k) || ReasonOf(err) != reason {
		t.Fatalf("error %v (kind %v, reason %q), want kind %v, reason %q", err, errs.KindOf(err), ReasonOf(err), k, reason)
	}
}
