package chunktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"torc/chunk"
	"torc/internal/buf"
	"torc/internal/clock"
	"torc/internal/errs"
)

// Run checks a store that holds chunks and lists them. open returns an empty one.
func Run(t *testing.T, open func(t *testing.T) chunk.ListStore) {
	s := suite{open: func(t *testing.T) chunk.Store { return open(t) }, prots: defaultProtections}
	s.run(t, append(storeTests(), leafTests()...))
}

// RunStore checks a store that answers for whole groups: keys are main keys of
// the protections given, by default 1 copy, 3 copies and 4+2. Such a store may
// leave Info.Sum zero where it would have to read the value to know it.
func RunStore(t *testing.T, open func(t *testing.T) chunk.Store, prots ...chunk.Protection) {
	if len(prots) == 0 {
		prots = defaultProtections
	}
	s := suite{open: open, main: true, prots: prots}
	s.run(t, storeTests())
}

// defaultProtections are the policies that keys are made of.
var defaultProtections = []chunk.Protection{chunk.Replicas(1), chunk.Replicas(3), chunk.EC(4, 2)}

type suite struct {
	open  func(t *testing.T) chunk.Store
	main  bool
	prots []chunk.Protection
}

type namedTest struct {
	name string
	fn   func(e *env)
}

func storeTests() []namedTest {
	return []namedTest{
		{"Absent", testAbsent},
		{"PutGetStat", testPutGetStat},
		{"Sizes", testSizes},
		{"Ranges", testRanges},
		{"VersionsOfPut", testVersionsOfPut},
		{"VersionsOfDelete", testVersionsOfDelete},
		{"DeleteOfTheSameVersion", testDeleteOfTheSameVersion},
		{"DeleteAbsent", testDeleteAbsent},
		{"Invalid", testInvalid},
		{"TooLarge", testTooLarge},
		{"NotRetained", testNotRetained},
		{"ReadersOwnTheirBytes", testReadersOwnTheirBytes},
		{"Cancelled", testCancelled},
		{"ConcurrentKeys", testConcurrentKeys},
		{"ConcurrentVersions", testConcurrentVersions},
		{"ConcurrentRetries", testConcurrentRetries},
		{"History", testHistory},
	}
}

func leafTests() []namedTest {
	return []namedTest{
		{"Siblings", testSiblings},
		{"AttrsUnchanged", testAttrsUnchanged},
		{"ListEmpty", testListEmpty},
		{"ListPages", testListPages},
		{"ListLimits", testListLimits},
		{"ListWhileWriting", testListWhileWriting},
	}
}

func (s suite) run(t *testing.T, tests []namedTest) {
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkBuffers(t)
			tt.fn(newEnv(t, s.open(t), s))
		})
	}
}

// checkBuffers fails t if pooled buffers are missing once everything that is
// registered with t.Cleanup after this call has run.
func checkBuffers(t *testing.T) {
	before := buf.InUse()
	t.Cleanup(func() {
		if n := buf.InUse() - before; n != 0 && !t.Failed() {
			t.Errorf("%d pooled buffers were not released", n)
		}
	})
}

// env is one subtest: a store, a source of chance and fresh keys and versions.
type env struct {
	*testing.T
	ctx   context.Context
	s     chunk.Store
	main  bool
	prots []chunk.Protection
	seed  uint64
	rnd   *rand.Rand
	keys  uint64
	ver   chunk.Version
}

func newEnv(t *testing.T, s chunk.Store, su suite) *env {
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return &env{
		T: t, ctx: t.Context(), s: s, main: su.main, prots: su.prots,
		seed: seed, rnd: rand.New(rand.NewPCG(seed, 0)),
		ver: clock.MakeTimestamp(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), 0),
	}
}

// key returns a key not used before: a main key, or for leaf stores a copy or
// fragment of any index.
func (e *env) key() chunk.Key {
	prot := e.prots[e.keys%uint64(len(e.prots))]
	e.keys++
	k := chunk.NewKey(chunk.Payload{
		Object: e.rnd.Uint64(), Volume: uint32(e.keys), Service: chunk.ServiceUser + 1,
	}, prot)
	if e.main {
		return k
	}
	return k.Sibling(e.rnd.IntN(prot.Width()))
}

// version returns a version above all before.
func (e *env) version() chunk.Version { e.ver += 2; return e.ver }

// bytes returns n random bytes.
func (e *env) bytes(n int) []byte {
	b := make([]byte, n)
	fill(b, e.rnd.Uint64())
	return b
}

// fill makes b a function of seed, a word at a time: 16 MiB must not be slow.
func fill(b []byte, seed uint64) {
	x := seed | 1
	for i := range b {
		if i%8 == 0 {
			x = x*6364136223846793005 + 1442695040888963407
		}
		b[i] = byte(x >> (8 * (i % 8)))
	}
}

// write makes a Write of a fresh version.
func (e *env) write(k chunk.Key, data []byte) chunk.Write {
	return chunk.Write{Key: k, Version: e.version(), Data: data, Attrs: chunk.Attrs{
		GroupSize: int64(len(data)),
		Owner:     fmt.Appendf(nil, "owner of %s", k),
	}}
}

// put must succeed, wholly.
func (e *env) put(w chunk.Write) {
	e.Helper()
	r, err := e.s.Put(e.ctx, w)
	if err != nil {
		e.Fatalf("Put %s version %v, %d bytes: %v", w.Key, w.Version, len(w.Data), err)
	}
	if !r.Whole() || r.Want < 1 || r.Durable != r.Want {
		e.Fatalf("Put %s: receipt %+v is not whole", w.Key, r)
	}
}

// delete must succeed, wholly.
func (e *env) delete(k chunk.Key, v chunk.Version) {
	e.Helper()
	r, err := e.s.Delete(e.ctx, k, v)
	if err != nil {
		e.Fatalf("Delete %s version %v: %v", k, v, err)
	}
	if !r.Whole() || r.Want < 1 {
		e.Fatalf("Delete %s: receipt %+v is not whole", k, r)
	}
}

// wantKind checks err's kind, by KindOf and by errors.Is.
func (e *env) wantKind(err error, kind errs.Kind, what string, args ...any) {
	e.Helper()
	if err == nil || errs.KindOf(err) != kind {
		e.Fatalf("%s: error %v (kind %v), want kind %v", fmt.Sprintf(what, args...), err, errs.KindOf(err), kind)
	}
	if !errors.Is(err, kind) && !errs.Is(err, kind) {
		e.Fatalf("%s: %v does not answer to errors.Is(%v)", fmt.Sprintf(what, args...), err, kind)
	}
}

// wantStored checks that what lies under w.Key is w: its bytes and its Info.
func (e *env) wantStored(w chunk.Write) {
	e.Helper()
	e.wantRange(w, chunk.All)
	info, err := e.s.Stat(e.ctx, w.Key)
	if err != nil {
		e.Fatalf("Stat %s: %v", w.Key, err)
	}
	e.wantInfo("Stat", info, w)
}

// wantRange gets r of w and compares; r must fit.
func (e *env) wantRange(w chunk.Write, r chunk.Range) {
	e.Helper()
	off, n, ok := r.Resolve(int64(len(w.Data)))
	if !ok {
		e.Fatalf("range %+v does not fit %d bytes: the test is wrong", r, len(w.Data))
	}
	c, err := e.s.Get(e.ctx, w.Key, r)
	if err != nil {
		e.Fatalf("Get %s %+v of %d bytes: %v", w.Key, r, len(w.Data), err)
	}
	defer c.Release()
	if !bytes.Equal(c.Data, w.Data[off:off+n]) {
		e.Fatalf("Get %s %+v of %d bytes: %d bytes that differ from what was put", w.Key, r, len(w.Data), len(c.Data))
	}
	e.wantInfo("Get", c.Info, w)
}

func (e *env) wantInfo(op string, i chunk.Info, w chunk.Write) {
	e.Helper()
	sumOK := i.Sum == chunk.Checksum(w.Data) || e.main && i.Sum == 0
	if i.Key != w.Key || i.Version != w.Version || i.Size != int64(len(w.Data)) || i.Deleted ||
		!sumOK || i.GroupSize != w.GroupSize || !bytes.Equal(i.Owner, w.Owner) {
		e.Fatalf("%s: info %+v, want that of version %v, %d bytes, sum %08x, group size %d, owner %q",
			op, i, w.Version, len(w.Data), chunk.Checksum(w.Data), w.GroupSize, w.Owner)
	}
}

// wantTombstone checks that k is deleted at version v.
func (e *env) wantTombstone(k chunk.Key, v chunk.Version) {
	e.Helper()
	_, err := e.s.Get(e.ctx, k, chunk.All)
	e.wantKind(err, errs.NotFound, "Get of deleted %s", k)
	i, err := e.s.Stat(e.ctx, k)
	if err != nil || !i.Deleted || i.Version != v || i.Key != k || i.Size != 0 {
		e.Fatalf("Stat of deleted %s: %+v, %v; want a tombstone of version %v", k, i, err, v)
	}
}
