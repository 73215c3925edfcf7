package transport

import "sync/atomic"

// counters are the live figures of a Client or Server.
type counters struct {
	calls, sends, failed, overloads, dropped, dials, dialErrors atomic.Int64
	bytesIn, bytesOut, inFlight, links                          atomic.Int64
}

// Stats is a snapshot of a Client's or Server's figures since it was made.
type Stats struct {
	Calls      int64 // calls made or served
	Sends      int64 // one-way requests sent or served
	Failed     int64 // calls that ended in an error
	Overloads  int64 // server: refused because the queue was full
	Dropped    int64 // server: one-way requests dropped because their queue was full
	Dials      int64 // client: connections opened
	DialErrors int64 // client: attempts that failed
	BytesIn    int64 // payload and headers received
	BytesOut   int64 // payload and headers sent
	InFlight   int64 // calls being made or served now
	Links      int64 // connections open now
}

func (c *counters) snapshot() Stats {
	return Stats{
		Calls: c.calls.Load(), Sends: c.sends.Load(), Failed: c.failed.Load(),
		Overloads: c.overloads.Load(), Dropped: c.dropped.Load(),
		Dials: c.dials.Load(), DialErrors: c.dialErrors.Load(),
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		InFlight: c.inFlight.Load(), Links: c.links.Load(),
	}
}
