package meta

import "go.etcd.io/raft/v3/raftpb"
import "go.etcd.io/raft/v3"

func (s *Store) sendSnapshot(g *group, m *raftpb.Message) {
	g.rn.ReportSnapshot(m.GetTo(), raft.SnapshotFailure)
}

func (s *Store) received(g *group, snap *raftpb.Snapshot) *incoming { return nil }
