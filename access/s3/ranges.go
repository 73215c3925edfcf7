package s3

import (
	"strconv"
	"strings"
)

// span is a run of an object's bytes.
type span struct{ off, n int64 }

// parseRange reads a Range header for a body of size bytes. ok is false when
// the header asks for nothing that S3 honours (absent, another unit, several
// ranges, malformed): the whole body is answered then. A range that is well
// formed and outside the body is InvalidRange.
func parseRange(header string, size int64) (s span, ok bool, err error) {
	spec, found := strings.CutPrefix(header, "bytes=")
	if !found || strings.Contains(spec, ",") {
		return span{}, false, nil
	}
	from, to, dash := strings.Cut(strings.TrimSpace(spec), "-")
	if !dash {
		return span{}, false, nil
	}
	if from == "" {
		return suffixRange(header, to, size)
	}
	first, good := rangeNumber(from)
	last, goodLast := rangeNumber(to)
	if to == "" {
		last, goodLast = size-1, true
	}
	if !good || !goodLast || to != "" && last < first {
		return span{}, false, nil
	}
	if first >= size {
		return span{}, false, invalidRange(header, size)
	}
	last = min(last, size-1)
	return span{off: first, n: last - first + 1}, true, nil
}

// suffixRange is "bytes=-n": the last n bytes.
func suffixRange(header, to string, size int64) (span, bool, error) {
	n, good := rangeNumber(to)
	if !good {
		return span{}, false, nil
	}
	if n == 0 || size == 0 {
		return span{}, false, invalidRange(header, size)
	}
	n = min(n, size)
	return span{off: size - n, n: n}, true, nil
}

// rangeNumber reads digits only: no sign, no space. Numbers beyond an int64 are
// as good as the largest.
func rangeNumber(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 1<<63 - 1, true
	}
	return n, true
}

func invalidRange(header string, size int64) error {
	return fail("InvalidRange").with("RangeRequested", header).with("ActualObjectSize", strconv.FormatInt(size, 10))
}

// parseCopyRange reads x-amz-copy-source-range: exactly "bytes=first-last",
// inside the source.
func parseCopyRange(header string, size int64) (span, error) {
	bad := invalidArgument("x-amz-copy-source-range", header,
		"The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
	spec, ok := strings.CutPrefix(header, "bytes=")
	if !ok {
		return span{}, bad
	}
	from, to, ok := strings.Cut(spec, "-")
	if !ok {
		return span{}, bad
	}
	first, ok1 := rangeNumber(from)
	last, ok2 := rangeNumber(to)
	if !ok1 || !ok2 || last < first {
		return span{}, bad
	}
	if last >= size {
		return span{}, invalidArgument("x-amz-copy-source-range", header,
			"Range specified is not valid for source object of size: "+strconv.FormatInt(size, 10))
	}
	return span{off: first, n: last - first + 1}, nil
}
