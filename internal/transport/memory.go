package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"torc/internal/clock"
	"torc/internal/errs"
)

// Memory is a network inside the process, whose links between named hosts
// misbehave on request. A host's name is what stands before the colon of its
// addresses. A blocked direction behaves like TCP through a cut cable: bytes
// wait and arrive after Heal, dialling hangs until its context ends.
type Memory struct {
	clock clock.Clock

	mu        sync.Mutex
	change    *sync.Cond // broadcast on every change of faults
	listeners map[string]*memListener
	conns     map[*memConn]struct{}
	faults    map[direction]*fault
	nextPort  int
}

// direction is a pair of host names.
type direction struct{ from, to string }

// fault is what is wrong with one direction.
type fault struct {
	blocked bool
	delay   time.Duration
	flip    int64 // bytes until one bit is flipped; 0: none
}

var errReset = errors.New("connection reset by peer")

// NewMemory returns a healthy network; c times the delays (nil: clock.System{}).
func NewMemory(c clock.Clock) *Memory {
	if c == nil {
		c = clock.System{}
	}
	m := &Memory{clock: c, listeners: map[string]*memListener{}, conns: map[*memConn]struct{}{},
		faults: map[direction]*fault{}, nextPort: 40000}
	m.change = sync.NewCond(&m.mu)
	return m
}

// Host returns the network as the named host sees it.
func (m *Memory) Host(name string) Network { return &memHost{m, name} }

// Partition blocks both directions between a and b.
func (m *Memory) Partition(a, b string) {
	m.Block(a, b)
	m.Block(b, a)
}

// Block stops what from sends to to; the other direction is untouched.
func (m *Memory) Block(from, to string) { m.set(from, to, func(f *fault) { f.blocked = true }) }

// Delay makes each write from one host to the other arrive d later.
func (m *Memory) Delay(from, to string, d time.Duration) {
	m.set(from, to, func(f *fault) { f.delay = d })
}

// FlipBit flips one bit of the nth byte (from 1) that from sends to to from now on.
func (m *Memory) FlipBit(from, to string, nth int64) {
	m.set(from, to, func(f *fault) { f.flip = nth })
}

// Heal removes every fault between a and b, in both directions.
func (m *Memory) Heal(a, b string) {
	m.set(a, b, func(f *fault) { *f = fault{} })
	m.set(b, a, func(f *fault) { *f = fault{} })
}

// HealAll removes every fault.
func (m *Memory) HealAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.faults)
	m.change.Broadcast()
}

// Reset breaks every open connection between a and b, as a reboot would; what
// was on its way is lost.
func (m *Memory) Reset(a, b string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.conns {
		if d := c.in.dir; d == (direction{a, b}) || d == (direction{b, a}) {
			c.in.breakWith(errReset)
			c.out.breakWith(errReset)
		}
	}
	m.change.Broadcast()
}

func (m *Memory) set(from, to string, change func(*fault)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := direction{from, to}
	if m.faults[d] == nil {
		m.faults[d] = &fault{}
	}
	change(m.faults[d])
	m.change.Broadcast()
}

// blocked reports whether a direction is cut; m.mu is held.
func (m *Memory) blocked(d direction) bool { return m.faults[d] != nil && m.faults[d].blocked }

// memHost is the network seen from one host.
type memHost struct {
	m    *Memory
	name string
}

// Listen implements Network. An address without a host means the host's own.
func (h *memHost) Listen(addr string) (net.Listener, error) {
	host, port, ok := strings.Cut(addr, ":")
	if !ok || host != "" && host != h.name {
		return nil, errs.E("transport: listen", errs.Invalid, "%q is not an address of host %q", addr, h.name)
	}
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if port == "0" || port == "" {
		h.m.nextPort++
		port = fmt.Sprint(h.m.nextPort)
	}
	addr = h.name + ":" + port
	if h.m.listeners[addr] != nil {
		return nil, errs.E("transport: listen", errs.Exists, "address %s is in use", addr)
	}
	l := &memListener{m: h.m, addr: memAddr(addr)}
	h.m.listeners[addr] = l
	return l, nil
}

// Dial implements Network.
func (h *memHost) Dial(ctx context.Context, addr string) (net.Conn, error) {
	m := h.m
	host, _, _ := strings.Cut(addr, ":")
	there, back := direction{h.name, host}, direction{host, h.name}
	stop := context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.change.Broadcast()
	})
	defer stop()
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.blocked(there) || m.blocked(back) {
		if err := ctx.Err(); err != nil {
			return nil, errs.Wrap("transport: dial "+addr, err)
		}
		m.change.Wait()
	}
	l := m.listeners[addr]
	if l == nil || len(l.backlog) >= memBacklogMax {
		return nil, errs.E("transport: dial", errs.Unavailable, "%s refuses connections", addr)
	}
	m.nextPort++
	local := memAddr(fmt.Sprintf("%s:%d", h.name, m.nextPort))
	ab, ba := &memPipe{m: m, dir: there}, &memPipe{m: m, dir: back}
	mine := &memConn{m: m, in: ba, out: ab, local: local, remote: l.addr}
	theirs := &memConn{m: m, in: ab, out: ba, local: l.addr, remote: local}
	m.conns[mine], m.conns[theirs] = struct{}{}, struct{}{}
	l.backlog = append(l.backlog, theirs)
	m.change.Broadcast()
	return mine, nil
}

type memAddr string

func (memAddr) Network() string  { return "memory" }
func (a memAddr) String() string { return string(a) }

// memBacklogMax bounds the connections that wait for Accept.
const memBacklogMax = 128

type memListener struct {
	m       *Memory
	addr    memAddr
	backlog []*memConn
	closed  bool
}

func (l *memListener) Addr() net.Addr { return l.addr }

func (l *memListener) Accept() (net.Conn, error) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	for len(l.backlog) == 0 {
		if l.closed {
			return nil, net.ErrClosed
		}
		l.m.change.Wait()
	}
	c := l.backlog[0]
	l.backlog = l.backlog[1:]
	return c, nil
}

func (l *memListener) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	l.closed = true
	delete(l.m.listeners, string(l.addr))
	for _, c := range l.backlog {
		c.in.breakWith(errReset)
		c.out.breakWith(errReset)
		delete(l.m.conns, c)
	}
	l.backlog = nil
	l.m.change.Broadcast()
	return nil
}
