package pki

import (
	"crypto/tls"
	"crypto/x509"

	"torc/internal/errs"
)

// ServerTLS returns the configuration of the accepting end between servers:
// TLS 1.3, clients must present a certificate of the CA for the same cluster.
func ServerTLS(certFile, keyFile, caFile, cluster string) (*tls.Config, error) {
	pair, roots, err := loadTrust(certFile, keyFile, caFile)
	if err != nil {
		return nil, err
	}
	return pair.ServerTLS(roots, cluster)
}

// ClientTLS returns the configuration of the calling end between servers: TLS
// 1.3, the server must present a certificate of the CA for the same cluster.
func ClientTLS(certFile, keyFile, caFile, cluster string) (*tls.Config, error) {
	pair, roots, err := loadTrust(certFile, keyFile, caFile)
	if err != nil {
		return nil, err
	}
	return pair.ClientTLS(roots, cluster)
}

func loadTrust(certFile, keyFile, caFile string) (*Pair, *x509.Certificate, error) {
	pair, err := LoadPair(certFile, keyFile)
	if err != nil {
		return nil, nil, err
	}
	root, err := LoadCert(caFile)
	return pair, root, err
}

// Certificate returns the pair as crypto/tls wants it, for HTTPS too.
func (p *Pair) Certificate() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{p.Cert.Raw}, PrivateKey: p.Key, Leaf: p.Cert}
}

// ServerTLS is the function ServerTLS from what is in memory.
func (p *Pair) ServerTLS(root *x509.Certificate, cluster string) (*tls.Config, error) {
	return p.config(root, cluster, x509.ExtKeyUsageClientAuth)
}

// ClientTLS is the function ClientTLS from what is in memory.
func (p *Pair) ClientTLS(root *x509.Certificate, cluster string) (*tls.Config, error) {
	return p.config(root, cluster, x509.ExtKeyUsageServerAuth)
}

// config makes a configuration that accepts peers of the cluster whose
// certificates may be used for usage. The checks are made in VerifyConnection,
// which also sees resumed sessions; crypto/tls's own check of the host name is
// off, because identities here are not host names.
func (p *Pair) config(root *x509.Certificate, cluster string, usage x509.ExtKeyUsage) (*tls.Config, error) {
	own, err := CertIdentity(p.Cert)
	if err != nil {
		return nil, err
	}
	if own.Cluster != cluster {
		return nil, errs.E("pki.TLS", errs.Invalid, "the certificate is for cluster %q, this is cluster %q", own.Cluster, cluster)
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{p.Certificate()},
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true, // VerifyConnection checks instead
		SessionTicketsDisabled: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			return verify(cs, roots, cluster, usage)
		},
	}, nil
}

func verify(cs tls.ConnectionState, roots *x509.CertPool, cluster string, usage x509.ExtKeyUsage) error {
	id, err := PeerIdentity(cs)
	if err != nil {
		return err
	}
	leaf := cs.PeerCertificates[0]
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
		return errs.E("pki", errs.Permission, "server %q: %w", id.Server, err)
	}
	if id.Cluster != cluster {
		return errs.E("pki", errs.Permission, "server %q belongs to cluster %q, this is cluster %q", id.Server, id.Cluster, cluster)
	}
	return nil
}
