package transport

import "sync"

// workers runs jobs on a bounded number of goroutines, the most recently used
// first (its stack is grown and warm). Beyond the bound jobs wait in a bounded queue.
type workers struct {
	max, queueMax int

	mu      sync.Mutex
	idle    []chan *job
	running int // goroutines, idle ones included
	queue   []*job
	closed  bool
	wg      sync.WaitGroup
}

// idleWorkersMax is how many goroutines stay when there is nothing to do.
const idleWorkersMax = 64

// dispatch starts or queues j; false when the queue is full or the pool closed.
func (w *workers) dispatch(j *job) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	if n := len(w.idle); n > 0 {
		ch := w.idle[n-1]
		w.idle = w.idle[:n-1]
		ch <- j // buffered: an idle worker has an empty channel
		return true
	}
	if w.running < w.max {
		w.running++
		w.wg.Add(1)
		go w.work(j)
		return true
	}
	if len(w.queue) >= w.queueMax {
		return false
	}
	w.queue = append(w.queue, j)
	return true
}

func (w *workers) work(j *job) {
	defer w.wg.Done()
	ch := make(chan *job, 1)
	for j != nil {
		j.run()
		j = w.next(ch)
	}
}

// next returns the next job, or nil when this worker should end.
func (w *workers) next(ch chan *job) *job {
	w.mu.Lock()
	if len(w.queue) > 0 {
		j := w.queue[0]
		w.queue[0] = nil
		w.queue = w.queue[1:]
		w.mu.Unlock()
		return j
	}
	if w.closed || len(w.idle) >= idleWorkersMax {
		w.running--
		w.mu.Unlock()
		return nil
	}
	w.idle = append(w.idle, ch)
	w.mu.Unlock()
	return <-ch
}

// close lets queued jobs finish and waits for all goroutines.
func (w *workers) close() {
	w.mu.Lock()
	w.closed = true
	for _, ch := range w.idle {
		close(ch)
	}
	w.running -= len(w.idle)
	w.idle = nil
	w.mu.Unlock()
	w.wg.Wait()
}
