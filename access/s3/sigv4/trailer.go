package sigv4

import (
	"net/http"
	"slices"
	"strings"
)

const (
	trailersMax      = 16
	trailerSignature = "x-amz-trailer-signature"
)

// declaredTrailers reads the names in x-amz-trailer, lower case.
func declaredTrailers(h http.Header) ([]string, error) {
	var names []string
	for _, value := range h[headerTrailer] {
		for name := range strings.SplitSeq(value, ",") {
			name = strings.ToLower(strings.TrimSpace(name))
			if !isToken(name) || name == trailerSignature || slices.Contains(names, name) || len(names) == trailersMax {
				return nil, fail(InvalidRequest, "The value specified in the x-amz-trailer header is not supported")
			}
			names = append(names, name)
		}
	}
	return names, nil
}

func isToken(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return name != ""
}

// readTrailers reads "name:value" lines, exactly those that were declared, and
// in a signed stream the signature over them. Clients end lines by LF or CRLF,
// and put an empty line before or after the signature or both: that much is
// allowed, and nothing more.
func (c *chunked) readTrailers() error {
	c.trailer = make(http.Header, len(c.declared))
	signed, blank := false, 0
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		text := strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r")
		if text == "" {
			if c.chain == nil || signed {
				break
			}
			if blank++; blank > 1 {
				return malformedTrailer()
			}
			continue
		}
		name, value, ok := strings.Cut(text, ":")
		name, value = strings.ToLower(strings.Trim(name, " \t")), strings.Trim(value, " \t")
		switch {
		case !ok || signed:
			return malformedTrailer()
		case c.chain != nil && name == trailerSignature:
			if !c.chain.trailer(value) {
				return fail(SignatureDoesNotMatch, "The request signature we calculated does not match the signature you provided. Check your key and signing method.").
					with("SignatureProvided", value)
			}
			signed = true
		case blank > 0:
			return malformedTrailer()
		default:
			if err := c.addTrailer(name, value); err != nil {
				return err
			}
		}
	}
	if len(c.trailer) != len(c.declared) {
		return malformedTrailer()
	}
	if c.chain == nil {
		return c.secondBlank()
	}
	return nil
}

func (c *chunked) addTrailer(name, value string) error {
	key := http.CanonicalHeaderKey(name)
	_, twice := c.trailer[key]
	printable := !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r >= 0x7f })
	if twice || !printable || !slices.Contains(c.declared, name) {
		return malformedTrailer()
	}
	c.trailer[key] = []string{value}
	if c.chain != nil {
		c.chain.add([]byte(name + ":" + value + "\n"))
	}
	return nil
}

// secondBlank allows the further empty line with which some clients end
// unsigned trailers.
func (c *chunked) secondBlank() error {
	if next, _ := c.src.Peek(2); string(next) == "\r\n" {
		return c.crlf()
	}
	return nil
}
