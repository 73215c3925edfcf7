package storage

import (
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// The six disks of a server share a cache and must idle in a few MiB each.
func TestSixDisksIdleSmall(t *testing.T) {
	cache := pebble.NewCache(8 << 20)
	defer cache.Unref()
	var cfgs []Config
	for range 6 {
		cfg := Config{Dir: t.TempDir(), Cluster: "c1", Server: "s1", ContainerSize: 16 << 20, Cache: cache}
		mustCreate(t, cfg)
		cfgs = append(cfgs, cfg)
	}
	before := heap()
	start := time.Now()
	for _, cfg := range cfgs {
		d := mustOpen(t, cfg)
		mustPut(t, d, testWrite(1, 4096, 1))
	}
	t.Logf("six disks opened and written in %v", time.Since(start))
	if grown := heap() - before; grown > 6*8<<20 {
		t.Errorf("six idle disks hold %d MiB of heap", grown>>20)
	} else {
		t.Logf("heap grew by %d KiB; %s", grown>>10, rss())
	}
}

func heap() int64 {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func rss() string {
	b, _ := os.ReadFile("/proc/self/status") // for the log only
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "VmRSS") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
