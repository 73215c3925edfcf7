package meta

import (
	"bytes"
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"torc/internal/clock"
	"torc/internal/errs"
)

// command is a request to a range, waiting for its answer.
type command struct {
	ctx   context.Context
	id    requestID
	kind  Kind
	body  []byte
	retry bool        // an earlier attempt may be under way, or late
	done  chan answer // capacity 1
}

// answer is what the caller of a command is told. The zero route is an answer
// of the command itself; the others are the range's.
type answer struct {
	reply []byte
	err   error
	route route
	hint  string // server id of the leader, if known, for routeNotLeader
}

type route byte

const (
	routeDone      route = 0 // reply or err is the command's outcome
	routeNotLeader route = 1 // not evaluated here: ask hint
	routeLost      route = 2 // may or may not have been applied: ask again, same id
)

func (c *command) answer(a answer) {
	select {
	case c.done <- a:
	default: // answered already
	}
}

// batch is a group of commands for one evaluation, and all it depends on. Its
// evaluation is a pure function but for the clock.
type batch struct {
	group    groupID
	base     pebble.Reader
	state    appliedState
	bucket   uint32 // of this group's outcomes; state.bucket or one more
	handlers map[Kind]Handler
	tick     func() clock.Timestamp
	ceiling  clock.Timestamp // the entry's clock, unless a command read more
	cmds     []*command
	token    *outstanding // handed back with the result
}

// kindClock is the range's own command: it writes nothing but a newer clock.
const kindClock Kind = "meta.clock"

// evaluated is the result: the effects to replicate (nil if none) and the
// answers to give once they are, one for each of the first len(answers) commands.
type evaluated struct {
	entry   *entry
	answers []answer
}

// evaluate runs the commands in order. It stops early when the group is big
// enough; the rest is for the next group.
func (b *batch) evaluate() (evaluated, error) {
	over := newOverlay(b.base)
	e := &entry{base: b.state.index, clock: max(b.state.clock, b.ceiling), bucket: b.bucket}
	res := evaluated{}
	must := false
	seen := map[requestID]int{}
	for i, c := range b.cmds {
		if over.bytes >= groupBytesTarget {
			break
		}
		if c.ctx.Err() != nil {
			// Its caller has gone. This says nothing about the command itself, so it
			// is neither an outcome nor remembered as one.
			res.answers = append(res.answers, answer{route: routeLost})
			continue
		}
		if j, ok := seen[c.id]; ok {
			res.answers = append(res.answers, res.answers[j])
			continue
		}
		seen[c.id] = i
		if c.kind == kindClock {
			must = true
			res.answers = append(res.answers, answer{})
			continue
		}
		old, found, err := b.remembered(c.id)
		if err != nil {
			return evaluated{}, err
		}
		if found {
			reply, err := old.answer()
			res.answers = append(res.answers, answer{reply: reply, err: err})
			continue
		}
		a, now := b.one(over, c)
		e.clock = max(e.clock, now)
		res.answers = append(res.answers, a)
		// A command that wrote nothing is remembered only if another attempt of
		// it may be evaluated later and could then write.
		if (a.err == nil && over.dirty()) || c.retry {
			e.outcomes = append(e.outcomes, toOutcome(c.id, a).remembered())
		}
	}
	if e.ops = over.ops(); must || len(e.ops) > 0 || len(e.outcomes) > 0 {
		res.entry = e
	}
	return res, nil
}

// one evaluates a command on the overlay; what a failing command wrote is taken back.
func (b *batch) one(over *overlay, c *command) (answer, clock.Timestamp) {
	over.mark()
	h, ok := b.handlers[c.kind]
	if !ok || h.ReadOnly {
		return answer{err: errs.E("meta.Do", errs.Unsupported, "no handler for %s", c.kind)}, 0
	}
	before := over.bytes
	t := &txn{over: over, span: b.state.desc.span, tick: b.tick}
	reply, err := safeEval(h, t, c.body)
	if err == nil {
		err = t.err
	}
	if n := over.bytes - before; err == nil && n > entryBytesMax {
		err = errs.E("meta.Do", errs.TooLarge, "%s writes %d bytes; at most %d", c.kind, n, entryBytesMax)
	}
	if err != nil {
		over.rollback()
		return answer{err: err}, t.now
	}
	return answer{reply: reply}, t.now
}

// safeEval turns a handler's panic into an error, checks the reply's length and copies it.
func safeEval(h Handler, t Txn, body []byte) (reply []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			reply, err = nil, errs.E("meta: evaluate "+string(h.Kind), errs.Other, "handler panicked: %v", fmt.Sprint(p))
		}
	}()
	if reply, err = h.Eval(t, body); err != nil {
		return nil, err
	}
	if len(reply) > BodyLenMax {
		return nil, errs.E("meta: evaluate "+string(h.Kind), errs.TooLarge, "reply of %d bytes; at most %d", len(reply), BodyLenMax)
	}
	return bytes.Clone(reply), nil
}

// dedupeBuckets is how many buckets are kept: the one being filled and two full ones.
const dedupeBuckets = 3

// remembered looks a request up among the applied ones.
func (b *batch) remembered(id requestID) (outcome, bool, error) {
	for n := uint32(0); n < dedupeBuckets && n <= b.bucket; n++ {
		key := dedupeKey(b.group, b.bucket-n, id)
		rec, err := get(b.base, dataKey(key))
		if err != nil {
			return outcome{}, false, err
		}
		if rec == nil {
			continue
		}
		body, err := unseal("outcome", key, rec)
		if err != nil {
			return outcome{}, false, err
		}
		d := decoder{b: body, what: "outcome"}
		o := decodeOutcome(&d)
		return o, true, d.done()
	}
	return outcome{}, false, nil
}

func toOutcome(id requestID, a answer) outcome {
	if a.err != nil {
		return outcome{id: id, state: outcomeError, kind: errs.KindOf(a.err), body: []byte(a.err.Error())}
	}
	return outcome{id: id, state: outcomeReply, body: a.reply}
}
