package s3

import (
	"fmt"
	"runtime/debug"

	"torc/internal/errs"
)

// slowly runs work that may take minutes before its answer is known, and
// answers its document. If work is not done after the interval the answer
// starts as 200 with white space, and goes on with a space at each interval, so
// that no client or proxy gives up; an error is then the document inside the
// 200, as S3 does for CompleteMultipartUpload and the copies.
func (c *call) slowly(work func() (any, error)) error {
	type outcome struct {
		doc any
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			if p := recover(); p != nil {
				c.h.cfg.Log.Error("s3: panic in a handler", "request", c.id, "operation", c.op,
					"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				o = outcome{err: errs.E("s3."+c.op, errs.Other, "panic")}
			}
			done <- o
		}()
		o.doc, o.err = work()
	}()
	for {
		tick, stop := c.h.cfg.Clock.After(c.h.cfg.SlowAnswerInterval)
		select {
		case o := <-done:
			stop()
			return c.finishSlowly(o.doc, o.err)
		case <-tick:
			c.keepAlive()
		}
	}
}

// keepAlive sends a little of the answer: the XML declaration, then spaces.
func (c *call) keepAlive() {
	if !c.w.started() {
		c.w.Header()["Content-Type"] = []string{"application/xml"}
		_, _ = c.w.Write([]byte(xmlHeader)) // a dead client ends work through its context
	} else {
		_, _ = c.w.Write([]byte(" "))
	}
	c.w.Flush()
}

func (c *call) finishSlowly(doc any, err error) error {
	if !c.w.started() {
		if err != nil {
			return err
		}
		return c.xml(doc)
	}
	var b []byte
	if err == nil {
		b, err = marshalXML(doc)
	}
	if err != nil {
		e := answerFor(err, c)
		c.code = e.Code
		c.h.cfg.Log.Warn("s3: request failed after the answer began", "request", c.id, "operation", c.op, "error", err)
		b = errorDocument(e, c.id, c.hostID())
	}
	_, _ = c.w.Write(b[len(xmlHeader):]) // the client is gone: nobody is left to tell
	return nil
}
