package node

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"torc/chunk"
	"torc/internal/errs"
	"torc/internal/transport"
	"torc/object"
	"torc/protect"
	"torc/ring"
)

// MethodStatus asks a server for its ServerStatus (JSON in the reply's head or body).
const MethodStatus transport.Method = 0x0401

// peerStatusWait bounds how long one server waits for another's status.
const peerStatusWait = 2 * time.Second

// redundancyNote says what the debt figure is and what it is not.
const redundancyNote = "counts writes made while a home was away; fragments lost later are found by 'torc locate', not counted yet"

// serveStatus answers a peer with this server's status.
func (s *Server) serveStatus(context.Context, transport.Peer, transport.Request) (*transport.Reply, error) {
	body, err := json.Marshal(s.localStatus())
	if err != nil {
		return nil, errs.Wrap("node.status", err)
	}
	return transport.NewReply(nil, body, nil), nil
}

// localStatus describes this server from what it knows itself.
func (s *Server) localStatus() ServerStatus {
	self, _ := s.cfg.Member(s.cfg.Server)
	st := ServerStatus{ID: s.cfg.Server, Addr: self.Addr, State: "RUN", Version: s.opts.Version, Started: s.started, RSSBytes: residentBytes()}
	if err := s.ready.check(); err != nil {
		st.State, st.Reason = "LOADING", err.Error()
	}
	for scheme, addr := range map[string]string{"http://": s.cfg.S3.HTTP, "https://": s.cfg.S3.HTTPS} {
		if addr != "" {
			st.S3 = append(st.S3, scheme+addr)
		}
	}
	st.Meta = s.metaStatus()
	for n := range s.cfg.Nodes {
		id := nodeID(s.cfg.Server, n+1)
		st.Nodes = append(st.Nodes, nodeStatus(id, s.nodes[id]))
	}
	s.workerStatus(&st)
	return st
}

func (s *Server) metaStatus() MetaStatus {
	out := MetaStatus{Voters: len(metaPeers(s.cfg))}
	if s.meta == nil {
		return out
	}
	for _, r := range s.meta.Status().Ranges {
		out.Leader, out.Term, out.Applied = r.Leader, r.Term, r.Applied
	}
	return out
}

// nodeStatus sums up a node's disks; its state is the worst of theirs.
func nodeStatus(id chunk.NodeID, disks []diskSlot) NodeStatus {
	n := NodeStatus{ID: string(id), State: "RUN"}
	for _, slot := range disks {
		d := DiskStatus{Path: slot.cfg.Path, UUID: slot.cfg.UUID, State: "OFFLINE"}
		if slot.disk == nil {
			d.Reason = slot.err.Error()
			n.State = "DISKERR"
		} else {
			ds := slot.disk.Status()
			d.State, d.Reason = ds.State.String(), ds.Reason
			d.CapacityBytes, d.UsedBytes, d.LiveBytes, d.Chunks = ds.Capacity, ds.Used, ds.LiveData, ds.Chunks
			if d.State != "OK" && n.State == "RUN" {
				n.State = d.State
			}
		}
		n.Disks = append(n.Disks, d)
	}
	return n
}

// clusterStatus asks every server at once; who does not answer is OFFLINE.
func (s *Server) clusterStatus(ctx context.Context) ClusterStatus {
	st := ClusterStatus{Cluster: s.cfg.Cluster, AsSeenBy: s.cfg.Server, Time: s.opts.Clock.Now().UTC(), Servers: make([]ServerStatus, len(s.cfg.Members))}
	var wg sync.WaitGroup
	for i, m := range s.cfg.Members {
		wg.Add(1)
		go func() { defer wg.Done(); st.Servers[i] = s.serverStatus(ctx, m) }()
	}
	wg.Wait()
	if m := s.router.Map(); m != nil {
		explain := ring.Explain(m)
		st.Ring = RingStatus{Epoch: uint64(m.Epoch()), Arcs: m.Arcs(), Nodes: len(m.Nodes())}
		if p, err := s.cfg.ObjectPolicy(); err == nil {
			st.Ring.Policies = append(st.Ring.Policies,
				fmt.Sprintf("below %d bytes: %s, survives the loss of %s", p.SmallSize, p.Small, explain.Survives(p.Small)),
				fmt.Sprintf("from %d bytes: %s, survives the loss of %s", p.SmallSize, p.Large, explain.Survives(p.Large)))
		}
	}
	st.Meta = s.metaStatus()
	for _, srv := range st.Servers {
		if srv.Meta.Leader != "" && srv.Meta.Term >= st.Meta.Term {
			st.Meta = srv.Meta
		}
	}
	s.ledgers(ctx, &st)
	st.judge()
	return st
}

func (s *Server) serverStatus(ctx context.Context, m Member) ServerStatus {
	if m.ID == s.cfg.Server {
		return s.localStatus()
	}
	out := ServerStatus{ID: m.ID, Addr: m.Addr, State: "OFFLINE"}
	ctx, cancel := context.WithTimeout(ctx, peerStatusWait)
	defer cancel()
	reply, err := s.peers.Call(ctx, m.Addr, transport.Request{Method: MethodStatus})
	if err != nil {
		out.Reason = err.Error()
		return out
	}
	defer reply.Release()
	if err := json.Unmarshal(reply.Body, &out); err != nil {
		out.State, out.Reason = "OFFLINE", "its status cannot be read: "+err.Error()
	}
	return out
}

// ledgers fills in what the database knows to be owed and waiting.
func (s *Server) ledgers(ctx context.Context, st *ClusterStatus) {
	st.Redundancy.Note = redundancyNote
	ctx, cancel := context.WithTimeout(ctx, peerStatusWait)
	defer cancel()
	debt, err := object.SumDebt(ctx, s.db)
	if err != nil {
		return
	}
	r := &st.Redundancy
	r.Known, r.Stripes, r.MissingFragments, r.Misplaced, r.Bytes = true, debt.Stripes, debt.Missing, debt.Misplaced, debt.Bytes
	if !debt.Oldest.IsZero() {
		r.Oldest = &debt.Oldest
	}
	for _, srv := range st.Servers {
		if srv.Purge != nil && srv.Purge.Active {
			st.Purge = *srv.Purge
		}
	}
}

// workerStatus fills in the background work of this server.
func (s *Server) workerStatus(st *ServerStatus) {
	if s.ready.check() != nil {
		return // the workers are made when the server is brought up
	}
	p, w := s.purger.Status(), s.sweeper.Status()
	st.Purge = &PurgeStatus{Active: p.Active, Entries: p.Entries, Bytes: p.Bytes, OldestSeconds: int64(p.Oldest.Seconds()), Freed: p.Freed}
	st.Sweep = &SweepStatus{Sessions: w.Sessions, Removed: w.Removed}
	hs := s.homing.Status()
	st.Homing = &HomingStatus{Rounds: hs.Rounds, Misplaced: hs.Misplaced, Homed: hs.Homed}
	for _, l := range s.loops {
		ls := l.Status()
		ws := WorkerStatus{Name: ls.Name, Passes: ls.Passes, Running: ls.Running}
		if ls.LastErr != nil {
			ws.LastError = ls.LastErr.Error()
		}
		st.Workers = append(st.Workers, ws)
	}
}

// locate reports where each fragment of an object lies, by reading them all.
func (s *Server) locate(ctx context.Context, bucket, key string) (Location, error) {
	_, o, err := s.objects.Stat(ctx, object.BucketName(bucket), key)
	if err != nil {
		return Location{}, err
	}
	loc := Location{Bucket: bucket, Key: key, Size: o.Size}
	var at int64
	for _, p := range o.Parts {
		e := p.Extent
		for n, off := int64(0), int64(0); off < e.Size; n, off = n+1, off+e.StripeSize {
			main := object.StripeKey(e.Base, n, e.Protection)
			stripe := StripeLocation{Key: main.String(), Part: p.Number, Offset: at + off, Size: min(e.StripeSize, e.Size-off), Protection: e.Protection.String()}
			reports, err := s.protect.Locate(ctx, main)
			if err != nil {
				return loc, err
			}
			for _, f := range reports {
				if !f.Home && f.State == protect.Deleted {
					continue // a fragment that has gone home
				}
				fl := FragmentLocation{Index: f.Index, RingKey: main.Sibling(f.Index).String(), Node: string(f.Node), Server: string(f.Server), Home: f.Home, State: f.State.String()}
				if f.Err != nil {
					fl.Reason = f.Err.Error()
				}
				stripe.Fragments = append(stripe.Fragments, fl)
			}
			loc.Stripes = append(loc.Stripes, stripe)
		}
		at += p.Size
	}
	return loc, nil
}

// residentBytes is this process's resident set, from /proc; 0 where there is none.
func residentBytes() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var total, resident int64
	if _, err := fmt.Fscan(strings.NewReader(string(data)), &total, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}
