package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"

	"torc/internal/errs"
)

const (
	blockCert = "CERTIFICATE"
	blockKey  = "PRIVATE KEY"
)

// Save writes the pair as PEM: the key with mode 0600, the certificate 0644.
func (p *Pair) Save(certFile, keyFile string) error {
	der, err := x509.MarshalPKCS8PrivateKey(p.Key)
	if err != nil {
		return errs.E("pki.Save", errs.Other, "encode key: %w", err)
	}
	if err := writeFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: blockKey, Bytes: der}), 0o600); err != nil {
		return err
	}
	return p.SaveCert(certFile)
}

// SaveCert writes the certificate alone: a CA's, for the servers that trust it.
func (p *Pair) SaveCert(certFile string) error {
	return writeFile(certFile, pem.EncodeToMemory(&pem.Block{Type: blockCert, Bytes: p.Cert.Raw}), 0o644)
}

// writeFile replaces a file whole, durably.
func writeFile(name string, data []byte, mode os.FileMode) error {
	const op = "pki.Save"
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return errs.Wrap(op, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	for _, step := range []func() error{func() error { return f.Chmod(mode) }, f.Sync} {
		if err == nil {
			err = step()
		}
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err == nil {
		err = syncDir(filepath.Dir(name))
	}
	return errs.Wrap(op, err)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// LoadPair reads a certificate and its key. Permission: others may read the key
// file. Invalid: the files do not hold a certificate and the key that fits it.
func LoadPair(certFile, keyFile string) (*Pair, error) {
	const op = "pki.Load"
	st, err := os.Stat(keyFile)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, errs.E(op, errs.Permission, "%s has mode %04o: others may read the key, want 0600", keyFile, st.Mode().Perm())
	}
	cert, err := LoadCert(certFile)
	if err != nil {
		return nil, err
	}
	der, err := loadBlock(keyFile, blockKey)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errs.E(op, errs.Invalid, "%s: %w", keyFile, err)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok || !ec.PublicKey.Equal(cert.PublicKey) {
		return nil, errs.E(op, errs.Invalid, "the key in %s is not that of the certificate in %s", keyFile, certFile)
	}
	return &Pair{Cert: cert, Key: ec}, nil
}

// LoadCert reads one certificate.
func LoadCert(file string) (*x509.Certificate, error) {
	der, err := loadBlock(file, blockCert)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, errs.E("pki.Load", errs.Invalid, "%s: %w", file, err)
	}
	return cert, nil
}

// LoadCA reads an authority that Save has written.
func LoadCA(certFile, keyFile string) (*CA, error) {
	p, err := LoadPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	ou := p.Cert.Subject.OrganizationalUnit
	if !p.Cert.IsCA || len(ou) != 1 || checkName("cluster", ou[0]) != nil {
		return nil, errs.E("pki.LoadCA", errs.Invalid, "%s is not the certificate of a cluster's CA", certFile)
	}
	return &CA{Pair: *p, Cluster: ou[0]}, nil
}

// fileLenMax bounds what is read, in bytes.
const fileLenMax = 64 << 10

func loadBlock(file, typ string) ([]byte, error) {
	const op = "pki.Load"
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if len(data) > fileLenMax {
		return nil, errs.E(op, errs.Invalid, "%s has %d bytes, at most %d", file, len(data), fileLenMax)
	}
	b, rest := pem.Decode(data)
	if b == nil || b.Type != typ || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errs.E(op, errs.Invalid, "%s does not hold exactly one PEM block %q", file, typ)
	}
	return b.Bytes, nil
}
