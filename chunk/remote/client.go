package remote

import (
	"context"

	"torc/chunk"
	"torc/internal/errs"
	"torc/internal/transport"
)

// Client is one storage node on another server. Safe for concurrent use.
type Client struct {
	caller transport.Caller
	addr   string
	node   chunk.NodeID
	epoch  func() chunk.Epoch
}

var _ chunk.ListStore = (*Client)(nil)

// NewClient returns the store of a node that is reached at addr. epoch gives
// the caller's ring map epoch at the time of each request; nil means 0, "none".
func NewClient(caller transport.Caller, addr string, node chunk.NodeID, epoch func() chunk.Epoch) chunk.ListStore {
	if epoch == nil {
		epoch = func() chunk.Epoch { return 0 }
	}
	return &Client{caller: caller, addr: addr, node: node, epoch: epoch}
}

// headLenGuess is the capacity, in bytes, given to a request head; an owner may make it grow.
const headLenGuess = 160

// do makes one call. The reply must be released.
func (c *Client) do(ctx context.Context, m transport.Method, r *request, body []byte, replyLen int) (*transport.Reply, error) {
	if len(c.node) == 0 || len(c.node) > NodeLenMax {
		return nil, errs.E("remote", errs.Invalid, "node id %q: want 1-%d bytes", c.node, NodeLenMax)
	}
	r.node, r.epoch = c.node, c.epoch()
	head := r.append(make([]byte, 0, headLenGuess), m)
	reply, err := c.caller.Call(ctx, c.addr, transport.Request{Method: m, Head: head, Body: body, ReplyLen: replyLen})
	if err != nil {
		return nil, errs.Wrap("node "+string(c.node), err)
	}
	return reply, nil
}

// Put implements chunk.Putter.
func (c *Client) Put(ctx context.Context, w chunk.Write) (chunk.Receipt, error) {
	if err := w.Validate(); err != nil {
		return chunk.Receipt{}, err
	}
	r := request{key: w.Key, version: w.Version, groupSize: w.GroupSize, owner: w.Owner}
	return c.receipt(c.do(ctx, MethodPut, &r, w.Data, 0))
}

// Delete implements chunk.Deleter.
func (c *Client) Delete(ctx context.Context, k chunk.Key, v chunk.Version) (chunk.Receipt, error) {
	return c.receipt(c.do(ctx, MethodDelete, &request{key: k, version: v}, nil, 0))
}

func (c *Client) receipt(reply *transport.Reply, err error) (chunk.Receipt, error) {
	if err != nil {
		return chunk.Receipt{}, err
	}
	defer reply.Release()
	r, err := decodeReceipt(reply.Head)
	if err != nil {
		return chunk.Receipt{}, c.garbled(err)
	}
	return r, nil
}

// garbled is the error for a reply that does not decode: the request has been
// served, so what it did is not known.
func (c *Client) garbled(err error) error {
	return errs.E("node "+string(c.node), errs.Unknown, "reply: %w", err)
}

// Get implements chunk.Getter. The chunk's memory is the transport's, until Release.
func (c *Client) Get(ctx context.Context, k chunk.Key, rng chunk.Range) (*chunk.Chunk, error) {
	replyLen := chunk.SizeMax
	if rng.Len >= 0 && rng.Len < chunk.SizeMax {
		replyLen = int(rng.Len)
	}
	reply, err := c.do(ctx, MethodGet, &request{key: k, rng: rng}, nil, replyLen)
	if err != nil {
		return nil, err
	}
	info, err := decodeInfoHead(reply.Head)
	if err == nil {
		_, n, ok := rng.Resolve(info.Size)
		if info.Key != k || !ok || n != int64(len(reply.Body)) {
			err = errs.E("remote.Get", errs.Corrupt, "asked for %s %d+%d, got %d bytes of %s, size %d",
				k, rng.Off, rng.Len, len(reply.Body), info.Key, info.Size)
		}
	}
	if err != nil {
		reply.Release()
		return nil, errs.E("node "+string(c.node), errs.Corrupt, "reply: %w", err)
	}
	return chunk.NewChunk(info, reply.Body, reply.Release), nil
}

// Stat implements chunk.Getter.
func (c *Client) Stat(ctx context.Context, k chunk.Key) (chunk.Info, error) {
	reply, err := c.do(ctx, MethodStat, &request{key: k}, nil, 0)
	if err != nil {
		return chunk.Info{}, err
	}
	defer reply.Release()
	info, err := decodeInfoHead(reply.Head)
	if err != nil || info.Key != k {
		return chunk.Info{}, errs.E("node "+string(c.node), errs.Corrupt, "reply to stat of %s does not fit it", k)
	}
	return info, nil
}

// listEntryGuess is the usual length of a listed Info, in bytes.
const listEntryGuess = 128

// List implements chunk.Lister.
func (c *Client) List(ctx context.Context, after *chunk.Key, limit int) ([]chunk.Info, error) {
	if limit < 1 || limit > chunk.ListMax {
		return nil, errs.E("remote.List", errs.Invalid, "limit %d: want 1-%d", limit, chunk.ListMax)
	}
	r := request{first: after == nil, limit: uint32(limit)}
	if after != nil {
		r.key = *after
	}
	reply, err := c.do(ctx, MethodList, &r, nil, limit*listEntryGuess)
	if err != nil {
		return nil, err
	}
	defer reply.Release()
	infos, err := decodeList(reply.Body)
	if err == nil && len(infos) > limit {
		err = errs.E("remote.List", errs.Corrupt, "%d chunks, asked for %d", len(infos), limit)
	}
	if err != nil {
		return nil, errs.E("node "+string(c.node), errs.Corrupt, "reply: %w", err)
	}
	return infos, nil
}
