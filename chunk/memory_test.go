package chunk_test

import (
	"testing"

	"torc/chunk"
	"torc/chunk/chunktest"
)

func TestMemory(t *testing.T) {
	chunktest.Run(t, func(*testing.T) chunk.ListStore { return chunk.NewMemory() })
}

// A main key is a key like another to a single store.
func TestMemoryAsGroupStore(t *testing.T) {
	chunktest.RunStore(t, func(*testing.T) chunk.Store { return chunk.NewMemory() })
}

// The model keeps nothing itself; here the test keeps it for as long as a
// directory would.
func TestMemoryReopen(t *testing.T) {
	dirs := map[string]*chunk.Memory{}
	chunktest.RunReopen(t, func(_ *testing.T, dir string) (chunk.ListStore, func()) {
		if dirs[dir] == nil {
			dirs[dir] = chunk.NewMemory()
		}
		return dirs[dir], func() {}
	})
}
