package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"torc/internal/errs"
)

func TestKeyringIsGeneratedWholeAndPrivate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keyring.json")
	a, b := NewKeyring("c1"), NewKeyring("c1")
	if a.RootSecretKey == b.RootSecretKey || a.Seal == b.Seal || a.Gossip == b.Gossip || a.AdminPassword == b.AdminPassword {
		t.Fatal("two keyrings share a secret")
	}
	if err := a.Save(file); err != nil {
		t.Fatal(err)
	}
	got, err := LoadKeyring(file, "c1")
	if err != nil || got != a {
		t.Fatalf("loaded %v, %v", got == a, err)
	}
	if len(got.GossipKey()) != keyLen || len(got.SealKey()) != keyLen || len(got.RootAccessKey) != 20 || len(got.RootSecretKey) != 40 {
		t.Fatalf("key lengths %d %d %d %d", len(got.GossipKey()), len(got.SealKey()), len(got.RootAccessKey), len(got.RootSecretKey))
	}
	if _, err := LoadKeyring(file, "other"); !errors.Is(err, errs.Invalid) {
		t.Errorf("another cluster's keyring: %v", err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKeyring(file, "c1"); !errors.Is(err, errs.Permission) {
		t.Errorf("a keyring that others can read: %v", err)
	}
	b.Seal = "short"
	if err := b.Save(file); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKeyring(file, "c1"); !errors.Is(err, errs.Invalid) {
		t.Errorf("a damaged keyring: %v", err)
	}
}

// No state may be RUN while something is wrong or owed.
func TestJudgeNeverCallsASickClusterRun(t *testing.T) {
	healthy := func() ClusterStatus {
		return ClusterStatus{
			Meta: MetaStatus{Leader: "s1"}, Redundancy: RedundancyStatus{Known: true},
			Servers: []ServerStatus{{ID: "s1", State: "RUN", Nodes: []NodeStatus{{ID: "s1n1", State: "RUN", Disks: []DiskStatus{{State: "OK"}}}}}},
		}
	}
	for name, tc := range map[string]struct {
		change func(*ClusterStatus)
		want   string
	}{
		"healthy":      {func(*ClusterStatus) {}, "RUN"},
		"server away":  {func(s *ClusterStatus) { s.Servers[0].State = "OFFLINE" }, "DEGRADED"},
		"disk warns":   {func(s *ClusterStatus) { s.Servers[0].Nodes[0].Disks[0].State = "DISKWARN" }, "DEGRADED"},
		"debt":         {func(s *ClusterStatus) { s.Redundancy.Stripes = 1 }, "DEGRADED"},
		"no leader":    {func(s *ClusterStatus) { s.Meta.Leader = "" }, "INCOMPLETE"},
		"debt unknown": {func(s *ClusterStatus) { s.Redundancy.Known = false }, "INCOMPLETE"},
	} {
		st := healthy()
		tc.change(&st)
		st.judge()
		if st.State != tc.want || (len(st.Reasons) > 0) != (tc.want != "RUN") {
			t.Errorf("%s: %s %v, want %s", name, st.State, st.Reasons, tc.want)
		}
	}
}

func TestClusterFilesNameTheirServer(t *testing.T) {
	cfg := newCluster(t)
	loaded, err := Load(filepath.Join(cfg.Dir, configFile))
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Server != "s1" || len(loaded.Disks) != 3 || loaded.Policy.Data != 2 {
		t.Errorf("configuration %+v", loaded)
	}
	entries, err := os.ReadDir(cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		private := strings.HasSuffix(e.Name(), ".key") || e.Name() == keyringFile || e.Name() == configFile
		if private && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode().Perm())
		}
		if e.Name() == "ca.key" {
			t.Error("the CA's key is on a server")
		}
	}
}
