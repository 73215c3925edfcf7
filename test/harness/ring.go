// Package harness starts real rings of bin/torc processes for the whole-cluster
// tests, breaks them, and keeps the oracle: what was acknowledged must be
// readable, byte for byte, until it is overwritten or deleted.
//
// The binary is named by TORC_BIN ("make cluster" builds it and sets it).
package harness

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"torc/node"
)

// Ring is a development ring of real processes, removed when the test ends.
type Ring struct {
	T   *testing.T
	Dir string
	Bin string
}

// Up starts a ring on free ports; args are further flags of "torc dev up".
func Up(t *testing.T, args ...string) *Ring {
	t.Helper()
	r := New(t)
	r.Must(append([]string{"dev", "up", "--s3-port", "0", "--s3-tls-port", "0", "--portal-port", "0",
		"--internal-port", "0", "--grace", "2s"}, args...)...)
	return r
}

// New prepares a ring's directory without starting it.
func New(t *testing.T) *Ring {
	t.Helper()
	bin := os.Getenv("TORC_BIN")
	if bin == "" {
		t.Fatal("TORC_BIN does not name the binary under test; run 'make cluster'")
	}
	// Unix socket paths are short (108 bytes): t.TempDir can be too deep.
	dir, err := os.MkdirTemp("", "torc")
	if err != nil {
		t.Fatal(err)
	}
	r := &Ring{T: t, Dir: filepath.Join(dir, "ring"), Bin: bin}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := r.Run("dev", "logs", "-n", "15")
			t.Logf("the servers' logs:\n%s", out)
		}
		if _, err := os.Stat(filepath.Join(r.Dir, "dev.json")); err == nil {
			if out, err := r.Run("dev", "down", "--wipe"); err != nil {
				t.Errorf("dev down --wipe: %v\n%s", err, out)
			}
		}
		os.RemoveAll(dir)
	})
	return r
}

// Run runs a torc command on the ring and returns its whole output.
func (r *Ring) Run(args ...string) (string, error) {
	cmd := exec.Command(r.Bin, append(args, "--dir", r.Dir)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Must is Run that fails the test.
func (r *Ring) Must(args ...string) string {
	r.T.Helper()
	out, err := r.Run(args...)
	if err != nil {
		r.T.Fatalf("torc %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// Kill sends a signal to server n (from 1) and waits for its end if it is deadly.
func (r *Ring) Kill(n int, signal string) {
	r.T.Helper()
	r.Must("dev", "kill", strconv.Itoa(n), "--signal", signal)
}

// Start starts server n again and waits until it serves.
func (r *Ring) Start(n int) {
	r.T.Helper()
	r.Must("dev", "start", strconv.Itoa(n))
}

// Env returns the exports of "torc dev env" as a map.
func (r *Ring) Env(n int, args ...string) map[string]string {
	r.T.Helper()
	env := map[string]string{}
	sc := bufio.NewScanner(strings.NewReader(r.Must(append([]string{"dev", "env", "--server", strconv.Itoa(n)}, args...)...)))
	for sc.Scan() {
		if k, v, ok := strings.Cut(strings.TrimPrefix(sc.Text(), "export "), "="); ok {
			env[k] = strings.Trim(v, "'")
		}
	}
	return env
}

// Status asks server n for the cluster's status.
func (r *Ring) Status(n int) node.ClusterStatus {
	r.T.Helper()
	st, err := node.NewAdminClient(filepath.Join(r.Dir, "s"+strconv.Itoa(n))).Status(r.T.Context())
	if err != nil {
		r.T.Fatalf("status of server %d: %v", n, err)
	}
	return st
}

// Locate runs "torc locate --json".
func (r *Ring) Locate(bucket, key string) node.Location {
	r.T.Helper()
	var loc node.Location
	if err := json.Unmarshal([]byte(r.Must("locate", bucket, key, "--json")), &loc); err != nil {
		r.T.Fatal(err)
	}
	return loc
}

// Tool runs a client program against server n with the ring's environment and
// fails the test when it fails. It returns standard output.
func (r *Ring) Tool(n int, name string, args ...string) string {
	r.T.Helper()
	out, err := r.TryTool(n, nil, name, args...)
	if err != nil {
		r.T.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return out
}

// TryTool is Tool that returns the error, with standard error in it.
func (r *Ring) TryTool(n int, envArgs []string, name string, args ...string) (string, error) {
	r.T.Helper()
	ctx, cancel := context.WithTimeout(r.T.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = cleanEnv()
	for k, v := range r.Env(n, envArgs...) {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), &ToolError{err, stderr.String()}
	}
	return stdout.String(), nil
}

// ToolError is a client's failure with what it said.
type ToolError struct {
	Err    error
	Stderr string
}

// Error implements error.
func (e *ToolError) Error() string { return e.Err.Error() + "\n" + e.Stderr }

// cleanEnv is this process's environment without AWS settings.
func cleanEnv() []string {
	var out []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "AWS_") {
			out = append(out, kv)
		}
	}
	return append(out, "AWS_CONFIG_FILE=/nonexistent", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent", "AWS_EC2_METADATA_DISABLED=true")
}
