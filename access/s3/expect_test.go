package s3

import (
	"strings"
	"testing"
)

// A client that sends Expect with an empty body gets its 100 too, whether the
// request is good or not: without it botocore mixes up the connection's answers.
func TestExpectContinueWithoutBody(t *testing.T) {
	r := newRig(t, false)
	r.must(200, "PUT", "/bkt", "")
	for path, status := range map[string]int{"/bkt/empty": 200, "/none/empty": 404} {
		c := r.dial()
		r.head(c, "PUT", path, aliceSecret, "Content-Length: 0", "Expect: 100-continue")
		line, err := c.r.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
			t.Fatalf("%s: got %q, %v, want 100 first", path, line, err)
		}
		if _, err := c.r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if got := c.reply(); got.status != status {
			t.Errorf("%s: %d %s, want %d", path, got.status, got.body, status)
		}
	}
}
