package node

import (
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
	"time"

	"torc/internal/errs"
	"torc/internal/pki"
)

// Files of a server's directory.
const (
	configFile  = "torc.yaml"
	keyringFile = "keyring.json"
	caFile      = "ca.pem"
	certFile    = "server.pem"
	keyFile     = "server.key"
)

// ClusterSpec says what cluster to make.
type ClusterSpec struct {
	Dir     string // every server's directory is made in it, and the CA's
	Base    Config // settings that all servers share
	Servers []ServerSpec
}

// ServerSpec is one server of it.
type ServerSpec struct {
	Member
	HTTP, HTTPS, Portal string   // host:port
	Disks               []string // absolute paths
}

// CreateCluster makes the internal CA, and for each server a directory
// Dir/ID with its certificate, keyring and configuration. The CA's private key
// stays in Dir/ca: no server needs it. Nothing is started or formatted.
func CreateCluster(spec ClusterSpec) ([]Config, error) {
	const op = "create cluster"
	if _, err := os.Stat(filepath.Join(spec.Dir, caFile)); err == nil {
		return nil, errs.E(op, errs.Exists, "%s holds a cluster already: its keys would be lost", spec.Dir)
	}
	cluster := newID()
	members := make([]Member, len(spec.Servers))
	for i, s := range spec.Servers {
		members[i] = s.Member
	}
	var out []Config
	for _, s := range spec.Servers {
		c := serverConfig(spec, s, cluster, members)
		if err := c.Validate(); err != nil { // before anything is written
			return nil, errs.Wrap(op, err)
		}
		out = append(out, c)
	}
	now := time.Now()
	ca, err := pki.NewCA(cluster, now)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if err := os.MkdirAll(filepath.Join(spec.Dir, "ca"), 0o700); err != nil {
		return nil, errs.E(op, errs.KindOf(err), "%w", err)
	}
	if err := ca.Save(filepath.Join(spec.Dir, "ca", caFile), filepath.Join(spec.Dir, "ca", "ca.key")); err != nil {
		return nil, errs.Wrap(op, err)
	}
	if err := ca.SaveCert(filepath.Join(spec.Dir, caFile)); err != nil {
		return nil, errs.Wrap(op, err)
	}
	keyring := NewKeyring(cluster)
	for i, s := range spec.Servers {
		if err := writeServer(out[i], s, ca, keyring, now); err != nil {
			return nil, errs.Wrap(op, err)
		}
	}
	return out, nil
}

func serverConfig(spec ClusterSpec, s ServerSpec, cluster string, members []Member) Config {
	c := spec.Base
	c.Cluster, c.Server, c.Members = cluster, s.ID, members
	c.Dir = filepath.Join(spec.Dir, s.ID)
	c.Nodes = s.Nodes
	c.S3.HTTP, c.S3.HTTPS, c.Portal.Addr = s.HTTP, s.HTTPS, s.Portal
	c.TLS = TLSConfig{CA: filepath.Join(c.Dir, caFile), Cert: filepath.Join(c.Dir, certFile), Key: filepath.Join(c.Dir, keyFile)}
	c.Keyring = filepath.Join(c.Dir, keyringFile)
	c.Disks = nil
	for _, path := range s.Disks {
		c.Disks = append(c.Disks, Disk{Path: path, UUID: newID()})
	}
	return c
}

func writeServer(c Config, s ServerSpec, ca *pki.CA, keyring Keyring, now time.Time) error {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return errs.E("", errs.KindOf(err), "%w", err)
	}
	pair, err := ca.Issue(c.Server, certHosts(c, s), now)
	if err != nil {
		return err
	}
	if err := pair.Save(c.TLS.Cert, c.TLS.Key); err != nil {
		return err
	}
	if err := ca.SaveCert(c.TLS.CA); err != nil {
		return err
	}
	text, err := Render(c, false)
	if err != nil {
		return err
	}
	if err := writeFileSync(filepath.Join(c.Dir, configFile), []byte(text), 0o600); err != nil {
		return err
	}
	return keyring.Save(c.Keyring)
}

// certHosts returns the names and addresses that the server's certificate covers.
func certHosts(c Config, s ServerSpec) []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	for _, addr := range []string{s.Addr, s.HTTP, s.HTTPS, s.Portal} {
		if h, _, err := net.SplitHostPort(addr); err == nil && h != "" && h != "0.0.0.0" && h != "::" {
			hosts = append(hosts, h)
		}
	}
	for _, d := range c.S3.Domains {
		hosts = append(hosts, d, "*."+d)
	}
	return hosts
}

// newID returns 128 random bits as 32 hex digits: the id of a cluster or a disk.
func newID() string { return hex.EncodeToString(randomBytes(16)) }
