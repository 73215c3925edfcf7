package node

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"torc/chunk"
	"torc/internal/clock"
	"torc/internal/errs"
	"torc/internal/vfs"
	"torc/ring"
	"torc/storage"
)

// diskSlot is a configured disk: open, or with the reason why not. A disk that
// cannot be used leaves its keys to the other servers; the rest of this one serves.
type diskSlot struct {
	cfg  Disk
	disk *storage.Disk // nil when it could not be opened
	err  error
}

// storageConfig is what one disk is opened or made with.
func storageConfig(c Config, d Disk) (storage.Config, error) {
	id, err := storage.ParseDiskID(d.UUID)
	if err != nil {
		return storage.Config{}, err
	}
	return storage.Config{
		FS: vfs.OS(), Dir: d.Path, IndexDir: d.Index,
		Cluster: storage.ClusterID(c.Cluster), Server: chunk.ServerID(c.Server), Disk: id,
		ContainerSize: int64(c.Storage.ContainerMiB) << 20,
	}, nil
}

// Format writes the superblocks of a server's disks, which must be empty. Their
// directories must be there, since a missing one is most likely a disk that is
// not mounted; makeDirs makes them all the same. It is done once, when a server
// is set up; starting never formats anything.
func Format(c Config, makeDirs bool) error {
	for _, d := range c.Disks { // all of them, before any is written to
		var err error
		if makeDirs {
			err = os.MkdirAll(d.Path, 0o700)
		} else {
			_, err = os.Stat(d.Path)
		}
		if err != nil {
			return errs.E("format", errs.KindOf(err), "disk %s: %w (mount the disk first)", d.Path, err)
		}
	}
	for _, d := range c.Disks {
		sc, err := storageConfig(c, d)
		if err != nil {
			return err
		}
		if _, err := storage.Create(sc); err != nil {
			return errs.Wrap("format", err)
		}
	}
	return saveDeal(c)
}

// dealFile remembers which disk was dealt to which node when the server was
// formatted: a disk's UUID to a node's id.
const dealFile = "disks.json"

// deal returns the node of each disk: by its order in the configuration alone,
// so that a missing disk never moves another's keys.
func (c Config) deal() map[string]chunk.NodeID {
	out := map[string]chunk.NodeID{}
	for i, d := range c.Disks {
		out[d.UUID] = nodeID(c.Server, i%c.Nodes+1)
	}
	return out
}

func saveDeal(c Config) error {
	data, err := json.MarshalIndent(c.deal(), "", "  ")
	if err != nil {
		return errs.Wrap("format", err)
	}
	return writeFileSync(filepath.Join(c.Dir, dealFile), append(data, '\n'), 0o600)
}

// checkDeal refuses a configuration whose disks have changed places: the keys on
// a disk would not be found where the ring looks for them.
func checkDeal(c Config) error {
	data, err := os.ReadFile(filepath.Join(c.Dir, dealFile))
	if err != nil {
		return errs.E("server", errs.KindOf(err), "%w (has 'torc server init' been run?)", err)
	}
	var was map[string]chunk.NodeID
	if err := json.Unmarshal(data, &was); err != nil {
		return errs.E("server", errs.Corrupt, "%s: %w", dealFile, err)
	}
	now := c.deal()
	for _, d := range c.Disks {
		if node, known := was[d.UUID]; known && node != now[d.UUID] {
			return errs.E("server", errs.Invalid, "disk %s belongs to storage node %s, but the order of the disks in the configuration gives it to %s: keep the order, and the line of a dead disk", d.Path, node, now[d.UUID])
		}
	}
	return nil
}

// openDisks opens all disks at once. A disk that cannot be used is left out,
// with the reason in its slot and in the log.
func openDisks(c Config, cache *pebble.Cache, clk clock.Clock, log *slog.Logger) []diskSlot {
	slots := make([]diskSlot, len(c.Disks))
	var wg sync.WaitGroup
	for i, d := range c.Disks {
		wg.Add(1)
		go func() {
			defer wg.Done()
			slots[i] = openDisk(c, d, cache, clk, log)
		}()
	}
	wg.Wait()
	for _, s := range slots {
		if s.err != nil {
			log.Error("disk is left out", "disk", s.cfg.Path, "reason", s.err.Error())
		}
	}
	return slots
}

func openDisk(c Config, d Disk, cache *pebble.Cache, clk clock.Clock, log *slog.Logger) diskSlot {
	slot := diskSlot{cfg: d}
	sc, err := storageConfig(c, d)
	if err != nil {
		slot.err = err
		return slot
	}
	sc.Cache, sc.Clock, sc.Log = cache, clk, log
	slot.disk, slot.err = storage.Open(sc)
	return slot
}

// nodeStores deals the disks out to the storage nodes in turn and returns each
// node's store. Which disk belongs to which node depends on the configuration
// alone, so a missing disk never moves another's keys.
func nodeStores(c Config, slots []diskSlot) (map[chunk.NodeID]chunk.ListStore, map[chunk.NodeID][]diskSlot, error) {
	dealt, node := map[chunk.NodeID][]diskSlot{}, c.deal()
	for _, s := range slots {
		dealt[node[s.cfg.UUID]] = append(dealt[node[s.cfg.UUID]], s)
	}
	stores := map[chunk.NodeID]chunk.ListStore{}
	for id, disks := range dealt {
		var parts []ring.Disk
		for _, s := range disks {
			d := ring.Disk{ID: s.cfg.UUID, Weight: 1}
			if s.disk != nil {
				d.Store = s.disk
			}
			parts = append(parts, d)
		}
		sp, err := ring.NewSpread(parts)
		if err != nil {
			return nil, nil, err
		}
		stores[id] = sp
	}
	return stores, dealt, nil
}

// closeDisks closes all open disks at once.
func closeDisks(slots []diskSlot) error {
	results := make(chan error, len(slots))
	for _, s := range slots {
		go func() {
			if s.disk == nil {
				results <- nil
				return
			}
			results <- s.disk.Close()
		}()
	}
	var first error
	for range slots {
		if err := <-results; err != nil && first == nil {
			first = err
		}
	}
	return first
}
