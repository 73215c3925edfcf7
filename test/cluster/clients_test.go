package cluster

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"torc/test/harness"
)

// Sizes of the AWS CLI test.
const (
	bigFile    = 1 << 30 // bytes: a multipart upload with the CLI's default settings
	smallFiles = 2000
)

// The main job on real input: the AWS CLI with its default settings, a 1 GiB
// multipart upload read back through every server, over HTTP and HTTPS, then
// through the survivors of a server's death.
func TestAWSCLIBigFileSurvivesAnyServer(t *testing.T) {
	r := harness.Up(t)
	dir := t.TempDir()
	src := filepath.Join(dir, "big")
	want := writeRandom(t, src, bigFile)
	r.Tool(1, "aws", "s3", "mb", "s3://big")
	r.Tool(1, "aws", "s3", "cp", "--no-progress", src, "s3://big/dir/big.bin")
	if err := os.Remove(src); err != nil {
		t.Fatal(err)
	}
	if sum := download(t, r, 2, nil, "s3://big/dir/big.bin", dir); sum != want {
		t.Fatalf("through server 2: SHA-256 %s, want %s", sum, want)
	}
	if sum := download(t, r, 3, []string{"--https"}, "s3://big/dir/big.bin", dir); sum != want {
		t.Fatalf("through server 3 over HTTPS: SHA-256 %s, want %s", sum, want)
	}
	for victim := 1; victim <= 3; victim++ {
		r.Kill(victim, "KILL")
		if sum := download(t, r, victim%3+1, nil, "s3://big/dir/big.bin", dir); sum != want {
			t.Fatalf("with server %d dead: SHA-256 %s, want %s", victim, sum, want)
		}
		r.Start(victim)
	}
	r.Tool(1, "aws", "s3", "rb", "--force", "s3://big")
	if out := r.Tool(2, "aws", "s3", "ls"); strings.TrimSpace(out) != "" {
		t.Fatalf("buckets left: %s", out)
	}
}

func TestAWSCLISyncSmallFiles(t *testing.T) {
	r := harness.Up(t)
	src, dst := filepath.Join(t.TempDir(), "src"), filepath.Join(t.TempDir(), "dst")
	want := writeTree(t, src, smallFiles)
	r.Tool(1, "aws", "s3", "mb", "s3://tree")
	r.Tool(1, "aws", "s3", "sync", "--no-progress", "--quiet", src, "s3://tree/pre fix/")
	r.Tool(3, "aws", "s3", "sync", "--no-progress", "--quiet", "s3://tree/pre fix/", dst)
	got := readTree(t, dst)
	if len(got) != len(want) {
		t.Fatalf("%d files came back of %d", len(got), len(want))
	}
	for name, sum := range want {
		if got[name] != sum {
			t.Errorf("%s: SHA-256 %x, want %x", name, got[name], sum)
		}
	}
	if out := r.Tool(2, "aws", "s3", "sync", "--no-progress", src, "s3://tree/pre fix/"); strings.TrimSpace(out) != "" {
		t.Errorf("a second sync finds something to do:\n%s", out)
	}
	r.Tool(2, "aws", "s3", "rm", "--recursive", "--quiet", "s3://tree/")
	if out := r.Tool(1, "aws", "s3", "ls", "--recursive", "s3://tree/"); strings.TrimSpace(out) != "" {
		t.Errorf("objects left: %s", out)
	}
}

// boto3 does what its users do; testdata/boto3_walk.py asserts each step.
func TestBoto3Walk(t *testing.T) {
	r := harness.Up(t)
	for _, args := range [][]string{nil, {"--https"}} {
		out, err := r.TryTool(1, args, "python3", "testdata/boto3_walk.py")
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		if !strings.HasSuffix(strings.TrimSpace(out), "walk complete") {
			t.Fatalf("%v: the walk did not finish:\n%s", args, out)
		}
	}
}

func writeRandom(t *testing.T, path string, size int64) string {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	var seed [32]byte
	if _, err := io.CopyN(io.MultiWriter(f, h), rand.NewChaCha8(seed), size); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// download copies an object to a file with the AWS CLI, hashes and removes it.
func download(t *testing.T, r *harness.Ring, server int, env []string, url, dir string) string {
	t.Helper()
	dst := filepath.Join(dir, "down")
	if out, err := r.TryTool(server, env, "aws", "s3", "cp", "--no-progress", url, dst); err != nil {
		t.Fatalf("download through server %d: %v\n%s", server, err, out)
	}
	defer os.Remove(dst)
	f, err := os.Open(dst)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, bufio.NewReaderSize(f, 1<<20)); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// writeTree makes n small files with awkward names and returns their hashes.
func writeTree(t *testing.T, dir string, n int) map[string][32]byte {
	t.Helper()
	odd := []string{"plain", "with space", "plus+and&amp", "ünïcode-日本", "per%20cent", "quote'\"", "tilde~dot.."}
	sums := map[string][32]byte{}
	for i := range n {
		name := filepath.Join(fmt.Sprintf("d%02d", i%37), fmt.Sprintf("%s %04d.txt", odd[i%len(odd)], i))
		data := harness.Pattern(uint64(i), i%9000)
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		sums[name] = harness.Sum(data)
	}
	return sums
}

func readTree(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	sums := map[string][32]byte{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		sums[rel] = harness.Sum(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}
