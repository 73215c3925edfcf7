package chunktest_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"torc/chunk"
	"torc/chunk/chunktest"
	"torc/internal/errs"
)

// mutantEnv names the mutant that a child process runs the suite on.
const mutantEnv = "TORC_CHUNKTEST_MUTANT"

// A mutant is the model with one promise broken.
var mutants = map[string]func(m *chunk.Memory) chunk.ListStore{
	"put acknowledges and drops": func(m *chunk.Memory) chunk.ListStore {
		return &mutant{Memory: m, put: func(_ context.Context, w chunk.Write) (chunk.Receipt, error) {
			return chunk.Receipt{Want: 1, Durable: 1}, nil
		}}
	},
	"put forgets the owner": func(m *chunk.Memory) chunk.ListStore {
		return &mutant{Memory: m, put: func(ctx context.Context, w chunk.Write) (chunk.Receipt, error) {
			w.Owner = nil
			return m.Put(ctx, w)
		}}
	},
	"stale is silent": func(m *chunk.Memory) chunk.ListStore {
		return &mutant{Memory: m, put: func(ctx context.Context, w chunk.Write) (chunk.Receipt, error) {
			if r, err := m.Put(ctx, w); !errs.Is(err, errs.Stale) {
				return r, err
			}
			return chunk.Receipt{Want: 1, Durable: 1}, nil
		}}
	},
	"no limit on data": func(m *chunk.Memory) chunk.ListStore {
		return &mutant{Memory: m, put: func(ctx context.Context, w chunk.Write) (chunk.Receipt, error) {
			w.Data = w.Data[:min(len(w.Data), chunk.SizeMax)]
			return m.Put(ctx, w)
		}}
	},
	"put scribbles on its input": func(m *chunk.Memory) chunk.ListStore {
		return &mutant{Memory: m, put: func(ctx context.Context, w chunk.Write) (chunk.Receipt, error) {
			r, err := m.Put(ctx, w)
			if len(w.Data) > 4000 {
				w.Data[4000]++
			}
			return r, err
		}}
	},
	"get reads one byte late": func(m *chunk.Memory) chunk.ListStore {
		return &mutant{Memory: m, get: func(ctx context.Context, k chunk.Key, r chunk.Range) (*chunk.Chunk, error) {
			if r.Off == 64<<10-1 {
				r.Off++
				r.Len = max(0, r.Len-1)
			}
			return m.Get(ctx, k, r)
		}}
	},
	"get clamps ranges": func(m *chunk.Memory) chunk.ListStore {
		return &mutant{Memory: m, get: func(ctx context.Context, k chunk.Key, r chunk.Range) (*chunk.Chunk, error) {
			if info, err := m.Stat(ctx, k); err == nil && r.Off >= 0 && r.Off <= info.Size && r.Len > info.Size-r.Off {
				r.Len = -1
			}
			return m.Get(ctx, k, r)
		}}
	},
	"get ignores its context": func(m *chunk.Memory) chunk.ListStore {
		return &mutant{Memory: m, get: func(ctx context.Context, k chunk.Key, r chunk.Range) (*chunk.Chunk, error) {
			return m.Get(context.WithoutCancel(ctx), k, r)
		}}
	},
	"delete leaves no tombstone on nothing": func(m *chunk.Memory) chunk.ListStore {
		return &mutant{Memory: m, del: func(ctx context.Context, k chunk.Key, v chunk.Version) (chunk.Receipt, error) {
			if _, err := m.Stat(ctx, k); errs.Is(err, errs.NotFound) {
				return chunk.Receipt{Want: 1, Durable: 1}, nil
			}
			return m.Delete(ctx, k, v)
		}}
	},
	"list leaves tombstones out": func(m *chunk.Memory) chunk.ListStore {
		return &mutant{Memory: m, list: func(ctx context.Context, after *chunk.Key, limit int) ([]chunk.Info, error) {
			infos, err := m.List(ctx, after, limit)
			for len(infos) > 0 && infos[0].Deleted {
				infos = infos[1:]
			}
			return infos, err
		}}
	},
	"list includes after": func(m *chunk.Memory) chunk.ListStore {
		return &mutant{Memory: m, list: func(ctx context.Context, after *chunk.Key, limit int) ([]chunk.Info, error) {
			infos, err := m.List(ctx, after, limit)
			if err == nil && after != nil {
				if i, serr := m.Stat(ctx, *after); serr == nil {
					infos = append([]chunk.Info{i}, infos[:min(len(infos), limit-1)]...)
				}
			}
			return infos, err
		}}
	},
}

// TestMutant runs the suite on the mutant that the environment names. It is
// the child process of TestSuiteNotices and skips otherwise.
func TestMutant(t *testing.T) {
	name := os.Getenv(mutantEnv)
	if name == "" {
		t.Skip("runs as a child of TestSuiteNotices")
	}
	chunktest.Run(t, func(*testing.T) chunk.ListStore { return mutants[name](chunk.NewMemory()) })
}

// TestSuiteNotices shows that the suite fails on every mutant.
func TestSuiteNotices(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process per mutant")
	}
	var names []string
	for name := range mutants {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMutant$", "-test.failfast")
			cmd.Env = append(os.Environ(), mutantEnv+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestMutant/") {
				t.Fatalf("the suite passed (%v):\n%s", err, out)
			}
		})
	}
}

// mutant is Memory with some methods replaced.
type mutant struct {
	*chunk.Memory
	put  func(context.Context, chunk.Write) (chunk.Receipt, error)
	get  func(context.Context, chunk.Key, chunk.Range) (*chunk.Chunk, error)
	del  func(context.Context, chunk.Key, chunk.Version) (chunk.Receipt, error)
	list func(context.Context, *chunk.Key, int) ([]chunk.Info, error)
}

func (m *mutant) Put(ctx context.Context, w chunk.Write) (chunk.Receipt, error) {
	if m.put != nil {
		return m.put(ctx, w)
	}
	return m.Memory.Put(ctx, w)
}

func (m *mutant) Get(ctx context.Context, k chunk.Key, r chunk.Range) (*chunk.Chunk, error) {
	if m.get != nil {
		return m.get(ctx, k, r)
	}
	return m.Memory.Get(ctx, k, r)
}

func (m *mutant) Delete(ctx context.Context, k chunk.Key, v chunk.Version) (chunk.Receipt, error) {
	if m.del != nil {
		return m.del(ctx, k, v)
	}
	return m.Memory.Delete(ctx, k, v)
}

func (m *mutant) List(ctx context.Context, after *chunk.Key, limit int) ([]chunk.Info, error) {
	if m.list != nil {
		return m.list(ctx, after, limit)
	}
	return m.Memory.List(ctx, after, limit)
}
