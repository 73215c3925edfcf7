package cluster

import (
	"fmt"
	"testing"
	"time"

	"torc/test/harness"
)

// serveAgain is the promise: any one server killed, service goes on within it.
const serveAgain = 5 * time.Second

// Every server dies in turn, under load, and comes back. What was acknowledged
// stays; the others serve PUT, GET, LIST and DELETE within the promise.
func TestKillEachServerUnderLoad(t *testing.T) {
	r := harness.Up(t)
	load := harness.StartLoad(r, "load", 3, 6)
	load.Progress(t, 100, time.Minute)
	for victim := 1; victim <= 3; victim++ {
		r.Kill(victim, "KILL")
		for other := 1; other <= 3; other++ {
			if other != victim {
				mustServeWithin(t, r, other, serveAgain)
			}
		}
		load.Progress(t, 60, time.Minute)
		r.Start(victim)
		load.Progress(t, 60, time.Minute)
	}
	load.Stop()
	load.Verify(t)
	t.Logf("%d operations acknowledged, %d failed", load.Acked.Load(), load.Failed.Load())
}

// All servers die at once, mid-load; nothing acknowledged is lost and nobody
// has to do anything but start them.
func TestKillAllAtOnce(t *testing.T) {
	r := harness.Up(t)
	load := harness.StartLoad(r, "load", 3, 6)
	for range 3 {
		load.Progress(t, 80, time.Minute)
		done := make(chan struct{})
		for n := 1; n <= 3; n++ {
			go func() {
				defer func() { done <- struct{}{} }()
				_, _ = r.Run("dev", "kill", fmt.Sprint(n))
			}()
		}
		for range 3 {
			<-done
		}
		r.Must("dev", "up")
	}
	load.Progress(t, 20, time.Minute)
	load.Stop()
	load.Verify(t)
}

// A frozen server (SIGSTOP) must not stall the others, nor answer stale when it wakes.
func TestFrozenServer(t *testing.T) {
	r := harness.Up(t)
	load := harness.StartLoad(r, "load", 3, 4)
	load.Progress(t, 60, time.Minute)
	for victim := 1; victim <= 3; victim++ {
		r.Kill(victim, "STOP")
		mustServeWithin(t, r, victim%3+1, 2*serveAgain)
		r.Kill(victim, "CONT")
		load.Progress(t, 40, 2*time.Minute)
	}
	load.Stop()
	load.Verify(t)
}

// mustServeWithin puts, gets, lists and deletes through one server until all
// four succeed in a row, and fails the test when that takes longer than d.
func mustServeWithin(t *testing.T, r *harness.Ring, server int, d time.Duration) {
	t.Helper()
	start := time.Now()
	c := r.Client(server)
	var err error
	for attempt := 0; time.Since(start) < d; attempt++ {
		if err = serveOnce(t, c, fmt.Sprintf("probe/%d/%d", server, attempt)); err == nil {
			t.Logf("server %d serves %v after the fault", server, time.Since(start).Round(time.Millisecond))
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("server %d does not serve within %v: %v", server, d, err)
}
