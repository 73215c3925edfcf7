package object

import (
	"torc/internal/codec"
	"torc/internal/errs"
)

// formatV1 is the first byte of every record and message of this package. A
// reader accepts the versions it knows and answers errs.Corrupt to the rest.
const formatV1 = 1

// message is a record or a command's body: code walks its fields in the one
// order that is the format. See docs/formats/records.md.
type message interface{ code(c *coder) }

type coder = codec.Coder

// encode renders m.
func encode(m message) []byte { return appendMessage(make([]byte, 0, 256), m) }

func appendMessage(dst []byte, m message) []byte {
	c := codec.Writer(append(dst, formatV1))
	m.code(&c)
	return c.Out()
}

// decode reads b, all of it, into m; errs.Corrupt if it does not fit.
func decode(what string, b []byte, m message) error { return decodeString(what, string(b), m) }

func decodeString(what, b string, m message) error {
	c := codec.Reader(b[min(1, len(b)):])
	switch {
	case len(b) == 0:
		c.Fail("empty")
	case b[0] != formatV1:
		c.Fail("format version %d, this build reads %d", b[0], formatV1)
	default:
		if m.code(&c); c.Err() == nil && c.Left() != 0 {
			c.Fail("%d bytes too many", c.Left())
		}
	}
	if c.Err() != nil {
		return errs.Wrap("object: decode "+what, c.Err())
	}
	return nil
}
