package s3

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the transcripts with what the server answers")

// TestTranscripts replays testdata/*.txt, each against a server of its own. A
// file is a list of cases:
//
//	### why this case
//	METHOD /path
//	Header: value
//	@as: bob | nobody | stranger | forger     (alice if not given)
//
//	body
//	----
//	the answer: status, headers that matter, body; ids and times masked
//
// In requests {a*1024} is 1024 times "a", {upload} the last UploadId answered.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { replay(t, file) })
	}
}

func replay(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), "### ")
	if !ok {
		t.Fatalf("%s has no cases", file)
	}
	s := &script{rig: newRig(t, false)}
	out := head
	for _, part := range strings.Split(rest, "\n### ") {
		request, want, ok := strings.Cut(part, "\n----\n")
		if !ok && !*rewrite {
			t.Fatalf("a case without an answer: %s", part)
		}
		request = strings.TrimSuffix(request, "\n")
		got := s.play(request)
		if want = strings.TrimSpace(want); want != got && !*rewrite {
			t.Errorf("%s\n--- got ---\n%s\n--- want ---\n%s", request, got, want)
		}
		out += "### " + request + "\n----\n" + got + "\n\n"
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(strings.TrimRight(out, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// script plays the cases of one file.
type script struct {
	*rig
	upload string
}

var (
	repeated = regexp.MustCompile(`\{(.)\*(\d+)\}`)
	masks    = []struct {
		re   *regexp.Regexp
		mask string
	}{
		{regexp.MustCompile(`<RequestId>[0-9A-F]{16}</RequestId>`), "<RequestId>ID</RequestId>"},
		{regexp.MustCompile(`<HostId>[0-9A-F]{32}</HostId>`), "<HostId>HOST</HostId>"},
		{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`), "TIME"},
		{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDR"},
	}
	uploadElement = regexp.MustCompile(`<UploadId>([^<]+)</UploadId>`)
)

func (s *script) expand(text string) string {
	text = strings.ReplaceAll(text, "{upload}", s.upload)
	return repeated.ReplaceAllStringFunc(text, func(m string) string {
		p := repeated.FindStringSubmatch(m)
		n, _ := strconv.Atoi(p[2])
		return strings.Repeat(p[1], n)
	})
}

// play sends one request and renders the answer.
func (s *script) play(text string) string {
	_, request, _ := strings.Cut(text, "\n") // the first line says why
	head, body, _ := strings.Cut(s.expand(request), "\n\n")
	lines := strings.Split(head, "\n")
	method, path, ok := strings.Cut(lines[0], " ")
	if !ok {
		s.t.Fatalf("no request line in %q", text)
	}
	as := "alice"
	q := s.request(method, path, body)
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ": ")
		switch {
		case !ok:
			s.t.Fatalf("%q is not a header", line)
		case name == "@as":
			as = value
		case name == "Host":
			q.Host = value
		default:
			q.Header.Add(name, value)
		}
	}
	s.signAs(q, as)
	return s.render(s.sendRaw(q))
}

func (s *script) signAs(q *http.Request, as string) {
	key, secret := aliceKey, aliceSecret
	switch as {
	case "alice":
	case "bob":
		key, secret = bobKey, bobSecret
	case "stranger": // a key nobody has
		key = "AKIASTRANGER00000000"
	case "forger": // alice's key with another secret
		secret = bobSecret
	case "nobody":
		return
	default:
		s.t.Fatalf("nobody is called %q", as)
	}
	s.sign(q, key, secret)
}

// render shows an answer, with what differs from run to run masked.
func (s *script) render(r reply) string {
	if r.err != nil {
		s.t.Errorf("reading the answer: %v", r.err)
	}
	lines := []string{strconv.Itoa(r.status)}
	for _, name := range []string{"X-Amz-Request-Id", "X-Amz-Id-2", "Date", "Server"} {
		if r.header.Get(name) == "" {
			s.t.Errorf("an answer without %s", name)
		}
		delete(r.header, name)
	}
	if r.header.Get("Content-Type") == "application/xml" {
		delete(r.header, "Content-Length")
	}
	if r.header.Get("Last-Modified") != "" {
		r.header.Set("Last-Modified", "DATE")
	}
	var headers []string
	for name, values := range r.header {
		headers = append(headers, fmt.Sprintf("%s: %s", name, strings.Join(values, " | ")))
	}
	slices.Sort(headers)
	lines = append(lines, headers...)
	if m := uploadElement.FindStringSubmatch(r.body); m != nil && r.status == 200 {
		s.upload = m[1]
	}
	body := strings.TrimPrefix(r.body, xmlHeader)
	for _, m := range masks {
		body = m.re.ReplaceAllString(body, m.mask)
	}
	if s.upload != "" {
		body = strings.ReplaceAll(body, s.upload, "UPLOAD")
	}
	body = regexp.MustCompile(`(<(StringToSign|StringToSignBytes|SignatureProvided|CanonicalRequest|CanonicalRequestBytes)>)[^<]*`).ReplaceAllString(body, "${1}MASKED")
	if body != "" {
		lines = append(lines, "", body)
	}
	return strings.Join(lines, "\n")
}
