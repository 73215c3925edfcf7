package node

import (
	"fmt"
	"time"
)

// ClusterStatus is the whole cluster as one server sees it. What cannot be
// asked is listed as OFFLINE, never left out.
type ClusterStatus struct {
	Cluster    string           `json:"cluster"`
	AsSeenBy   string           `json:"as_seen_by"`
	Time       time.Time        `json:"time"`
	State      string           `json:"state"` // RUN, DEGRADED or INCOMPLETE
	Reasons    []string         `json:"reasons,omitempty"`
	Ring       RingStatus       `json:"ring"`
	Meta       MetaStatus       `json:"meta"`
	Redundancy RedundancyStatus `json:"redundancy"`
	Purge      PurgeStatus      `json:"purge"`
	Servers    []ServerStatus   `json:"servers"`
}

// RingStatus describes the map.
type RingStatus struct {
	Epoch    uint64   `json:"epoch"`
	Arcs     int      `json:"arcs"`
	Nodes    int      `json:"nodes"`
	Policies []string `json:"policies"` // each with what it survives, in words
}

// MetaStatus describes the database as the answering server sees it.
type MetaStatus struct {
	Leader  string `json:"leader"` // "" when there is none
	Term    uint64 `json:"term"`
	Applied uint64 `json:"applied"`
	Voters  int    `json:"voters"`
}

// RedundancyStatus is what is owed: fragments that a write could not place at
// home. It is a ledger of degraded writes; losses after a write (a disk that
// died) are not in it until heal exists, and it says so in Note.
type RedundancyStatus struct {
	Known            bool       `json:"known"` // false when the database could not be asked
	Stripes          int64      `json:"stripes"`
	MissingFragments int64      `json:"missing_fragments"` // not durable anywhere
	Misplaced        int64      `json:"misplaced"`         // durable on a hand-off place
	Bytes            int64      `json:"bytes"`
	Oldest           *time.Time `json:"oldest,omitempty"`
	Note             string     `json:"note"`
}

// PurgeStatus is what waits to be freed, as of the purger's last pass.
type PurgeStatus struct {
	Active        bool  `json:"active"` // this server's purger is the one at work
	Entries       int64 `json:"entries"`
	Bytes         int64 `json:"bytes"`
	OldestSeconds int64 `json:"oldest_seconds"`
	Freed         int64 `json:"freed_bytes"` // since the server started
}

// SweepStatus is the search for bytes that dead connectors left.
type SweepStatus struct {
	Sessions int   `json:"sessions"` // closed sessions not yet swept
	Removed  int64 `json:"removed"`  // orphan chunks removed since the server started
}

// HomingStatus is the way home of hand-off copies that this server holds.
type HomingStatus struct {
	Rounds    int64 `json:"rounds"`
	Misplaced int64 `json:"misplaced"` // still here at the end of the last round
	Homed     int64 `json:"homed"`     // since the server started
}

// WorkerStatus is one background loop.
type WorkerStatus struct {
	Name      string `json:"name"`
	Running   bool   `json:"running"` // a pass is under way
	Passes    uint64 `json:"passes"`
	LastError string `json:"last_error,omitempty"`
}

// ServerStatus is one server.
type ServerStatus struct {
	ID       string         `json:"id"`
	Addr     string         `json:"addr"`
	State    string         `json:"state"` // RUN, LOADING or OFFLINE
	Reason   string         `json:"reason,omitempty"`
	Version  string         `json:"version,omitempty"`
	Started  time.Time      `json:"started,omitzero"`
	S3       []string       `json:"s3,omitempty"`
	RSSBytes int64          `json:"rss_bytes,omitempty"`
	Meta     MetaStatus     `json:"meta"`
	Nodes    []NodeStatus   `json:"nodes,omitempty"`
	Purge    *PurgeStatus   `json:"purge,omitempty"`
	Sweep    *SweepStatus   `json:"sweep,omitempty"`
	Homing   *HomingStatus  `json:"homing,omitempty"`
	Workers  []WorkerStatus `json:"workers,omitempty"`
}

// NodeStatus is one storage node.
type NodeStatus struct {
	ID    string       `json:"id"`
	State string       `json:"state"` // RUN, DISKWARN, DISKERR, DISKFULL, OFFLINE
	Disks []DiskStatus `json:"disks"`
}

// DiskStatus is one disk.
type DiskStatus struct {
	Path          string `json:"path"`
	UUID          string `json:"uuid"`
	State         string `json:"state"`
	Reason        string `json:"reason,omitempty"`
	CapacityBytes int64  `json:"capacity_bytes"`
	UsedBytes     int64  `json:"used_bytes"` // container files on the disk
	LiveBytes     int64  `json:"live_bytes"` // data of live chunks
	Chunks        int64  `json:"chunks"`
}

// Location says where an object's bytes lie.
type Location struct {
	Bucket  string           `json:"bucket"`
	Key     string           `json:"key"`
	Size    int64            `json:"size"`
	Stripes []StripeLocation `json:"stripes"`
}

// Sound counts the fragments that are whole somewhere, of all that the object has.
func (l Location) Sound() (sound, all int) {
	for _, s := range l.Stripes {
		found := map[int]bool{}
		for _, f := range s.Fragments {
			found[f.Index] = found[f.Index] || f.State == "sound"
		}
		for _, ok := range found {
			all++
			if ok {
				sound++
			}
		}
	}
	return sound, all
}

// StripeLocation is one stripe: the group of fragments or copies of a run of bytes.
type StripeLocation struct {
	Key        string             `json:"ring_key"`
	Part       int                `json:"part"` // 0 for a simple put
	Offset     int64              `json:"offset"`
	Size       int64              `json:"size"`
	Protection string             `json:"protection"`
	Fragments  []FragmentLocation `json:"fragments"`
}

// FragmentLocation is one fragment or copy.
type FragmentLocation struct {
	Index   int    `json:"index"`
	RingKey string `json:"ring_key"`
	Node    string `json:"node"`
	Server  string `json:"server"`
	Home    bool   `json:"home"`  // false: on a hand-off place
	State   string `json:"state"` // sound, missing, corrupt or unreachable
	Reason  string `json:"reason,omitempty"`
}

// judge sets State and Reasons from the parts.
func (st *ClusterStatus) judge() {
	reason := func(format string, args ...any) { st.Reasons = append(st.Reasons, fmt.Sprintf(format, args...)) }
	st.State, st.Reasons = "RUN", nil
	for _, s := range st.Servers {
		if s.State != "RUN" {
			reason("server %s is %s: %s", s.ID, s.State, s.Reason)
		}
		if s.Homing != nil && s.Homing.Misplaced > 0 {
			reason("%d hand-off copies on server %s wait for their homes", s.Homing.Misplaced, s.ID)
		}
		for _, n := range s.Nodes {
			for _, d := range n.Disks {
				if d.State != "OK" {
					reason("disk %s of %s is %s: %s", d.Path, n.ID, d.State, d.Reason)
				}
			}
		}
	}
	if st.Redundancy.Stripes > 0 {
		reason("%d stripes were written while a home was away: %d fragments are missing, %d lie on hand-off places", st.Redundancy.Stripes, st.Redundancy.MissingFragments, st.Redundancy.Misplaced)
	}
	if len(st.Reasons) > 0 {
		st.State = "DEGRADED"
	}
	if st.Meta.Leader == "" || !st.Redundancy.Known {
		st.State = "INCOMPLETE"
		reason("the metadata database has no leader that this server can reach: no writes, no listings")
	}
}
