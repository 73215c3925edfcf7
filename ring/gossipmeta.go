package ring

import (
	"encoding/binary"

	"torc/chunk"
	"torc/internal/errs"
)

// peerVersion is the first byte of what a server says of itself by gossip:
//
//	version 1 | epoch 64 big-endian | len, cluster | len, server | len, addr
//
// at most 393 bytes with the names' limits, within memberlist's 512.
const peerVersion = 1

func (p Peer) encode(cluster string) []byte {
	b := binary.BigEndian.AppendUint64([]byte{peerVersion}, uint64(p.Epoch))
	for _, s := range []string{cluster, string(p.Server), p.Addr} {
		b = append(append(b, byte(len(s))), s...)
	}
	return b
}

// decodePeer reads what a server says of itself. Permission if it is of another
// cluster. Bytes behind the known fields are a newer version's and are left alone.
func decodePeer(b []byte, cluster string) (Peer, error) {
	const op = "ring.Gossip"
	if len(b) < 9 || b[0] < peerVersion {
		return Peer{}, errs.E(op, errs.Invalid, "%d bytes of peer data", len(b))
	}
	r := reader{b: b[9:]}
	theirs, server, addr := r.text(), r.text(), r.text()
	if r.bad || !validName(server) {
		return Peer{}, errs.E(op, errs.Invalid, "%d bytes of peer data", len(b))
	}
	if theirs != cluster {
		return Peer{}, errs.E(op, errs.Permission, "server %q is of cluster %q, this is %q", server, theirs, cluster)
	}
	return Peer{Server: chunk.ServerID(server), Addr: addr, Epoch: chunk.Epoch(binary.BigEndian.Uint64(b[1:]))}, nil
}

// gossipMeta implements memberlist's Delegate: it only says who this server is.
type gossipMeta struct{ g *Gossip }

func (d gossipMeta) NodeMeta(limit int) []byte {
	p := Peer{Server: d.g.cfg.Self, Addr: d.g.cfg.Addr}
	if d.g.cfg.Epoch != nil {
		p.Epoch = d.g.cfg.Epoch()
	}
	b := p.encode(d.g.cfg.Cluster)
	return b[:min(limit, len(b))]
}

func (gossipMeta) NotifyMsg([]byte)                {}
func (gossipMeta) GetBroadcasts(int, int) [][]byte { return nil }
func (gossipMeta) LocalState(bool) []byte          { return nil }
func (gossipMeta) MergeRemoteState([]byte, bool)   {}
