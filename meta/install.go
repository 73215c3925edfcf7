package meta

import (
	"go.etcd.io/raft/v3"

	"torc/internal/errs"
)

// incoming is a received snapshot, complete and verified, waiting to be installed.
type incoming struct {
	paths []string
}

func (g *group) install(in *incoming, rd raft.Ready) error {
	return errs.E("meta: install snapshot", errs.Unsupported, "")
}
