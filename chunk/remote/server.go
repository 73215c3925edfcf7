package remote

import (
	"context"

	"torc/chunk"
	"torc/internal/buf"
	"torc/internal/errs"
	"torc/internal/transport"
)

// Lookup finds a storage node of this process.
type Lookup func(node chunk.NodeID) (chunk.ListStore, bool)

// Route decides who serves a request for a key that was sent to node under the
// caller's epoch: the node's own store, a store that proxies to the owner, or
// an error (errs.Moved tells the caller to refresh its map). It must not block
// longer than ctx.
type Route func(ctx context.Context, node chunk.NodeID, epoch chunk.Epoch, key chunk.Key) (chunk.Store, error)

// Options of a Server.
type Options struct {
	// Route is asked for put, get, stat and delete. nil: Lookup alone decides.
	Route Route
}

// Server serves the storage nodes of a process to its peers.
type Server struct {
	lookup Lookup
	route  Route
}

// NewServer returns a server over the nodes that lookup finds.
func NewServer(lookup Lookup, o Options) *Server {
	s := &Server{lookup: lookup, route: o.Route}
	if s.route == nil {
		s.route = func(_ context.Context, node chunk.NodeID, _ chunk.Epoch, _ chunk.Key) (chunk.Store, error) {
			return s.node(node)
		}
	}
	return s
}

// Register adds the methods to a mux.
func (s *Server) Register(mux transport.Mux) {
	mux[MethodPut] = s.put
	mux[MethodGet] = s.get
	mux[MethodStat] = s.stat
	mux[MethodDelete] = s.delete
	mux[MethodList] = s.list
}

// node finds a node of this process; Moved if it does not live here.
func (s *Server) node(id chunk.NodeID) (chunk.ListStore, error) {
	st, ok := s.lookup(id)
	if !ok {
		return nil, errs.E("remote", errs.Moved, "storage node %q is not on this server", id)
	}
	return st, nil
}

// open decodes a request and finds its store.
func (s *Server) open(ctx context.Context, req *transport.Request) (request, chunk.Store, error) {
	r, err := decodeRequest(req.Head, req.Method)
	if err != nil {
		return request{}, nil, err
	}
	st, err := s.route(ctx, r.node, r.epoch, r.key)
	return r, st, err
}

func (s *Server) put(ctx context.Context, _ transport.Peer, req transport.Request) (*transport.Reply, error) {
	r, st, err := s.open(ctx, &req)
	if err != nil {
		return nil, err
	}
	w := chunk.Write{Key: r.key, Version: r.version, Data: req.Body}
	w.GroupSize, w.Owner = r.groupSize, r.owner
	if err := w.Validate(); err != nil {
		return nil, err
	}
	return receiptReply(st.Put(ctx, w))
}

func (s *Server) delete(ctx context.Context, _ transport.Peer, req transport.Request) (*transport.Reply, error) {
	r, st, err := s.open(ctx, &req)
	if err != nil {
		return nil, err
	}
	return receiptReply(st.Delete(ctx, r.key, r.version))
}

func receiptReply(r chunk.Receipt, err error) (*transport.Reply, error) {
	if err != nil {
		return nil, err
	}
	return transport.NewReply(appendReceipt(nil, r), nil, nil), nil
}

// get lends the store's memory to the transport until the reply is written.
func (s *Server) get(ctx context.Context, _ transport.Peer, req transport.Request) (*transport.Reply, error) {
	r, st, err := s.open(ctx, &req)
	if err != nil {
		return nil, err
	}
	c, err := st.Get(ctx, r.key, r.rng)
	if err != nil {
		return nil, err
	}
	return transport.NewReply(appendInfoHead(make([]byte, 0, headLenGuess), &c.Info), c.Data, c.Release), nil
}

func (s *Server) stat(ctx context.Context, _ transport.Peer, req transport.Request) (*transport.Reply, error) {
	r, st, err := s.open(ctx, &req)
	if err != nil {
		return nil, err
	}
	info, err := st.Stat(ctx, r.key)
	if err != nil {
		return nil, err
	}
	return transport.NewReply(appendInfoHead(make([]byte, 0, headLenGuess), &info), nil, nil), nil
}

func (s *Server) list(ctx context.Context, _ transport.Peer, req transport.Request) (*transport.Reply, error) {
	r, err := decodeRequest(req.Head, req.Method)
	if err != nil {
		return nil, err
	}
	st, err := s.node(r.node)
	if err != nil {
		return nil, err
	}
	var after *chunk.Key
	if !r.first {
		after = &r.key
	}
	infos, err := st.List(ctx, after, int(r.limit))
	if err != nil {
		return nil, err
	}
	b := buf.Get(listLen(infos))
	return transport.NewReply(nil, appendList(b.B[:0], infos), b.Release), nil
}

// listLen is the encoded length of a list.
func listLen(infos []chunk.Info) int {
	n := 5
	for i := range infos {
		n += infoLenMax - chunk.OwnerLenMax + len(infos[i].Owner)
	}
	return n
}
