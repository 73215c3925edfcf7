package s3

import (
	"encoding/xml"
	"io"
	"net/http"
	"os"
	"time"

	"torc/internal/errs"
)

// answerWriter is the answer under way: status, bytes, and a deadline that moves
// with every write, so that a client that stops reading is cut and one that is
// merely slow is not.
type answerWriter struct {
	http.ResponseWriter
	status   int
	n        int64
	ctl      *http.ResponseController
	idle     time.Duration
	deadline bool // whether the connection takes deadlines: HTTP/1 only
	last     time.Time
}

func newAnswerWriter(w http.ResponseWriter, r *http.Request, idle time.Duration) *answerWriter {
	a := &answerWriter{ResponseWriter: w, ctl: http.NewResponseController(w), idle: idle, deadline: r.ProtoMajor == 1}
	a.extend() // replaces what an earlier request on the connection left behind
	return a
}

// extend moves the write deadline, at most once in an eighth of the allowance.
// It uses the machine's clock since the deadline is the network's.
func (a *answerWriter) extend() {
	if !a.deadline {
		return
	}
	now := time.Now()
	if now.Sub(a.last) < a.idle/8 {
		return
	}
	a.last = now
	a.deadline = a.ctl.SetWriteDeadline(now.Add(a.idle)) == nil
}

// started reports that the status line has been written.
func (a *answerWriter) started() bool { return a.status != 0 }

// WriteHeader implements http.ResponseWriter.
func (a *answerWriter) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.extend() // the body may have taken longer to come than the deadline set at first
	a.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (a *answerWriter) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.extend()
	n, err := a.ResponseWriter.Write(p)
	a.n += int64(n)
	return n, err
}

// Flush sends what is buffered.
func (a *answerWriter) Flush() { _ = a.ctl.Flush() } // a dead connection shows at the next Write

// clearEntityHeaders takes back what described a body that will not be sent. A
// 304 keeps the validators.
func (a *answerWriter) clearEntityHeaders(validators bool) {
	h := a.Header()
	for name := range h {
		switch name {
		case "X-Amz-Request-Id", "X-Amz-Id-2", "Server", "Date", "Connection", "X-Amz-Bucket-Region":
		case "Etag", "Last-Modified":
			if !validators {
				delete(h, name)
			}
		case "Content-Range": // a 416 says how long the object is
		default:
			delete(h, name)
		}
	}
}

// xml answers 200 with a document.
func (c *call) xml(v any) error {
	doc, err := marshalXML(v)
	if err != nil {
		return err
	}
	return c.document(doc)
}

// document answers 200 with a rendered document.
func (c *call) document(doc []byte) error {
	h := c.w.Header()
	h["Content-Type"] = []string{"application/xml"}
	h["Content-Length"] = []string{itoa(len(doc))}
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(doc) // the client is gone: nobody is left to tell
	return nil
}

// empty answers without a body.
func (c *call) empty(status int) error {
	if status != http.StatusNoContent {
		c.w.Header()["Content-Length"] = []string{"0"}
	}
	c.w.WriteHeader(status)
	return nil
}

// errorXML is the document of an error.
type errorXML struct {
	XMLName   xml.Name `xml:"Error"`
	Code      Code     `xml:"Code"`
	Message   string   `xml:"Message"`
	Fields    []fieldXML
	RequestID string `xml:"RequestId"`
	HostID    string `xml:"HostId"`
}

type fieldXML struct {
	XMLName xml.Name
	Value   string `xml:",chardata"`
}

// errorDocument renders an error.
func errorDocument(e *apiError, id, hostID string) []byte {
	doc := errorXML{Code: e.Code, Message: e.message(), RequestID: id, HostID: hostID}
	for _, f := range e.Fields {
		doc.Fields = append(doc.Fields, fieldXML{xml.Name{Local: f.name}, f.value})
	}
	b, err := marshalXML(doc)
	if err != nil { // cannot happen: strings always encode
		return []byte(xmlHeader + "<Error><Code>InternalError</Code></Error>")
	}
	return b
}

// idleBody is a request body that counts, and whose read deadline moves with
// every read: a client that stops sending is told RequestTimeout.
type idleBody struct {
	io.ReadCloser
	n        int64
	ctl      *http.ResponseController
	idle     time.Duration
	deadline bool
	last     time.Time
	length   int64 // Content-Length, -1 when not known
	eof      bool
	broken   bool
}

func newIdleBody(w http.ResponseWriter, r *http.Request, idle time.Duration) *idleBody {
	b := &idleBody{ReadCloser: r.Body, ctl: http.NewResponseController(w), idle: idle, length: r.ContentLength}
	b.deadline = r.ProtoMajor == 1 && r.ContentLength != 0
	b.extend() // also for a body that no handler reads: net/http does, to keep the connection
	return b
}

// extend moves the read deadline, at most once in an eighth of the allowance.
func (b *idleBody) extend() {
	if !b.deadline {
		return
	}
	if now := time.Now(); now.Sub(b.last) >= b.idle/8 {
		b.last = now
		b.deadline = b.ctl.SetReadDeadline(now.Add(b.idle)) == nil
	}
}

// Read implements io.Reader.
func (b *idleBody) Read(p []byte) (int, error) {
	b.extend()
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	if err == io.EOF {
		b.eof = true
		if b.deadline {
			// net/http watches the connection from here on: a deadline left behind
			// would cancel the request while it is being served.
			_ = b.ctl.SetReadDeadline(time.Time{})
		}
	} else if err != nil {
		b.broken = true
	}
	if err != nil && os.IsTimeout(err) {
		return n, fail("RequestTimeout").because(err)
	}
	if err == io.ErrUnexpectedEOF {
		return n, errs.E("s3: read body", errs.Invalid, "%w", fail("IncompleteBody").because(err))
	}
	return n, err
}

// drainable prepares for an answer to a request whose body may not have been
// read. net/http reads the rest of it before it sends the answer, to keep the
// connection: that is right for a little that is on its way, under a deadline.
// When it is false the connection is to be closed instead.
func (b *idleBody) drainable() bool {
	if b.length == 0 || b.eof {
		return true
	}
	if b.broken || b.length < 0 || b.length-b.n > DrainBytesMax {
		return false
	}
	return !b.deadline || b.ctl.SetReadDeadline(time.Now().Add(min(b.idle, DrainTimeout))) == nil
}
