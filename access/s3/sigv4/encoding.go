package sigv4

import (
	"net/http"
	"strings"
)

// ContentEncoding returns the Content-Encoding to store: what the client sent
// without aws-chunked, which is framing of the transfer. "" for none.
func ContentEncoding(h http.Header) string {
	var kept []string
	for _, value := range h["Content-Encoding"] {
		for token := range strings.SplitSeq(value, ",") {
			token = strings.TrimSpace(token)
			if token != "" && !strings.EqualFold(token, "aws-chunked") {
				kept = append(kept, token)
			}
		}
	}
	return strings.Join(kept, ",")
}
