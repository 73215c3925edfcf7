package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"torc/internal/errs"
	"torc/node"
)

func run(args ...string) (string, error) {
	var out bytes.Buffer
	cmd := newRoot()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err := cmd.Execute()
	return out.String(), err
}

func TestEveryCommandSaysWhatItIs(t *testing.T) {
	walk := func(path string, args []string) {
		out, err := run(append(args, "--help")...)
		if err != nil || !strings.Contains(out, "Usage:") {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
	}
	for _, c := range newRoot().Commands() {
		walk(c.Name(), []string{c.Name()})
		if c.Short == "" {
			t.Errorf("%s has no description", c.Name())
		}
		for _, sub := range c.Commands() {
			walk(c.Name()+" "+sub.Name(), []string{c.Name(), sub.Name()})
		}
	}
}

func TestBadInputGetsASentence(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"dev", "status", "--dir", dir}, "no development ring"},
		{[]string{"dev", "kill", "1", "--signal", "HUP", "--dir", dir}, "want KILL, STOP, CONT or TERM"},
		{[]string{"dev", "up", "--servers", "0", "--dir", filepath.Join(dir, "x")}, "want 1-64 servers"},
		{[]string{"dev", "up", "--s3-port", "65535", "--dir", filepath.Join(dir, "x")}, "out of range"},
		{[]string{"server", "--config", filepath.Join(dir, "none")}, "no such file"},
		{[]string{"status", "--dir", dir}, "say --dir or --config"},
		{[]string{"locate", "only-bucket"}, "usage: torc locate BUCKET KEY"},
		{[]string{"status", "--josn"}, "see 'torc status --help'"},
		{[]string{"dev", "statsu"}, "unknown command \"statsu\" for \"torc dev\""},
		{[]string{"cluster", "crate"}, "unknown command"},
		{[]string{"server", "--config", filepath.Join(dir, "none")}, "torc cluster create"},
		{[]string{"cluster", "create", "--out", dir, "--server", "s1=h", "--disk", "rel"}, "absolute"},
		{[]string{"cluster", "create", "--out", dir, "--server", "s1=h", "--disk", "/d", "--disk", "/d"}, "each once"},
		{[]string{"cluster", "create", "--out", dir, "--server", "s1=h", "--server", "s1=i", "--disk", "/d"}, "the id is taken"},
		{[]string{"cluster", "create", "--out", dir, "--server", "s1=h", "--server", "s2=h", "--disk", "/d"}, "another server has the host"},
		{[]string{"cluster", "create", "--out", dir, "--server", "ca=h", "--disk", "/d"}, "the id is taken"},
		{[]string{"cluster", "create", "--out", dir, "--server", "..=h", "--disk", "/d"}, "the id is taken"},
		{[]string{"cluster", "create", "--out", dir, "--server", "s1=h", "--disk", "/d", "--internal-port", "99999"}, "want 1 to 65534"},
		{[]string{"cluster", "create", "--out", dir, "--server", "s1", "--disk", "/d"}, "ID=HOST"},
		{[]string{"cluster", "create", "--out", dir, "--server", "s1=h,rack=1", "--disk", "/d"}, "unknown \"rack\""},
		{[]string{"nonsense"}, "unknown command"},
	} {
		if _, err := run(tc.args...); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("torc %s: %v, want %q", strings.Join(tc.args, " "), err, tc.want)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("bad input left %v", entries)
	}
}

func TestClusterCreateWritesLoadableFiles(t *testing.T) {
	out := filepath.Join(t.TempDir(), "ring")
	text, err := run("cluster", "create", "--out", out, "--server", "s1=10.0.0.1,zone=a", "--server", "s2=10.0.0.2,zone=b",
		"--server", "s3=10.0.0.3,zone=c", "--disk", "/srv/d1", "--disk", "/srv/d2")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"s1", "s2", "s3"} {
		file := filepath.Join(out, id, "torc.yaml")
		cfg, err := node.Load(file)
		if err != nil || cfg.Server != id || len(cfg.Members) != 3 || len(cfg.Disks) != 2 || !strings.Contains(text, file) {
			t.Errorf("%s: %v, %+v", file, err, cfg)
		}
		if _, err := run("config", "check", file); err != nil {
			t.Errorf("config check %s: %v", file, err)
		}
	}
	if _, err := run("cluster", "create", "--out", out, "--server", "s1=10.0.0.1", "--disk", "/srv/d1"); err == nil {
		t.Error("an existing cluster's keys were overwritten")
	}
}

// A pid file of a process that has ended, or whose pid somebody else now has, is not our server.
func TestProcessIsKnownByItsStart(t *testing.T) {
	r := &devRing{Dir: t.TempDir(), Servers: []devServer{{ID: "s1"}}}
	s := r.Servers[0]
	if err := os.MkdirAll(r.serverDir(s), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	_, start, err := procStat(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	write := func(start string) {
		if err := os.WriteFile(r.pidFile(s), []byte(strconv.Itoa(cmd.Process.Pid)+" "+start+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(start + "0")
	if _, ok := r.process(s); ok {
		t.Error("a process that started at another time was taken for ours")
	}
	write(start)
	p, ok := r.process(s)
	if !ok {
		t.Fatal("our process was not found")
	}
	if err := p.stop(t.Context(), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	<-ended
	if _, ok := r.process(s); ok {
		t.Error("an ended process is still found")
	}
}

func TestSmallClusterIsProtectedByCopies(t *testing.T) {
	out := filepath.Join(t.TempDir(), "ring")
	text, err := run("cluster", "create", "--out", out, "--server", "s1=h1", "--server", "s2=h2", "--disk", "/d")
	if err != nil || !strings.Contains(text, "2 copies") {
		t.Fatalf("%v\n%s", err, text)
	}
	cfg, err := node.Load(filepath.Join(out, "s2", "torc.yaml"))
	if err != nil || cfg.Policy.Copies != 2 || cfg.Policy.Parity != 0 {
		t.Errorf("%v, %+v", err, cfg.Policy)
	}
}

// Commands that a person pastes name the ring's directory only where they must.
func TestDevDirectoryInPastedCommands(t *testing.T) {
	t.Setenv("TORC_DIR", t.TempDir())
	if flag := (&devRing{Dir: defaultDir()}).dirFlag(); flag != "" {
		t.Errorf("the default directory is spelled out: %q", flag)
	}
	if flag := (&devRing{Dir: "/a b"}).dirFlag(); flag != " --dir '/a b'" {
		t.Errorf("got %q", flag)
	}
	if _, err := run("dev", "status"); err == nil || !strings.Contains(err.Error(), defaultDir()) {
		t.Errorf("dev does not look at TORC_DIR: %v", err)
	}
}

func TestDevUpKeepsTheShapeOfARing(t *testing.T) {
	r := &devRing{Dir: t.TempDir(), Servers: []devServer{{ID: "s1"}}}
	if err := r.save(); err != nil {
		t.Fatal(err)
	}
	if _, err := run("dev", "up", "--dir", r.Dir, "--servers", "5"); !errs.Is(err, errs.Exists) {
		t.Errorf("--servers was ignored: %v", err)
	}
	if out, err := run("dev", "status", "--dir", r.Dir); err == nil || !strings.Contains(err.Error(), "no server of the ring is running") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestInterruptedWaitIsNotCalledATimeout(t *testing.T) {
	r := &devRing{Dir: t.TempDir(), Servers: []devServer{{ID: "s1"}}}
	_, start, err := procStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = r.waitReady(ctx, r.Servers[0], proc{os.Getpid(), start}, time.Minute)
	if !errs.Is(err, errs.Canceled) || !strings.Contains(err.Error(), "dev down") {
		t.Errorf("got %v", err)
	}
}

func TestLocationInWords(t *testing.T) {
	loc := node.Location{Bucket: "b", Key: "k", Size: 7, Stripes: []node.StripeLocation{{Protection: "3 copies", Fragments: []node.FragmentLocation{
		{Node: "s1n1", Home: true, State: "sound"}, {Node: "s2n1", Home: true, State: "unreachable", Reason: "no answer"},
		{Index: 1, Node: "s2n2", State: "unreachable", Reason: "no answer"}, {Index: 1, Node: "s3n2", State: "sound"}}}}}
	var out bytes.Buffer
	if err := printLocation(&out, loc); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"in 1 stripe;", "s2n1", "s3n2", "hand-off", "(1 hand-off place cannot be asked either)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("location lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "s2n2") {
		t.Errorf("a hand-off place that may hold nothing is listed:\n%s", out.String())
	}
}

func TestStatusInWords(t *testing.T) {
	oldest := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	st := node.ClusterStatus{Cluster: "c1", AsSeenBy: "s1", State: "DEGRADED", Reasons: []string{"server s2 is OFFLINE: gone"},
		Ring:       node.RingStatus{Epoch: 3, Arcs: 64, Nodes: 2, Policies: []string{"3 copies, survives 1 server"}},
		Redundancy: node.RedundancyStatus{Known: true, Stripes: 2, MissingFragments: 3, Bytes: 1 << 20, Oldest: &oldest, Note: "a note"},
		Servers: []node.ServerStatus{{ID: "s1", State: "RUN", Nodes: []node.NodeStatus{{ID: "s1n1", State: "DISKERR",
			Disks: []node.DiskStatus{{Path: "/d1", State: "OFFLINE", Reason: "unmounted"}}}}}, {ID: "s2", State: "OFFLINE", Reason: "gone"}}}
	var out bytes.Buffer
	if err := printStatus(&out, st); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"DEGRADED", "server s2 is OFFLINE: gone", "epoch 3, 64 arcs", "leader none",
		"2 stripes owe 3 fragments", "1.0 MiB", "a note", "DISKERR", "unmounted"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("status lacks %q:\n%s", want, out.String())
		}
	}
	st.Redundancy.Known = false
	out.Reset()
	if err := printStatus(&out, st); err != nil || !strings.Contains(out.String(), "redundancy  unknown") {
		t.Errorf("unknown debt is not called unknown:\n%s", out.String())
	}
}

func TestErrorsKeepTheirKindOverTheSocket(t *testing.T) {
	if err := node.NewAdminClient(t.TempDir()).Ready(t.Context()); !errs.Is(err, errs.Unavailable) {
		t.Errorf("no server: %v", err)
	}
}
