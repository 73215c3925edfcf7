package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"torc/internal/errs"
)

var now = time.Now()

func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newCA(t *testing.T, cluster string) *CA {
	t.Helper()
	ca, err := NewCA(cluster, now)
	return must(t, ca, err)
}

func issue(t *testing.T, ca *CA, server string, hosts ...string) *Pair {
	t.Helper()
	p, err := ca.Issue(server, hosts, now)
	return must(t, p, err)
}

func TestIdentityInCertificate(t *testing.T) {
	p := issue(t, newCA(t, "paris-1"), "s12", "s12.example.net", "10.0.0.7")
	id, err := CertIdentity(p.Cert)
	if err != nil || id != (Identity{"paris-1", "s12"}) {
		t.Errorf("identity %+v, %v", id, err)
	}
	if u := p.Cert.URIs[0].String(); u != "torc://paris-1/server/s12" {
		t.Errorf("URI %s", u)
	}
	for _, h := range []string{"localhost", "127.0.0.1", "::1", "s12.example.net", "10.0.0.7"} {
		if err := p.Cert.VerifyHostname(h); err != nil {
			t.Errorf("not valid for HTTPS on %s: %v", h, err)
		}
	}
	if d := p.Cert.NotAfter.Sub(now); d < CertValidity-time.Minute || d > CertValidity+time.Minute {
		t.Errorf("valid for %v", d)
	}
}

func TestNamesOutsideTheRules(t *testing.T) {
	ca := newCA(t, "c1")
	for _, name := range []string{"", "a/b", "a b", "é", "a\n", strings.Repeat("x", NameLenMax+1)} {
		if _, err := NewCA(name, now); !errs.Is(err, errs.Invalid) {
			t.Errorf("cluster %q: %v, want Invalid", name, err)
		}
		if _, err := ca.Issue(name, nil, now); !errs.Is(err, errs.Invalid) {
			t.Errorf("server %q: %v, want Invalid", name, err)
		}
	}
}

func TestCertificatesWithoutOneIdentity(t *testing.T) {
	uri := func(s string) *url.URL {
		u, err := url.Parse(s)
		return must(t, u, err)
	}
	for name, uris := range map[string][]*url.URL{
		"none":      nil,
		"other":     {uri("spiffe://c1/server/s1")},
		"two":       {uri("torc://c1/server/s1"), uri("torc://c1/server/s2")},
		"path":      {uri("torc://c1/node/s1")},
		"deep path": {uri("torc://c1/server/s1/x")},
		"query":     {uri("torc://c1/server/s1?x=1")},
		"user":      {uri("torc://root@c1/server/s1")},
	} {
		if id, err := CertIdentity(&x509.Certificate{URIs: uris}); !errs.Is(err, errs.Permission) {
			t.Errorf("%s: %+v, %v; want Permission", name, id, err)
		}
	}
	if _, err := PeerIdentity(tls.ConnectionState{}); !errs.Is(err, errs.Permission) {
		t.Errorf("no certificate: %v, want Permission", err)
	}
}

func TestSaveAndLoad(t *testing.T) {
	dir := t.TempDir()
	file := func(n string) string { return filepath.Join(dir, n) }
	ca := newCA(t, "c1")
	if err := ca.Save(file("ca.pem"), file("ca.key")); err != nil {
		t.Fatal(err)
	}
	back, err := LoadCA(file("ca.pem"), file("ca.key"))
	must(t, back, err)
	if back.Cluster != "c1" || !back.Cert.Equal(ca.Cert) {
		t.Errorf("loaded CA of %q", back.Cluster)
	}
	p := issue(t, back, "s1")
	if err := p.Save(file("s1.pem"), file("s1.key")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{"ca.key": 0o600, "s1.key": 0o600, "s1.pem": 0o644} {
		if st, err := os.Stat(file(name)); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want %v", name, st.Mode(), err, want)
		}
	}
	if left, _ := filepath.Glob(file(".*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := ServerTLS(file("s1.pem"), file("s1.key"), file("ca.pem"), "c1"); err != nil {
		t.Error(err)
	}
	if _, err := ClientTLS(file("s1.pem"), file("s1.key"), file("ca.pem"), "c2"); !errs.Is(err, errs.Invalid) {
		t.Errorf("own certificate of another cluster: %v, want Invalid", err)
	}
}

func TestFilesThatMustNotLoad(t *testing.T) {
	dir := t.TempDir()
	file := func(n string) string { return filepath.Join(dir, n) }
	ca := newCA(t, "c1")
	one, two := issue(t, ca, "s1"), issue(t, ca, "s2")
	for n, p := range map[string]*Pair{"1": one, "2": two} {
		if err := p.Save(file(n+".pem"), file(n+".key")); err != nil {
			t.Fatal(err)
		}
	}
	write := func(n, s string) string {
		if err := os.WriteFile(file(n), []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		return file(n)
	}
	pem, err := os.ReadFile(file("1.pem"))
	must(t, pem, err)
	for name, c := range map[string]struct {
		cert, key string
		want      errs.Kind
	}{
		"key of another":     {file("1.pem"), file("2.key"), errs.Invalid},
		"no such file":       {file("9.pem"), file("1.key"), errs.NotFound},
		"not PEM":            {write("x", "hello"), file("1.key"), errs.Invalid},
		"two certificates":   {write("y", string(pem)+string(pem)), file("1.key"), errs.Invalid},
		"certificate as key": {file("1.pem"), write("z", string(pem)), errs.Invalid},
		"too large":          {write("big", strings.Repeat("x", fileLenMax+1)), file("1.key"), errs.Invalid},
	} {
		if _, err := LoadPair(c.cert, c.key); !errs.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := LoadCA(file("1.pem"), file("1.key")); !errs.Is(err, errs.Invalid) {
		t.Errorf("server certificate as CA: %v, want Invalid", err)
	}
	if err := os.Chmod(file("1.key"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadPair(file("1.pem"), file("1.key")); !errs.Is(err, errs.Permission) {
		t.Errorf("key readable by the group: %v, want Permission", err)
	}
}

// handshake returns what each end says about the other.
func handshake(t *testing.T, sc, cc *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	done := make(chan error, 1)
	go func() {
		s := tls.Server(a, sc)
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte("x"))
		}
		_ = a.Close()
		done <- err
	}()
	c := tls.Client(b, cc)
	clientErr = c.Handshake()
	if clientErr == nil { // a refusal by the server arrives after TLS 1.3's handshake
		_, clientErr = c.Read(make([]byte, 1))
	}
	_ = b.Close()
	return <-done, clientErr
}

func TestWhoIsTrusted(t *testing.T) {
	ca, impostor := newCA(t, "c1"), newCA(t, "c1")
	twoClusters := &CA{Pair: ca.Pair, Cluster: "c2"} // one CA key used for two clusters
	old, err := ca.Issue("s9", nil, now.Add(-CertValidity-2*backdate))
	must(t, old, err)
	for _, c := range []struct {
		name           string
		server, client *Pair
		cluster        string // of the client
		ok             bool
	}{
		{"same cluster", issue(t, ca, "s1"), issue(t, ca, "s2"), "c1", true},
		{"client of another cluster, same key", issue(t, ca, "s1"), issue(t, twoClusters, "s2"), "c2", false},
		{"client of an impostor", issue(t, ca, "s1"), issue(t, impostor, "s2"), "c1", false},
		{"server of an impostor", issue(t, impostor, "s1"), issue(t, ca, "s2"), "c1", false},
		{"expired client", issue(t, ca, "s1"), old, "c1", false},
		{"expired server", old, issue(t, ca, "s2"), "c1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			sc, err := c.server.ServerTLS(ca.Cert, "c1")
			must(t, sc, err)
			cc, err := c.client.ClientTLS(ca.Cert, c.cluster)
			must(t, cc, err)
			serverErr, clientErr := handshake(t, sc, cc)
			if (serverErr == nil && clientErr == nil) != c.ok {
				t.Errorf("server: %v; client: %v; want trust %v", serverErr, clientErr, c.ok)
			}
			if !c.ok && clientErr == nil {
				t.Error("the client was served")
			}
		})
	}
}

func TestClientWithoutCertificateAndOldTLS(t *testing.T) {
	ca := newCA(t, "c1")
	sc, err := issue(t, ca, "s1").ServerTLS(ca.Cert, "c1")
	must(t, sc, err)
	if serverErr, _ := handshake(t, sc, &tls.Config{InsecureSkipVerify: true}); serverErr == nil {
		t.Error("a client without a certificate was accepted")
	}
	cc, err := issue(t, ca, "s2").ClientTLS(ca.Cert, "c1")
	must(t, cc, err)
	cc.MinVersion, cc.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if serverErr, _ := handshake(t, sc, cc); serverErr == nil {
		t.Error("TLS 1.2 was accepted")
	}
	if _, err := ca.Pair.ClientTLS(ca.Cert, "c1"); !errors.Is(err, errs.Permission) {
		t.Errorf("the CA's own certificate as a server's: %v, want Permission", err)
	}
}
