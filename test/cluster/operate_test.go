package cluster

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"torc/node"
	"torc/test/harness"
)

// Limits of an idle three-server development ring.
const (
	idleRSSMax  = 150 << 20 // bytes a server
	idleDiskMax = 1 << 30   // bytes in all
)

func TestIdleFootprint(t *testing.T) {
	r := harness.Up(t)
	st := r.Status(1)
	if st.State != "RUN" || len(st.Servers) != 3 || len(st.Servers[0].Nodes) != 6 {
		t.Fatalf("state %s %v, %d servers", st.State, st.Reasons, len(st.Servers))
	}
	for _, s := range st.Servers {
		t.Logf("%s: RSS %d MiB", s.ID, s.RSSBytes>>20)
		if s.RSSBytes > idleRSSMax {
			t.Errorf("server %s uses %d MiB idle, at most %d", s.ID, s.RSSBytes>>20, idleRSSMax>>20)
		}
	}
	used := diskUsage(t, r.Dir)
	t.Logf("on disk: %d MiB", used>>20)
	if used > idleDiskMax {
		t.Errorf("the idle ring takes %d MiB on disk, at most %d", used>>20, idleDiskMax>>20)
	}
}

// diskUsage adds up the blocks that files really take.
func diskUsage(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			bytes += st.Blocks * 512
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// status and locate tell the truth before, during and after the loss of a server.
func TestStatusAndLocateTellTheTruth(t *testing.T) {
	r := harness.Up(t)
	c := r.Client(1)
	bucket := "truth"
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	for key, size := range map[string]int{"small": 5000, "large": 10 << 20} {
		if err := harness.Put(t.Context(), c, bucket, key, harness.Pattern(1, size)); err != nil {
			t.Fatal(err)
		}
	}
	if loc := r.Locate(bucket, "small"); len(loc.Stripes) != 1 || len(loc.Stripes[0].Fragments) != 3 {
		t.Fatalf("small: want 3 copies of one stripe, got %+v", loc)
	}
	loc := r.Locate(bucket, "large")
	if len(loc.Stripes) != 2 {
		t.Fatalf("large: %d stripes, want 2", len(loc.Stripes))
	}
	for _, s := range loc.Stripes {
		perServer := map[string]int{}
		for _, f := range s.Fragments {
			perServer[f.Server]++
			if f.State != "sound" || !f.Home {
				t.Errorf("fragment %d: %s on %s, home %v", f.Index, f.State, f.Node, f.Home)
			}
		}
		if len(s.Fragments) != 6 || len(perServer) != 3 || perServer["s1"] != 2 || perServer["s2"] != 2 {
			t.Errorf("4+2 spreads as %v", perServer)
		}
	}
	if st := r.Status(2); st.State != "RUN" || st.Redundancy.Stripes != 0 {
		t.Errorf("healthy ring says %s, %d stripes owed: %v", st.State, st.Redundancy.Stripes, st.Reasons)
	}

	r.Kill(3, "KILL")
	if sound, all := r.Locate(bucket, "large").Sound(); sound != 8 || all != 12 {
		t.Errorf("with server 3 dead: %d of %d fragments sound, want 8 of 12", sound, all)
	}
	if err := harness.Put(t.Context(), c, bucket, "degraded", harness.Pattern(2, 1<<20)); err != nil {
		t.Fatalf("put with server 3 dead: %v", err)
	}
	st := r.Status(1)
	if st.State != "DEGRADED" || st.Redundancy.Stripes < 1 {
		t.Errorf("with server 3 dead and a write since: state %s, %d stripes owed", st.State, st.Redundancy.Stripes)
	}
	if out := r.Must("status"); !strings.Contains(out, "s3 is OFFLINE") {
		t.Errorf("status does not name the dead server:\n%s", out)
	}
}

// A client's connector dies in the middle of a PUT: no object, and its bytes go
// away by themselves once the server is back.
func TestNothingLeaksFromAKilledConnector(t *testing.T) {
	r := harness.Up(t)
	env := r.Env(1)
	r.Tool(1, "aws", "s3", "mb", "s3://leak")
	src := filepath.Join(t.TempDir(), "src")
	writeRandom(t, src, 200<<20)
	cmd := exec.Command("aws", "s3", "cp", "--no-progress", src, "s3://leak/half")
	cmd.Env = os.Environ()
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Env = append(cmd.Env, "AWS_MAX_ATTEMPTS=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, time.Minute, "bytes on disk", func() bool { return liveBytes(r.Status(2)) > 8<<20 })
	r.Kill(1, "KILL")
	if err := cmd.Wait(); err == nil {
		t.Fatal("the upload ended before its server was killed: make the file larger")
	}
	r.Start(1)
	for _, id := range uploads(t, r.Client(2), "leak") {
		key := "half"
		bucket := "leak"
		if _, err := r.Client(2).AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: &id}); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := harness.ListAll(t.Context(), r.Client(2), "leak")
	if err != nil || len(keys) != 0 {
		t.Fatalf("an unfinished upload left objects: %v, %v", keys, err)
	}
	waitFor(t, 2*time.Minute, "all bytes freed", func() bool { return liveBytes(r.Status(2)) == 0 })
}

// What was written while a server was away goes home when it is back; then
// deleting frees every byte, on hand-off places too.
func TestHandoffsComeHomeAndLeaveNothing(t *testing.T) {
	r := harness.Up(t)
	c, bucket := r.Client(1), "home"
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	r.Kill(3, "KILL")
	keys := map[string]int{"small": 5000, "large": 10 << 20, "tiny": 1}
	for key, size := range keys {
		if err := harness.Put(t.Context(), c, bucket, key, harness.Pattern(1, size)); err != nil {
			t.Fatal(err)
		}
	}
	r.Start(3)
	home := func(key string) bool {
		for _, s := range r.Locate(bucket, key).Stripes {
			for _, f := range s.Fragments {
				if !f.Home || f.State != "sound" {
					return false
				}
			}
		}
		return true
	}
	waitFor(t, time.Minute, "every fragment at home and nowhere else", func() bool { return home("small") && home("large") && home("tiny") })
	waitFor(t, time.Minute, "a clean bill", func() bool { return r.Status(2).State == "RUN" })
	for key := range keys {
		if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, time.Minute, "all bytes freed", func() bool { return liveBytes(r.Status(2)) == 0 })
}

func uploads(t *testing.T, c *s3.Client, bucket string) (ids []string) {
	t.Helper()
	out, err := c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range out.Uploads {
		ids = append(ids, *u.UploadId)
	}
	return ids
}

func liveBytes(st node.ClusterStatus) (n int64) {
	for _, s := range st.Servers {
		for _, nd := range s.Nodes {
			for _, d := range nd.Disks {
				n += d.LiveBytes
			}
		}
	}
	return n
}

func waitFor(t *testing.T, d time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(d)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, d)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// Bad input at start: a sentence on standard error, a non-zero exit, or service
// that goes on and says what is wrong.
func TestRefusesToStartBadly(t *testing.T) {
	r := harness.Up(t)
	conf := filepath.Join(r.Dir, "s1", "torc.yaml")
	server := func(t *testing.T, want string, file string) {
		t.Helper()
		out, err := exec.Command(r.Bin, "server", "--config", file).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("got %v\n%s\nwant a failure saying %q", err, out, want)
		}
	}
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(t *testing.T, old, new string) string {
		t.Helper()
		s := strings.Replace(string(text), old, new, 1)
		if s == string(text) {
			t.Fatalf("the configuration has no %q", old)
		}
		file := filepath.Join(t.TempDir(), "torc.yaml")
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	t.Run("unknown key", func(t *testing.T) { server(t, "unknown key", changed(t, "cluster:", "bogus: 1\ncluster:")) })
	t.Run("no file", func(t *testing.T) { server(t, "no such file", filepath.Join(r.Dir, "none.yaml")) })
	t.Run("second process", func(t *testing.T) { server(t, "in use", conf) })
	t.Run("directory in use", func(t *testing.T) {
		out, err := exec.Command(r.Bin, "dev", "up", "--dir", filepath.Dir(r.Dir)).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "not empty") {
			t.Errorf("got %v\n%s", err, out)
		}
	})
	t.Run("port in use", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		port := l.Addr().(*net.TCPAddr).Port
		out, err := exec.Command(r.Bin, "dev", "up", "--dir", filepath.Join(t.TempDir(), "x"), "--s3-port", fmt.Sprint(port),
			"--s3-tls-port", "0", "--portal-port", "0", "--internal-port", "0").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "in use") {
			t.Errorf("got %v\n%s", err, out)
		}
	})
}

// A disk whose directory is gone, empty or another's: the server starts without
// it, says so, writes nothing to it, and service goes on.
func TestBadDisksAreLeftAloneAndReported(t *testing.T) {
	r := harness.Up(t)
	load := harness.StartLoad(r, "load", 3, 4)
	load.Progress(t, 60, time.Minute)
	r.Kill(1, "TERM")
	disks := filepath.Join(r.Dir, "s1", "disks")
	mustRename(t, filepath.Join(disks, "disk1"), filepath.Join(disks, "gone"))
	mustRename(t, filepath.Join(disks, "disk2"), filepath.Join(disks, "tmp"))
	mustRename(t, filepath.Join(disks, "disk3"), filepath.Join(disks, "disk2"))
	mustRename(t, filepath.Join(disks, "tmp"), filepath.Join(disks, "disk3"))
	r.Start(1)
	st := r.Status(1)
	bad := map[string]string{}
	for _, n := range st.Servers[0].Nodes {
		for _, d := range n.Disks {
			if d.State != "OK" {
				bad[filepath.Base(d.Path)] = d.Reason
			}
		}
	}
	if len(bad) != 3 || bad["disk1"] == "" || bad["disk2"] == "" || bad["disk3"] == "" {
		t.Errorf("status reports %v; disk1 is missing, disk2 and disk3 are swapped", bad)
	}
	load.Progress(t, 60, time.Minute)
	load.Stop()
	load.Verify(t)
	if _, err := os.Stat(filepath.Join(disks, "disk1")); err == nil {
		t.Error("the missing disk's directory was made again: an unmounted disk would be written to")
	}
}

func mustRename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
