package ring

import (
	"context"

	"torc/chunk"
	"torc/internal/errs"
)

// ProxiedEpoch is set in the epoch of a request that a Guard has passed on: the
// Guard that receives it serves it or refuses it, and never passes it on again.
const ProxiedEpoch chunk.Epoch = 1 << 63

// GuardConfig is what a Guard needs.
type GuardConfig struct {
	Self   chunk.ServerID
	Source Source
	// Refresh fetches a map of the epoch or newer (Keeper.RefreshTo); called when a
	// caller knows one.
	Refresh func(ctx context.Context, e chunk.Epoch) error
	Local   map[chunk.NodeID]chunk.Store
	Remote  Remote
}

// Guard decides at the server's side who serves a request. Its Route has the form
// that chunk/remote's server asks for.
type Guard struct{ cfg GuardConfig }

// NewGuard returns a Guard.
func NewGuard(cfg GuardConfig) *Guard { return &Guard{cfg} }

// Route returns the store that serves a request for key that was sent to node
// under the caller's epoch.
//
//   - Epoch 0 addresses the node itself, whatever the map says: heal and tools,
//     which read and clear what lies in the wrong place.
//   - The node is in the list of the key's arc: its own store. Being called under
//     a newer epoch, the map is refreshed first.
//   - It is not, and the caller's map is older: a store that proxies to the home
//     of the key under the current map.
//   - Otherwise errs.Moved, for a request that was proxied already too: nothing
//     is passed on twice.
//
// Unavailable: there is no map yet, or the node is not running.
func (g *Guard) Route(ctx context.Context, node chunk.NodeID, epoch chunk.Epoch, key chunk.Key) (chunk.Store, error) {
	const op = "ring.Guard.Route"
	proxied := epoch&ProxiedEpoch != 0
	epoch &^= ProxiedEpoch
	own, here := g.cfg.Local[node]
	if epoch == 0 {
		if !here {
			return nil, errs.E(op, errs.Moved, "node %q is not on server %q", node, g.cfg.Self)
		}
		return own, nil
	}
	m := g.cfg.Source.Map()
	if m == nil || epoch > m.Epoch() {
		if err := g.cfg.Refresh(ctx, epoch); err != nil && m == nil {
			return nil, errs.E(op, errs.Unavailable, "there is no ring map yet: %w", err)
		}
		// A failed refresh leaves the old map: it still knows what it owned.
		if m = g.cfg.Source.Map(); m == nil {
			return nil, errs.E(op, errs.Unavailable, "there is no ring map yet")
		}
	}
	if m.Owns(node, key) {
		if here {
			return own, nil
		}
		if n, _ := m.Node(node); n.Server == g.cfg.Self {
			return nil, errs.E(op, errs.Unavailable, "node %q does not run on server %q", node, g.cfg.Self)
		}
	}
	if proxied || epoch >= m.Epoch() {
		return nil, errs.E(op, errs.Moved, "%s is not at node %q of server %q under epoch %d (caller: %d)", key, node, g.cfg.Self, m.Epoch(), epoch)
	}
	return g.owner(m, key)
}

// owner returns the store of the key's home under m: in memory when it is on this
// server, a proxy otherwise.
func (g *Guard) owner(m *Map, key chunk.Key) (chunk.Store, error) {
	const op = "ring.Guard.Route"
	list := m.Lookup(key)
	i := key.Index()
	if i >= len(list) {
		return nil, errs.E(op, errs.Moved, "%s has no home: its arc has %d nodes", key, len(list))
	}
	n := m.members.Nodes[list[i]]
	if n.Server == g.cfg.Self {
		if s, ok := g.cfg.Local[n.ID]; ok {
			return s, nil
		}
		return nil, errs.E(op, errs.Unavailable, "node %q does not run on server %q", n.ID, g.cfg.Self)
	}
	epoch := m.Epoch() | ProxiedEpoch
	return g.cfg.Remote(m.serverOf(list[i]).Addr, n.ID, func() chunk.Epoch { return epoch }), nil
}
