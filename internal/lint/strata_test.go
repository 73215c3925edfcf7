package lint

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// stratum is a level of the house: packages import strictly lower levels only.
type stratum struct {
	why      string
	packages []string // import paths under the module; "x/..." covers x and below
}

// strata, lowest first (docs/architecture.md draws them).
var strata = []stratum{
	{"words and memory that everything uses", []string{"internal/errs", "internal/buf", "internal/lint"}},
	{"seams: time, files, certificates", []string{"internal/clock", "internal/vfs", "internal/pki"}},
	{"background loops, encoding", []string{"internal/loop", "internal/codec"}},
	{"the network", []string{"internal/transport"}},
	{"waist 1: what a chunk store is", []string{"chunk"}},
	{"waist 1's suite and its remote form", []string{"chunk/chunktest", "chunk/remote"}},
	{"the stores, and the database; none knows another", []string{"storage", "protect", "meta"}},
	{"the ring keeps its map in the database", []string{"ring"}},
	{"waist 2, who may use it, and what brings the ring back to its policy", []string{"object", "identity", "heal"}},
	{"pieces of protocols", []string{"access/s3/sigv4", "access/s3/checksum"}},
	{"connectors: protocols, no storage logic", []string{"access/s3"}},
	{"the composition root", []string{"node"}},
	{"programs and whole-cluster tests", []string{"cmd/torc", "cmd/torc/...", "test/...", "bench/..."}},
}

// exceptions are imports across one level, each with its reason.
var exceptions = map[string]string{}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func TestImportsGoDownOnly(t *testing.T) {
	pkgs := listPackages(t)
	if len(pkgs) < 5 {
		t.Fatalf("only %d packages listed: the listing is broken", len(pkgs))
	}
	for _, p := range pkgs {
		path := strings.TrimPrefix(p.ImportPath, "torc/")
		level := levelOf(path)
		if level < 0 {
			t.Errorf("package %s is in no stratum: add it to strata with its place", path)
			continue
		}
		for _, imp := range p.Imports {
			dep, ours := strings.CutPrefix(imp, "torc/")
			if !ours {
				continue
			}
			if dl := levelOf(dep); dl >= level && exceptions[path+" -> "+dep] == "" && !sameProgram(path, dep) {
				t.Errorf("%s (level %d, %s) imports %s (level %d)", path, level, strata[level].why, dep, dl)
			}
		}
	}
}

// sameProgram lets the parts of one program import each other.
func sameProgram(a, b string) bool {
	top := func(s string) string {
		return strings.Join(strings.SplitN(s, "/", 3)[:min(2, strings.Count(s, "/")+1)], "/")
	}
	return strings.HasPrefix(a, "cmd/") && top(a) == top(b) || strings.HasPrefix(a, "test/") && strings.HasPrefix(b, "test/") ||
		strings.HasPrefix(a, "bench") && strings.HasPrefix(b, "bench/")
}

func levelOf(path string) int {
	for i, s := range strata {
		for _, p := range s.packages {
			if base, tree := strings.CutSuffix(p, "/..."); path == p || tree && (path == base || strings.HasPrefix(path, base+"/")) {
				return i
			}
		}
	}
	return -1
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "torc/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []goPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}
