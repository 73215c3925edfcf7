package s3

import (
	"net/http"
	"strings"
	"time"

	"torc/object"
)

// codeNotModified is not an error of S3's: a 304 without a document.
const codeNotModified Code = "NotModified"

// conditions are the four conditional headers of a read, or of a copy's source.
type conditions struct {
	match, noneMatch           string // "" when absent
	unmodified, modified       time.Time
	hasUnmodified, hasModified bool
}

// conditionsOf reads the headers; prefix is "" or "X-Amz-Copy-Source-". A date
// that cannot be parsed is as if absent (RFC 9110, 13.1.3).
func conditionsOf(h http.Header, prefix string) conditions {
	c := conditions{match: h.Get(prefix + "If-Match"), noneMatch: h.Get(prefix + "If-None-Match")}
	c.unmodified, c.hasUnmodified = dateHeader(h, prefix+"If-Unmodified-Since")
	c.modified, c.hasModified = dateHeader(h, prefix+"If-Modified-Since")
	return c
}

func dateHeader(h http.Header, name string) (time.Time, bool) {
	v := h.Get(name)
	if v == "" { // ParseTime takes its time to refuse it
		return time.Time{}, false
	}
	t, err := http.ParseTime(v)
	return t, err == nil
}

// check evaluates the conditions in RFC 9110's order, which is AWS's: If-Match
// that holds silences If-Unmodified-Since, If-None-Match silences
// If-Modified-Since. The copies answer 412 where reads answer 304.
func (c conditions) check(o *object.Object, copying bool) error {
	modified := o.Modified.Truncate(time.Second) // headers carry whole seconds
	switch {
	case c.match != "":
		if !matchesETag(c.match, o.ETag) {
			return preconditionFailed("If-Match")
		}
	case c.hasUnmodified && modified.After(c.unmodified):
		return preconditionFailed("If-Unmodified-Since")
	}
	condition := ""
	switch {
	case c.noneMatch != "":
		if matchesETag(c.noneMatch, o.ETag) {
			condition = "If-None-Match"
		}
	case c.hasModified && !modified.After(c.modified):
		condition = "If-Modified-Since"
	}
	if condition == "" {
		return nil
	}
	if copying {
		return preconditionFailed(condition)
	}
	return fail(codeNotModified)
}

func preconditionFailed(condition string) error {
	return fail("PreconditionFailed").with("Condition", condition)
}

// matchesETag reports whether a list of ETags, or "*", names tag.
func matchesETag(list, tag string) bool {
	for _, t := range splitETags(list) {
		if t == "*" || t == tag {
			return true
		}
	}
	return false
}

// splitETags takes a header apart. Weak tags compare as strong ones: an ETag
// here always stands for the bytes.
func splitETags(list string) []string {
	var tags []string
	for _, t := range strings.Split(list, ",") {
		t = strings.TrimPrefix(strings.TrimSpace(t), "W/")
		if t = unquoteETag(t); t != "" {
			tags = append(tags, t)
		}
	}
	return tags
}

// writeConditionOf takes the condition of a write. If-None-Match takes only
// "*", as in S3; the dates are not defined for writes.
func writeConditionOf(h http.Header) (object.WriteCondition, error) {
	var w object.WriteCondition
	match, none := h.Get("If-Match"), h.Get("If-None-Match")
	for name, v := range map[string]string{"If-Match": match, "If-None-Match": none} {
		if v == "" && len(h[name]) > 0 {
			return w, invalidArgument(name, v, "")
		}
	}
	if match != "" && none != "" {
		return w, notImplemented("If-None-Match", "If-Match and If-None-Match together are not implemented.")
	}
	if none != "" {
		if none != "*" {
			return w, notImplemented("If-None-Match", "Only If-None-Match: * is implemented for writes.")
		}
		w.IfNoneMatch = []string{"*"}
	}
	if match != "" {
		w.IfMatch = splitETags(match)
		if len(w.IfMatch) == 0 {
			return w, invalidArgument("If-Match", match, "")
		}
	}
	for _, name := range []string{"If-Modified-Since", "If-Unmodified-Since"} {
		if h.Get(name) != "" {
			return w, notImplemented(name, "Writes take If-Match and If-None-Match only.")
		}
	}
	return w, nil
}

// deleteCondition takes the tag that an object must have to be deleted, "" for
// any. A condition that is there and names none is refused, never dropped.
func deleteCondition(match ...string) (string, error) {
	if len(match) == 0 {
		return "", nil
	}
	tag := unquoteETag(match[0])
	if tag == "" || len(match) > 1 {
		return "", invalidArgument("If-Match", match[0], "")
	}
	return tag, nil
}
