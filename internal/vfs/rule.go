package vfs

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"syscall"

	"torc/internal/errs"
)

// Op names a file system operation in a Rule.
type Op string

// The operations. Any matches all of them; Zero and Prealloc are the File
// methods of those names.
const (
	OpAny      Op = "any"
	OpRead     Op = "read"
	OpWrite    Op = "write"
	OpSync     Op = "sync"
	OpCreate   Op = "create"
	OpOpen     Op = "open"
	OpRemove   Op = "remove"
	OpRename   Op = "rename"
	OpList     Op = "list"
	OpMkdir    Op = "mkdir"
	OpLock     Op = "lock"
	OpPrealloc Op = "prealloc"
	OpZero     Op = "zero"
	OpUsage    Op = "usage"
)

// Rule is one line of the fault language: when it applies and what happens then.
type Rule struct {
	text string

	op         Op
	name       string  // glob on the base name; empty matches all
	nth        int     // only the nth matching call, from 1; 0 is every one
	times      int     // at most so often; 0 is no limit
	afterBytes int64   // only once so many bytes were written by matching calls; -1 is no condition
	prob       float64 // chance in [0,1]

	err  error // injected error
	torn int64 // -1, or: only the first torn bytes of a write arrive, then EIO
	lie  bool  // a sync does nothing and reports success

	calls, fired int
	bytes        int64
}

// ParseRule reads "op [& condition]... -> effect".
//
// Ops are the Op constants. Conditions: name('glob'), nth(n), times(n), prob(p),
// after-bytes(n). Effects: EIO, ENOSPC, EROFS, EDQUOT, torn(bytes) (write: that many
// bytes arrive, then EIO), lie (sync: success without effect). Torn and lie act on
// files opened with FS.OpenFile only, not on Pebble's.
func ParseRule(s string) (*Rule, error) {
	bad := func(why string, args ...any) (*Rule, error) {
		return nil, errs.E("vfs.ParseRule", errs.Invalid, "%q: %s", s, fmt.Sprintf(why, args...))
	}
	when, effect, ok := strings.Cut(s, "->")
	if !ok {
		return bad("no '->'")
	}
	r := &Rule{text: strings.TrimSpace(s), torn: -1, afterBytes: -1, prob: 1}
	terms := strings.Split(when, "&")
	r.op = Op(strings.TrimSpace(terms[0]))
	if !r.op.known() {
		return bad("unknown operation %q", r.op)
	}
	for _, t := range terms[1:] {
		if err := r.condition(strings.TrimSpace(t)); err != nil {
			return bad("%v", err)
		}
	}
	if err := r.effect(strings.TrimSpace(effect)); err != nil {
		return bad("%v", err)
	}
	return r, nil
}

func (o Op) known() bool {
	switch o {
	case OpAny, OpRead, OpWrite, OpSync, OpCreate, OpOpen, OpRemove, OpRename, OpList, OpMkdir, OpLock, OpPrealloc, OpZero, OpUsage:
		return true
	}
	return false
}

// call splits "word(arg)".
func call(s string) (word, arg string, ok bool) {
	word, arg, ok = strings.Cut(s, "(")
	if !ok || !strings.HasSuffix(arg, ")") {
		return s, "", false
	}
	return word, strings.TrimSuffix(arg, ")"), true
}

func (r *Rule) condition(s string) error {
	word, arg, ok := call(s)
	if !ok {
		return fmt.Errorf("condition %q: want word(argument)", s)
	}
	var err error
	switch word {
	case "name":
		r.name = strings.Trim(arg, "'\"")
		_, err = path.Match(r.name, "x")
	case "nth":
		r.nth, err = strconv.Atoi(arg)
	case "times":
		r.times, err = strconv.Atoi(arg)
	case "after-bytes":
		r.afterBytes, err = strconv.ParseInt(arg, 10, 64)
	case "prob":
		r.prob, err = strconv.ParseFloat(arg, 64)
	default:
		return fmt.Errorf("unknown condition %q", word)
	}
	if err != nil {
		return fmt.Errorf("condition %q: %v", s, err)
	}
	return nil
}

func (r *Rule) effect(s string) error {
	if word, arg, ok := call(s); ok && word == "torn" {
		n, err := strconv.ParseInt(arg, 10, 64)
		if err != nil || n < 0 || r.op != OpWrite {
			return fmt.Errorf("effect %q: want torn(bytes) on write", s)
		}
		r.torn, r.err = n, syscall.EIO
		return nil
	}
	switch s {
	case "EIO":
		r.err = syscall.EIO
	case "ENOSPC":
		r.err = syscall.ENOSPC
	case "EROFS":
		r.err = syscall.EROFS
	case "EDQUOT":
		r.err = syscall.EDQUOT
	case "lie":
		if r.op != OpSync {
			return fmt.Errorf("effect lie: only on sync")
		}
		r.lie = true
	default:
		return fmt.Errorf("unknown effect %q", s)
	}
	return nil
}

// applies counts a call and reports whether the rule fires on it. chance is a
// random number in [0,1).
func (r *Rule) applies(op Op, name string, bytes int64, chance float64) bool {
	if r.op != OpAny && r.op != op {
		return false
	}
	if r.name != "" {
		if ok, _ := path.Match(r.name, path.Base(name)); !ok {
			return false
		}
	}
	r.calls++
	r.bytes += bytes
	switch {
	case r.nth > 0 && r.calls != r.nth,
		r.times > 0 && r.fired >= r.times,
		r.afterBytes >= 0 && r.bytes <= r.afterBytes,
		r.prob < 1 && chance >= r.prob:
		return false
	}
	r.fired++
	return true
}
