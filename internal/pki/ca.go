package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"time"

	"torc/internal/errs"
)

// Validity of what a CA makes. Certificates begin a day early, for servers
// whose clocks are behind.
const (
	CAValidity   = 10 * 365 * 24 * time.Hour
	CertValidity = 5 * 365 * 24 * time.Hour
	backdate     = 24 * time.Hour
)

// Pair is a certificate with its private key.
type Pair struct {
	Cert *x509.Certificate
	Key  *ecdsa.PrivateKey
}

// CA is a cluster's certificate authority.
type CA struct {
	Pair
	Cluster string
}

// NewCA makes the authority of a new cluster.
func NewCA(cluster string, now time.Time) (*CA, error) {
	if err := checkName("cluster", cluster); err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Torc"}, OrganizationalUnit: []string{cluster}, CommonName: "Torc CA of " + cluster},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(CAValidity),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	pair, err := sign(t, nil)
	if err != nil {
		return nil, err
	}
	return &CA{Pair: *pair, Cluster: cluster}, nil
}

// Issue makes the certificate of a server. hosts are the DNS names and IP
// addresses under which it serves HTTPS; localhost, 127.0.0.1 and ::1 are
// always among them.
func (ca *CA) Issue(server string, hosts []string, now time.Time) (*Pair, error) {
	id := Identity{Cluster: ca.Cluster, Server: server}
	if err := id.Validate(); err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		Subject:     pkix.Name{Organization: []string{"Torc"}, OrganizationalUnit: []string{ca.Cluster}, CommonName: server},
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(CertValidity),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback},
	}
	t.URIs = append(t.URIs, id.URI())
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else if h != "" && h != "localhost" {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	return sign(t, &ca.Pair)
}

// sign completes a template with a new key; the issuer nil means self-signed.
func sign(t *x509.Certificate, issuer *Pair) (*Pair, error) {
	const op = "pki.sign"
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, errs.E(op, errs.Other, "generate key: %w", err)
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, errs.E(op, errs.Other, "serial number: %w", err)
	}
	parent, parentKey := t, key
	if issuer != nil {
		parent, parentKey = issuer.Cert, issuer.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, errs.E(op, errs.Invalid, "certificate of %q: %w", t.Subject.CommonName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, errs.E(op, errs.Other, "parse own certificate: %w", err)
	}
	return &Pair{Cert: cert, Key: key}, nil
}
