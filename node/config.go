package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"torc/chunk"
	"torc/internal/errs"
	"torc/object"
)

// Config is one server's configuration file. Unknown keys are refused. The
// help tags are the comments of "torc config default".
type Config struct {
	Cluster string `yaml:"cluster" help:"id of the cluster this server belongs to; made by 'torc cluster create'"`
	Server  string `yaml:"server" help:"id of this server; one of the members below"`
	Dir     string `yaml:"dir" help:"where the server keeps its metadata, sockets and caches; absolute"`

	Members []Member `yaml:"members" help:"the cluster's servers; the same list on every server"`
	Disks   []Disk   `yaml:"disks" help:"this server's disks; each is a directory of its own file system in production"`
	Nodes   int      `yaml:"nodes" default:"6" help:"storage nodes of this server; the disks are dealt out to them in turn"`

	TLS     TLSConfig     `yaml:"tls" help:"certificates; mutual TLS between servers is always on"`
	S3      S3Config      `yaml:"s3" help:"the S3 connector"`
	Portal  PortalConfig  `yaml:"portal" help:"the status page and REST API for people and monitoring"`
	Storage StorageConfig `yaml:"storage" help:"the IO daemons"`
	Policy  PolicyConfig  `yaml:"policy" help:"how new objects are protected"`
	Keyring string        `yaml:"keyring" help:"file with the cluster's secret keys, mode 0600"`

	MemoryMiB   int           `yaml:"memory_mib" default:"0" help:"memory the process tries to stay under, in MiB: it collects garbage more often near it; 0: no such limit; GOMEMLIMIT in the environment wins"`
	PurgeGrace  time.Duration `yaml:"purge_grace" default:"10m" help:"how long the bytes of deleted and replaced objects stay readable for requests already running"`
	OrphanGrace time.Duration `yaml:"orphan_grace" default:"15m" help:"how long bytes of a connector that died wait before the sweep frees those that no object refers to"`
	Log         LogConfig     `yaml:"log" help:"logging to standard error"`
}

// Member is one server of the cluster.
type Member struct {
	ID     string `yaml:"id" help:"short name, unique, never reused"`
	Addr   string `yaml:"addr" help:"host:port of server-to-server traffic"`
	Gossip string `yaml:"gossip" help:"host:port of the liveness gossip (TCP and UDP)"`
	Site   string `yaml:"site,omitempty" help:"site name; fragments spread over sites first"`
	Zone   string `yaml:"zone,omitempty" help:"zone name inside the site; fragments spread over zones second"`
	Nodes  int    `yaml:"nodes" default:"6" help:"storage nodes of that server"`
	Weight int64  `yaml:"weight" default:"1" help:"capacity of one of its nodes relative to the others"`
}

// Disk is one directory that one IO daemon owns.
type Disk struct {
	Path  string `yaml:"path" help:"the disk's directory"`
	UUID  string `yaml:"uuid" help:"identity written into the disk's superblock; a disk with another one is refused"`
	Index string `yaml:"index,omitempty" help:"directory for the index, on flash; default: in path"`
}

// TLSConfig names PEM files.
type TLSConfig struct {
	CA   string `yaml:"ca" help:"certificate of the cluster's internal CA"`
	Cert string `yaml:"cert" help:"this server's certificate, signed by the CA"`
	Key  string `yaml:"key" help:"its private key, mode 0600"`
}

// S3Config configures the S3 connector.
type S3Config struct {
	HTTP    string   `yaml:"http" default:"0.0.0.0:8000" help:"address for HTTP; empty: off"`
	HTTPS   string   `yaml:"https" default:"0.0.0.0:8443" help:"address for HTTPS, with the certificate of tls; empty: off"`
	Region  string   `yaml:"region" default:"us-east-1" help:"region name that clients sign for"`
	BodyMiB int      `yaml:"body_mib" default:"128" help:"bytes of request bodies in memory at a time, of all requests together, in MiB; more wait, then get SlowDown"`
	Domains []string `yaml:"domains,omitempty" help:"host names under which BUCKET.DOMAIN addresses a bucket"`
}

// PortalConfig configures the status page.
type PortalConfig struct {
	Addr string `yaml:"addr" default:"127.0.0.1:8080" help:"address for HTTPS; empty: off; user admin, password in the keyring"`
}

// StorageConfig configures the disks of a server.
type StorageConfig struct {
	ContainerMiB int `yaml:"container_mib" default:"1024" help:"size of a container file in MiB"`
	CacheMiB     int `yaml:"cache_mib" default:"64" help:"index cache shared by all disks and the metadata, in MiB"`
}

// PolicyConfig is the protection of new objects.
type PolicyConfig struct {
	Copies    int   `yaml:"copies" default:"3" help:"copies of objects below small_size"`
	Data      int   `yaml:"data" default:"4" help:"data fragments of larger objects"`
	Parity    int   `yaml:"parity" default:"2" help:"parity fragments of larger objects; 0: copies for all sizes"`
	SmallSize int64 `yaml:"small_size" default:"60000" help:"bytes from which objects are erasure coded"`
	StripeMiB int   `yaml:"stripe_mib" default:"8" help:"data bytes of one stripe in MiB, 1 to 8"`
}

// LogConfig configures logging.
type LogConfig struct {
	Level  string `yaml:"level" default:"info" help:"debug, info, warn or error"`
	Format string `yaml:"format" default:"text" help:"text or json"`
}

// Default returns a Config with every default set.
func Default() Config {
	var c Config
	setDefaults(reflect.ValueOf(&c).Elem())
	return c
}

func setDefaults(v reflect.Value) {
	for i := range v.NumField() {
		f, tag := v.Field(i), v.Type().Field(i).Tag.Get("default")
		switch {
		case f.Type() == reflect.TypeFor[time.Duration]() && tag != "":
			d, err := time.ParseDuration(tag)
			if err != nil {
				panic(err)
			}
			f.SetInt(int64(d))
		case f.Kind() == reflect.Struct:
			setDefaults(f)
		case tag == "":
		case f.Kind() == reflect.String:
			f.SetString(tag)
		case f.CanInt():
			n, err := strconv.ParseInt(tag, 10, 64)
			if err != nil {
				panic(err)
			}
			f.SetInt(n)
		}
	}
}

// Load reads and validates a configuration file. Unknown keys and values that
// cannot work are errs.Invalid with the file's name and what to mend.
func Load(file string) (Config, error) {
	c := Default()
	data, err := os.ReadFile(file)
	if err != nil {
		return c, errs.E("configuration", errs.KindOf(err), "%w", err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return c, errs.E("configuration", errs.Invalid, "%s: %s", file, yamlWords(err))
	}
	if err := c.Validate(); err != nil {
		return c, errs.E("configuration", errs.Invalid, "%s: %w", file, err)
	}
	return c, nil
}

// yamlWords turns the library's "field x not found in type node.Config" into the user's terms.
func yamlWords(err error) string {
	s := strings.ReplaceAll(err.Error(), "yaml: unmarshal errors:\n  ", "")
	if i := strings.Index(s, " not found in type"); i >= 0 {
		return strings.Replace(s[:i], "field ", "unknown key ", 1)
	}
	return s
}

// Validate checks that the configuration can work, without touching anything.
func (c Config) Validate() error {
	bad := func(format string, args ...any) error { return errs.E("", errs.Invalid, format, args...) }
	if c.Cluster == "" || c.Server == "" {
		return bad("cluster and server must be set: a server without an identity does not start (see 'torc cluster create')")
	}
	if !filepath.IsAbs(c.Dir) {
		return bad("dir %q must be an absolute path", c.Dir)
	}
	self, ok := c.Member(c.Server)
	if !ok {
		return bad("server %q is not among the members", c.Server)
	}
	if c.Nodes < 1 || c.Nodes != self.Nodes {
		return bad("nodes is %d but members say %d for %s", c.Nodes, self.Nodes, c.Server)
	}
	if len(c.Disks) < c.Nodes {
		return bad("%d disks for %d nodes: each storage node needs a disk of its own", len(c.Disks), c.Nodes)
	}
	if err := validateMembers(c.Members); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i, d := range c.Disks {
		if !filepath.IsAbs(d.Path) || d.UUID == "" || seen[d.Path] || seen[d.UUID] {
			return bad("disks[%d]: path must be absolute, uuid set, and both unique", i)
		}
		seen[d.Path], seen[d.UUID] = true, true
	}
	for name, addr := range map[string]string{"s3.http": c.S3.HTTP, "s3.https": c.S3.HTTPS, "portal.addr": c.Portal.Addr} {
		if _, _, err := net.SplitHostPort(addr); addr != "" && err != nil {
			return bad("%s: %q is not host:port", name, addr)
		}
	}
	if c.TLS.CA == "" || c.TLS.Cert == "" || c.TLS.Key == "" || c.Keyring == "" {
		return bad("tls.ca, tls.cert, tls.key and keyring must be set")
	}
	if c.Storage.ContainerMiB < 8 || c.Storage.ContainerMiB > 1<<16 || c.Storage.CacheMiB < 1 {
		return bad("storage: container_mib must be 8 to 65536, cache_mib at least 1")
	}
	if c.S3.BodyMiB < 16 || c.MemoryMiB < 0 {
		return bad("s3.body_mib must be at least 16, memory_mib not negative")
	}
	if c.PurgeGrace < 0 || c.OrphanGrace < 0 {
		return bad("purge_grace and orphan_grace must not be negative")
	}
	_, err := c.ObjectPolicy()
	return err
}

func validateMembers(members []Member) error {
	seen := map[string]bool{}
	for i, m := range members {
		if m.ID == "" || strings.ContainsAny(m.ID, "/ \t") || seen[m.ID] {
			return errs.E("", errs.Invalid, "members[%d]: id %q is empty, repeated or has a space or slash", i, m.ID)
		}
		for what, addr := range map[string]string{"addr": m.Addr, "gossip": m.Gossip} {
			if _, _, err := net.SplitHostPort(addr); err != nil || seen[addr] {
				return errs.E("", errs.Invalid, "members[%d]: %s %q is not a host:port of its own", i, what, addr)
			}
			seen[addr] = true
		}
		if m.Nodes < 1 || m.Weight < 1 {
			return errs.E("", errs.Invalid, "members[%d]: nodes and weight must be at least 1", i)
		}
		seen[m.ID] = true
	}
	return nil
}

// Member returns a member by id.
func (c Config) Member(id string) (Member, bool) {
	for _, m := range c.Members {
		if m.ID == id {
			return m, true
		}
	}
	return Member{}, false
}

// ObjectPolicy turns the policy section into waist 2's terms.
func (c Config) ObjectPolicy() (object.Policy, error) {
	p := c.Policy
	if p.StripeMiB < 1 || p.StripeMiB > object.StripeSizeMax>>20 {
		return object.Policy{}, errs.E("policy", errs.Invalid, "stripe_mib %d: want 1 to %d", p.StripeMiB, object.StripeSizeMax>>20)
	}
	for _, n := range []int{p.Copies, p.Data, p.Parity} {
		if n < 0 || n > 255 {
			return object.Policy{}, errs.E("policy", errs.Invalid, "copies %d, %d+%d: out of range", p.Copies, p.Data, p.Parity)
		}
	}
	out := object.Policy{Small: chunk.Replicas(uint8(p.Copies)), SmallSize: p.SmallSize}
	out.Large = out.Small
	if p.Parity > 0 {
		out.Large = chunk.EC(uint8(p.Data), uint8(p.Parity))
	}
	for _, prot := range []chunk.Protection{out.Small, out.Large} {
		if err := prot.Validate(); err != nil {
			return object.Policy{}, fmt.Errorf("policy: %w", err)
		}
	}
	return out, nil
}
