package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
)

const (
	emptySHA256      = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	chunkAlgorithm   = "AWS4-HMAC-SHA256-PAYLOAD"
	trailerAlgorithm = "AWS4-HMAC-SHA256-TRAILER"
)

// chain verifies the signatures of a body's chunks: each covers the one before,
// the first covers the request's own.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
type chain struct {
	mac      hash.Hash
	payload  hash.Hash // of the chunk being read
	scope    string    // "\ndate\nscope\n"
	previous string    // signature
	scratch  []byte
}

func newChain(a *Auth) *chain {
	return &chain{
		mac: hmac.New(sha256.New, a.key().b[:]), payload: sha256.New(),
		scope: "\n" + a.date + "\n" + a.scope + "\n", previous: a.signature,
	}
}

// add hashes bytes of the current chunk.
func (c *chain) add(p []byte) { c.payload.Write(p) }

// chunk ends the current chunk: false when its signature is not the claimed one.
func (c *chain) chunk(signature string) bool {
	b := append(c.scratch[:0], chunkAlgorithm...)
	b = append(b, c.scope...)
	b = append(b, c.previous...)
	b = append(b, "\n"+emptySHA256+"\n"...)
	return c.link(b, signature)
}

// trailer checks the signature over the trailers' text, which add was given.
func (c *chain) trailer(signature string) bool {
	b := append(c.scratch[:0], trailerAlgorithm...)
	b = append(b, c.scope...)
	b = append(b, c.previous...)
	b = append(b, '\n')
	return c.link(b, signature)
}

func (c *chain) link(toSign []byte, signature string) bool {
	var sum [sha256.Size]byte
	c.payload.Sum(sum[:0])
	c.payload.Reset()
	c.scratch = hex.AppendEncode(toSign, sum[:])
	c.mac.Reset()
	c.mac.Write(c.scratch)
	c.mac.Sum(sum[:0])
	c.previous = signature
	return equalHex(sum, signature)
}
