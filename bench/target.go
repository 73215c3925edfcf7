package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// clockTick is the kernel's unit of process times (USER_HZ, 100 on Linux).
const clockTick = 10 * time.Millisecond

// target is the endpoints under load and the processes behind them.
type target struct {
	endpoints      []string
	access, secret string
	region         string
	pids           []int
}

func (t target) clients() ([]*minio.Client, error) {
	var out []*minio.Client
	for _, e := range t.endpoints {
		u, err := url.Parse(e)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("endpoint %q: want http://host:port", e)
		}
		c, err := minio.New(u.Host, &minio.Options{
			Creds:        credentials.NewStaticV4(t.access, t.secret, ""),
			Secure:       u.Scheme == "https",
			Region:       t.region,
			BucketLookup: minio.BucketLookupPath,
			MaxRetries:   1,
			Transport:    &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
		})
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// cpu is the user and system time of all server processes so far.
func (t target) cpu() (sum time.Duration) {
	for _, pid := range t.pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		f := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		for _, i := range []int{11, 12} { // utime, stime: proc(5) fields 14 and 15
			if n, err := strconv.ParseInt(f[i], 10, 64); err == nil {
				sum += time.Duration(n) * clockTick
			}
		}
	}
	return sum
}

// peakRSS is the largest VmHWM of the server processes, in bytes.
func (t target) peakRSS() (peak int64) {
	for _, pid := range t.pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(data), "\n") {
			var kib int64
			if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
				peak = max(peak, kib<<10)
			}
		}
	}
	return peak
}

func parsePids(s string) (pids []int, err error) {
	for _, f := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		n, err := strconv.Atoi(f)
		if err != nil {
			return nil, fmt.Errorf("--pids %q", f)
		}
		pids = append(pids, n)
	}
	return pids, nil
}

// ring is a Torc ring made for one run.
type ring struct {
	target target
	bin    string
	dir    string
}

func startRing(ctx context.Context, bin string) (*ring, error) {
	tmp, err := os.MkdirTemp("", "torc-bench")
	if err != nil {
		return nil, err
	}
	r := &ring{bin: bin, dir: filepath.Join(tmp, "ring")}
	start := time.Now()
	if err := r.torc(ctx, "up", "--s3-port", "0", "--s3-tls-port", "0", "--portal-port", "0", "--internal-port", "0", "--grace", "1s"); err != nil {
		r.stop()
		return nil, err
	}
	fmt.Printf("torc dev up: %.1f s\n", time.Since(start).Seconds())
	for n := 1; n <= 3; n++ {
		out, err := exec.CommandContext(ctx, bin, "dev", "env", "--dir", r.dir, "--server", strconv.Itoa(n)).Output()
		if err != nil {
			r.stop()
			return nil, err
		}
		env := map[string]string{}
		for _, line := range strings.Split(string(out), "\n") {
			if k, v, ok := strings.Cut(strings.TrimPrefix(line, "export "), "="); ok {
				env[k] = v
			}
		}
		r.target.endpoints = append(r.target.endpoints, env["AWS_ENDPOINT_URL"])
		r.target.access, r.target.secret, r.target.region = env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], env["AWS_DEFAULT_REGION"]
		pid, err := os.ReadFile(filepath.Join(r.dir, fmt.Sprintf("s%d", n), "server.pid"))
		if err != nil {
			r.stop()
			return nil, err
		}
		var p int
		if _, err := fmt.Sscan(string(pid), &p); err != nil {
			r.stop()
			return nil, err
		}
		r.target.pids = append(r.target.pids, p)
	}
	return r, nil
}

func (r *ring) torc(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, r.bin, append(append([]string{"dev"}, args...), "--dir", r.dir)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("torc dev %s: %v\n%s", args[0], err, out)
	}
	return nil
}

// stop ends the ring and removes it.
func (r *ring) stop() {
	if err := r.torc(context.Background(), "down", "--wipe"); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	os.RemoveAll(filepath.Dir(r.dir))
}

func cpuModel() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for _, line := range strings.Split(string(data), "\n") {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return "unknown processor"
}

func memTotal() string {
	data, err := os.ReadFile("/proc/meminfo")
	var kib int64
	if err == nil {
		_, err = fmt.Sscanf(string(data), "MemTotal: %d kB", &kib)
	}
	if err != nil {
		return "unknown memory"
	}
	return fmt.Sprintf("%d GiB", (kib+1<<19)>>20)
}
