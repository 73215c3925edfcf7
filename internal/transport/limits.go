package transport

import "time"

// Timing of connections.
const (
	DialTimeout       = 2 * time.Second        // TCP, TLS and preface together
	KeepaliveInterval = 500 * time.Millisecond // between looks at each link
	KeepaliveTimeout  = 2 * time.Second        // of silence, while an answer is owed, breaks a link
	BackoffMin        = 20 * time.Millisecond  // after a first failed dial
	BackoffMax        = time.Second            // after many
	IdleTimeout       = 5 * time.Minute        // without a call closes a link
)

// Sizes that steer how frames travel.
const (
	BulkLenMin = 256 << 10 // bytes of body, sent or expected, that make a call bulk
	CopyLenMax = 16 << 10  // bytes of body up to which a frame is copied into the send buffer
	TextLenMax = 4 << 10   // bytes of error text that travel
)

// BulkLinksMax bounds the bulk links of a client to one address.
const BulkLinksMax = 4

// Limits bound what a server takes on. Zero fields mean the default.
type Limits struct {
	Handlers      int   // handlers running at once, all links together
	Queue         int   // requests waiting for a handler; beyond: Overload
	LinkCalls     int   // calls in flight on one link for small calls
	LinkBulkCalls int   // calls in flight on one bulk link
	LinkBytes     int64 // bytes of requests in flight on one link, at least WindowMin
	LinkSends     int   // one-way requests waiting on one link; beyond: dropped
	Links         int   // connections accepted at once
}

// WindowMin is the least window, in bytes: one largest request must fit beside
// the part of a window that gathers before the server gives it back.
const WindowMin = (BodyLenMax + HeadLenMax + headerLen) * 4 / 3

// Defaults of Limits.
const (
	HandlersDefault      = 1024
	QueueDefault         = 4096
	LinkCallsDefault     = 1024
	LinkBulkCallsDefault = 64
	LinkBytesDefault     = 32 << 20
	LinkSendsDefault     = 8192
	LinksDefault         = 16384
)

func (l Limits) withDefaults() Limits {
	set := func(p *int, d int) {
		if *p <= 0 {
			*p = d
		}
	}
	set(&l.Handlers, HandlersDefault)
	set(&l.Queue, QueueDefault)
	set(&l.LinkCalls, LinkCallsDefault)
	set(&l.LinkBulkCalls, LinkBulkCallsDefault)
	set(&l.LinkSends, LinkSendsDefault)
	set(&l.Links, LinksDefault)
	if l.LinkBytes <= 0 {
		l.LinkBytes = LinkBytesDefault
	}
	l.LinkBytes = max(l.LinkBytes, WindowMin)
	return l
}
