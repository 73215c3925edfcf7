package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"torc/internal/errs"
)

func validConfig(dir string) Config {
	c := Default()
	c.Cluster, c.Server, c.Dir = "c1", "s1", dir
	c.Nodes = 1
	c.Members = []Member{{ID: "s1", Addr: "127.0.0.1:1", Gossip: "127.0.0.1:2", Nodes: 1, Weight: 1}}
	c.Disks = []Disk{{Path: filepath.Join(dir, "d1"), UUID: "u1"}}
	c.TLS = TLSConfig{CA: "ca", Cert: "cert", Key: "key"}
	c.Keyring = "keyring"
	return c
}

func TestConfigRoundTrip(t *testing.T) {
	dir := t.TempDir()
	text, err := Render(validConfig(dir), false)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "torc.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := Render(got, false); again != text {
		t.Fatalf("loaded configuration differs:\n%s\n---\n%s", again, text)
	}
}

func TestConfigRefusesWithASentence(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no identity":    {func(c *Config) { c.Cluster = "" }, "without an identity"},
		"stranger":       {func(c *Config) { c.Server = "s9" }, "not among the members"},
		"relative dir":   {func(c *Config) { c.Dir = "x" }, "absolute"},
		"few disks":      {func(c *Config) { c.Nodes = 2; c.Members[0].Nodes = 2 }, "needs a disk of its own"},
		"bad address":    {func(c *Config) { c.S3.HTTP = "8000" }, "not host:port"},
		"bad policy":     {func(c *Config) { c.Policy.Copies = 9 }, "copies"},
		"parity too big": {func(c *Config) { c.Policy.Parity = 300 }, "out of range"},
		"stripe":         {func(c *Config) { c.Policy.StripeMiB = 9 }, "stripe_mib"},
		"same address":   {func(c *Config) { c.Members[0].Gossip = c.Members[0].Addr }, "of its own"},
	} {
		c := validConfig("/x")
		tc.change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func TestLoadNamesTheUnknownKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "torc.yaml")
	if err := os.WriteFile(file, []byte("cluster: a\nbogus: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(file)
	if !errors.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "unknown key bogus") {
		t.Fatalf("got %v", err)
	}
}

// The rendered default is what people copy; changes to it are reviewed here.
func TestDefaultConfigGolden(t *testing.T) {
	got, err := Render(Default(), true)
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/default.yaml"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Fatalf("the default configuration changed (UPDATE_GOLDEN=1 rewrites %s):\n%s", golden, got)
	}
}
