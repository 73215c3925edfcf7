package pki

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"strings"

	"torc/internal/errs"
)

// Identity names a server of a cluster.
type Identity struct {
	Cluster string
	Server  string
}

// NameLenMax bounds cluster and server ids, in bytes.
const NameLenMax = 64

const uriScheme = "torc"

// URI returns torc://<cluster>/server/<id>.
func (id Identity) URI() *url.URL {
	return &url.URL{Scheme: uriScheme, Host: id.Cluster, Path: "/server/" + id.Server}
}

// Validate returns errs.Invalid unless both ids are 1-64 letters, digits, '.', '_' or '-'.
func (id Identity) Validate() error {
	if err := checkName("cluster", id.Cluster); err != nil {
		return err
	}
	return checkName("server", id.Server)
}

func checkName(what, s string) error {
	ok := len(s) > 0 && len(s) <= NameLenMax
	for _, c := range []byte(s) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-')
	}
	if !ok {
		return errs.E("pki", errs.Invalid, "%s id %q: want 1-%d letters, digits, '.', '_' or '-'", what, s, NameLenMax)
	}
	return nil
}

// CertIdentity reads the identity from a certificate; Permission if it carries
// none, or more than one.
func CertIdentity(cert *x509.Certificate) (Identity, error) {
	var found []Identity
	for _, u := range cert.URIs {
		if u.Scheme != uriScheme {
			continue
		}
		id := Identity{Cluster: u.Host, Server: strings.TrimPrefix(u.Path, "/server/")}
		if id.Validate() != nil || id.URI().String() != u.String() {
			return Identity{}, errs.E("pki", errs.Permission, "certificate carries a malformed identity %q", u)
		}
		found = append(found, id)
	}
	if len(found) != 1 {
		return Identity{}, errs.E("pki", errs.Permission, "certificate %q carries %d server identities, want 1", cert.Subject, len(found))
	}
	return found[0], nil
}

// PeerIdentity returns who is at the other end of a verified connection.
func PeerIdentity(cs tls.ConnectionState) (Identity, error) {
	if len(cs.PeerCertificates) == 0 {
		return Identity{}, errs.E("pki", errs.Permission, "the peer presented no certificate")
	}
	return CertIdentity(cs.PeerCertificates[0])
}
