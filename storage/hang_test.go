package storage

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"torc/chunk"
	"torc/internal/errs"
	"torc/internal/vfs"
)

// A put whose caller gives up while the disk hangs in a sync ends at once; what is
// then stored, here by a second attempt, are the bytes as they were.
func TestPutLeavesHungSync(t *testing.T) {
	d, _, _, faults, _ := faultyDisk(t)
	mustPut(t, d, testWrite(3, 100, 1)) // there is a container
	syncing, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	faults.Before = func(op vfs.Op, name string) {
		if op == vfs.OpSync && strings.HasSuffix(name, containerSuffix) {
			once.Do(func() { close(syncing); <-goOn })
		}
	}
	mustSet(t, faults, "sync & name('*.ctr') & times(1) -> EIO")
	want := testWrite(1, 100_000, 1)
	w := testWrite(1, 100_000, 1)
	w.Owner = []byte("owner")
	want.Owner = []byte("owner")
	result := make(chan error)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, err := d.Put(ctx, w)
		result <- err
	}()
	<-syncing
	cancel()
	if err := <-result; !errors.Is(err, errs.Canceled) {
		t.Fatalf("Put: %v", err)
	}
	clear(w.Data) // the caller's again
	clear(w.Owner)
	close(goOn)
	mustPut(t, d, testWrite(2, 100, 1)) // after the first
	mustHave(t, d, want)
}

// Reads that hang take up a bounded part of what serves them, and others give up in time.
func TestHungReadsAreBounded(t *testing.T) {
	d, _, _, faults, _ := faultyDisk(t)
	w := testWrite(1, 100, 1)
	mustPut(t, d, w)
	reading, goOn := make(chan struct{}, ReadsMax+1), make(chan struct{})
	faults.Before = func(op vfs.Op, name string) {
		if op == vfs.OpRead && strings.HasSuffix(name, containerSuffix) {
			reading <- struct{}{}
			<-goOn
		}
	}
	var wg sync.WaitGroup
	for range ReadsMax {
		wg.Go(func() { mustHave(t, d, w) })
	}
	for range ReadsMax {
		<-reading
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error)
	go func() {
		_, err := d.Get(ctx, w.Key, chunk.All)
		result <- err
	}()
	cancel()
	if err := <-result; !errors.Is(err, errs.Canceled) {
		t.Errorf("Get: %v", err)
	}
	if len(reading) != 0 {
		t.Error("more reads than the limit")
	}
	close(goOn)
	wg.Wait()
}
