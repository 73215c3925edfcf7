package sigv4

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
)

const (
	// ChunkSizeMax bounds one chunk, in bytes: the largest put, since some
	// clients send a body as a single chunk.
	ChunkSizeMax = 5 << 30
	// ChunkSizeMin is the least size of a signed chunk that is not the last.
	ChunkSizeMin = 8 << 10

	// lineMax bounds a chunk header or trailer line, in bytes, and is all that
	// is buffered: payload bytes go straight into the caller's slice but for
	// what was read ahead with a line.
	lineMax       = 1 << 10
	sizeDigitsMax = 16
)

// chunked undoes aws-chunked framing:
//
//	size[;chunk-signature=hex] CRLF bytes CRLF ... 0[;chunk-signature=hex] CRLF [trailers] CRLF
type chunked struct {
	src          *bufio.Reader
	size         int64 // declared length of the payload; -1 when unknown
	decoded      int64
	chain        *chain // nil when chunks are unsigned
	withTrailers bool
	declared     []string // trailer names, lower case

	left      int64  // bytes of the current chunk to come
	signature string // of the current chunk
	index     int    // of the current chunk, from 1
	last      int64  // size of the current chunk
	trailer   http.Header
}

func newChunked(src io.Reader, size int64, declared []string) *chunked {
	return &chunked{src: bufio.NewReaderSize(src, lineMax), size: size, declared: declared}
}

func (c *chunked) trailers() http.Header { return c.trailer }

// Read returns bytes of one chunk. The read that would complete a chunk with a
// wrong signature returns none of its bytes.
func (c *chunked) Read(p []byte) (int, error) {
	if c.left == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
		if c.left == 0 {
			return 0, c.finish()
		}
	}
	n, err := c.src.Read(p[:min(int64(len(p)), c.left)])
	if n == 0 || err != nil && err != io.EOF {
		if err == nil {
			return 0, nil
		}
		return 0, readError(err)
	}
	c.left -= int64(n)
	c.decoded += int64(n)
	if c.chain != nil {
		c.chain.add(p[:n])
	}
	if c.left == 0 {
		if err := c.crlf(); err != nil {
			return 0, err
		}
		if err := c.verify(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// next reads a chunk header.
func (c *chunked) next() error {
	line, err := c.line()
	if err != nil {
		return err
	}
	line, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok {
		return badChunk("a chunk header does not end in CRLF")
	}
	digits, extension, extended := bytes.Cut(line, []byte(";"))
	size, err := parseChunkSize(digits)
	if err != nil {
		return err
	}
	if err := c.checkSize(size); err != nil {
		return err
	}
	c.signature = ""
	if c.chain != nil {
		value, ok := bytes.CutPrefix(extension, []byte("chunk-signature="))
		if !ok || len(value) != signatureLen {
			return badChunk("a chunk header has no chunk-signature")
		}
		c.signature = string(value)
	} else if extended {
		return badChunk("a chunk of an unsigned stream has an extension")
	}
	c.index++
	c.left, c.last = size, size
	return nil
}

func (c *chunked) checkSize(size int64) error {
	if size > ChunkSizeMax {
		return c.badSize(size)
	}
	// Unsigned chunks may be of any size: clients send a stream as it comes.
	if c.chain != nil && size > 0 && c.index > 0 && c.last < ChunkSizeMin {
		return c.badSize(c.last)
	}
	if c.size >= 0 && size > c.size-c.decoded {
		return incomplete()
	}
	return nil
}

func (c *chunked) badSize(size int64) error {
	return fail(InvalidChunkSize, "Only the last chunk is allowed to have a size less than 8192 bytes").
		with("Chunk", strconv.Itoa(c.index)).with("BadChunkSize", strconv.FormatInt(size, 10))
}

func parseChunkSize(digits []byte) (int64, error) {
	if len(digits) == 0 || len(digits) > sizeDigitsMax {
		return 0, badChunk("a chunk size has no or too many digits")
	}
	var n uint64
	for _, d := range digits {
		switch {
		case '0' <= d && d <= '9':
			d -= '0'
		case 'a' <= d && d <= 'f':
			d -= 'a' - 10
		case 'A' <= d && d <= 'F':
			d -= 'A' - 10
		default:
			return 0, badChunk("a chunk size is not a hexadecimal number")
		}
		n = n<<4 | uint64(d)
	}
	if n > ChunkSizeMax {
		n = ChunkSizeMax + 1 // and no overflow for the caller to think of
	}
	return int64(n), nil
}

// verify checks the signature of the chunk just read.
func (c *chunked) verify() error {
	if c.chain == nil || c.chain.chunk(c.signature) {
		return nil
	}
	return fail(SignatureDoesNotMatch, "The request signature we calculated does not match the signature you provided. Check your key and signing method.").
		with("Chunk", strconv.Itoa(c.index)).with("SignatureProvided", c.signature)
}

// finish checks what follows the last chunk and answers io.EOF when all is well.
func (c *chunked) finish() error {
	if err := c.verify(); err != nil {
		return err
	}
	if c.size >= 0 && c.decoded != c.size {
		return incomplete()
	}
	var err error
	if c.withTrailers {
		err = c.readTrailers()
	} else {
		err = c.crlf()
	}
	if err != nil {
		return err
	}
	switch _, err := c.src.ReadByte(); err {
	case io.EOF:
		return io.EOF
	case nil:
		return badChunk("bytes follow the last chunk")
	default:
		return readError(err)
	}
}

// line reads through a newline; the slice is valid until the next read.
func (c *chunked) line() ([]byte, error) {
	line, err := c.src.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, badChunk("a line is longer than %d bytes", lineMax)
	case err != nil:
		return nil, readError(err)
	}
	return line, nil
}

func (c *chunked) crlf() error {
	for _, want := range []byte("\r\n") {
		got, err := c.src.ReadByte()
		if err != nil {
			return readError(err)
		}
		if got != want {
			return badChunk("a chunk is not followed by CRLF")
		}
	}
	return nil
}

func badChunk(format string, args ...any) error {
	return fail(InvalidRequest, "The aws-chunked body is malformed: "+format+".", args...)
}
