package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"torc/internal/errs"
	"torc/node"
)

// readyWait bounds how long a server may take until it serves.
const readyWait = 60 * time.Second

// Shape of a development ring.
const (
	devNodesMax     = 6   // storage nodes of a server
	devServersMax   = 64  // servers of one ring
	devDisksMax     = 64  // disks of one server
	devContainerMiB = 16  // small containers: 18 disks idle under 1 GiB
	devCacheMiB     = 32  // index cache of one server
	devBodyMiB      = 96  // request bodies in memory of one server
	devMemoryMiB    = 320 // soft memory limit of one server
	devHost         = "127.0.0.1"
	internalPort    = 7400 // first port of server-to-server traffic and gossip
)

type devUpFlags struct {
	servers, disks                            int
	s3Port, tlsPort, portalPort, internalPort int
	foreground                                bool
	wait                                      time.Duration
	grace                                     time.Duration
	logLevel                                  string
}

func newDevUpCmd() *cobra.Command {
	var f devUpFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Make (or start again) the ring; returns when a PUT would succeed",
		Long: `Makes a ring in --dir, starts it and returns when a PUT would succeed. A ring that
is there already is started as it is: --servers, --disks, the ports, --grace and
--log-level count only when it is made.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := devDir(cmd)
			if err != nil {
				return err
			}
			r, err := loadDev(dir)
			if errs.Is(err, errs.NotFound) {
				r, err = createDev(dir, f)
			}
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("servers") && f.servers != len(r.Servers) {
				return errs.E("dev up", errs.Exists, "the ring in %s has %d servers and keeps them; choose another --dir for one of %d", dir, len(r.Servers), f.servers)
			}
			if err := r.up(cmd.Context(), f.wait); err != nil {
				return err
			}
			if err := r.printWelcome(cmd.OutOrStdout()); err != nil || !f.foreground {
				return err
			}
			return r.foreground(cmd)
		},
	}
	fl := cmd.Flags()
	fl.IntVar(&f.servers, "servers", 3, "server processes")
	fl.IntVar(&f.disks, "disks", 6, "disks of each server")
	fl.IntVar(&f.s3Port, "s3-port", 8000, "first S3 port, the next servers take the next ones; 0: free ports")
	fl.IntVar(&f.tlsPort, "s3-tls-port", 8443, "first S3 port with TLS; 0: free ports")
	fl.IntVar(&f.portalPort, "portal-port", 8080, "first port of the status page; 0: free ports")
	fl.IntVar(&f.internalPort, "internal-port", internalPort, "first port between servers, two a server; 0: free ports")
	fl.BoolVar(&f.foreground, "foreground", false, "stay with a live status view; Ctrl-C stops the ring")
	fl.DurationVar(&f.wait, "wait", readyWait, "how long to wait until every server serves")
	fl.DurationVar(&f.grace, "grace", time.Minute, "purge_grace and orphan_grace of the servers' configuration")
	fl.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	return cmd
}

// createDev makes the directory, the certificates, the configurations and the empty disks.
func createDev(dir string, f devUpFlags) (*devRing, error) {
	if f.servers < 1 || f.servers > devServersMax || f.disks < 1 || f.disks > devDisksMax {
		return nil, errs.E("dev up", errs.Invalid, "%d servers with %d disks: want 1-%d servers, 1-%d disks",
			f.servers, f.disks, devServersMax, devDisksMax)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return nil, errs.E("dev up", errs.Exists, "%s is not empty and holds no ring; choose another --dir", dir)
	}
	spec, ring, err := devSpec(dir, f)
	if err != nil {
		return nil, err
	}
	for _, s := range ring.Servers {
		if err := checkPorts(s); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	created, err := node.CreateCluster(spec)
	if err != nil {
		return nil, err
	}
	for _, c := range created {
		if err := node.Format(c, true); err != nil {
			return nil, err
		}
	}
	ring.Cluster, ring.Region = created[0].Cluster, created[0].S3.Region
	return ring, ring.save()
}

func devSpec(dir string, f devUpFlags) (node.ClusterSpec, *devRing, error) {
	ring := &devRing{Dir: dir}
	base := node.Default()
	base.Nodes = min(devNodesMax, f.disks)
	base.Storage = node.StorageConfig{ContainerMiB: devContainerMiB, CacheMiB: devCacheMiB}
	base.S3.BodyMiB, base.MemoryMiB = devBodyMiB, devMemoryMiB
	base.Log.Level = f.logLevel
	base.PurgeGrace, base.OrphanGrace = f.grace, f.grace
	fitPolicy(&base, base.Nodes*f.servers)
	spec := node.ClusterSpec{Dir: dir, Base: base}
	ports, err := newPorts()
	if err != nil {
		return spec, nil, err
	}
	defer ports.release()
	for i := range f.servers {
		id := fmt.Sprintf("s%d", i+1)
		s := devServer{ID: id}
		for _, p := range []struct {
			dst  *string
			base int
			off  int
		}{{&s.HTTP, f.s3Port, i}, {&s.HTTPS, f.tlsPort, i}, {&s.Portal, f.portalPort, i},
			{&s.Peer, f.internalPort, 2 * i}, {&s.Gossip, f.internalPort, 2*i + 1}} {
			if *p.dst, err = ports.pick(p.base, p.off); err != nil {
				return spec, nil, err
			}
		}
		disks := make([]string, f.disks)
		for d := range disks {
			disks[d] = filepath.Join(dir, id, "disks", fmt.Sprintf("disk%d", d+1))
		}
		spec.Servers = append(spec.Servers, node.ServerSpec{
			Member: node.Member{ID: id, Addr: s.Peer, Gossip: s.Gossip, Nodes: base.Nodes, Weight: 1},
			HTTP:   s.HTTP, HTTPS: s.HTTPS, Portal: s.Portal, Disks: disks,
		})
		ring.Servers = append(ring.Servers, s)
	}
	return spec, ring, nil
}

// fitPolicy protects by copies alone where there are too few storage nodes for erasure coding, and says whether it had to.
func fitPolicy(c *node.Config, nodes int) bool {
	if nodes >= c.Policy.Data+c.Policy.Parity {
		return false
	}
	c.Policy.Copies, c.Policy.Parity = min(c.Policy.Copies, nodes), 0
	return true
}

// ports picks addresses, holding the free ones open until all are chosen so
// that no two get the same.
type ports struct{ held []net.Listener }

func newPorts() (*ports, error) { return &ports{}, nil }

func (p *ports) pick(base, off int) (string, error) {
	if base != 0 {
		if base < 0 || base+off > 65535 {
			return "", errs.E("dev up", errs.Invalid, "port %d is out of range", base+off)
		}
		return net.JoinHostPort(devHost, strconv.Itoa(base+off)), nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(devHost, "0"))
	if err != nil {
		return "", err
	}
	p.held = append(p.held, l)
	return l.Addr().String(), nil
}

func (p *ports) release() {
	for _, l := range p.held {
		l.Close()
	}
}

// checkPorts says which port of a server somebody else uses.
func checkPorts(s devServer) error {
	for _, p := range []struct{ what, addr string }{{"S3", s.HTTP}, {"S3 with TLS", s.HTTPS}, {"status page's", s.Portal},
		{"server-to-server", s.Peer}, {"gossip", s.Gossip}} {
		if p.addr == "" {
			continue // a ring made before its ports were noted
		}
		l, err := net.Listen("tcp", p.addr)
		if err != nil {
			return errs.E("dev", errs.Unavailable, "the %s port of server %s, %s, is in use or not allowed: %w", p.what, s.ID, p.addr, err)
		}
		l.Close()
	}
	return nil
}

// up starts what does not run and waits until all serve.
func (r *devRing) up(ctx context.Context, wait time.Duration) error {
	procs := map[string]proc{}
	for _, s := range r.Servers { // all, before the first is started
		if _, ok := r.process(s); !ok {
			if err := checkPorts(s); err != nil {
				return err
			}
		}
	}
	for _, s := range r.Servers {
		p, ok := r.process(s)
		if !ok {
			var err error
			if p, err = r.spawn(s); err != nil {
				return err
			}
		}
		procs[s.ID] = p
	}
	for _, s := range r.Servers {
		if err := r.waitReady(ctx, s, procs[s.ID], wait); err != nil {
			return err
		}
	}
	return nil
}

// waitReady returns when the server would accept a PUT, or why it does not.
func (r *devRing) waitReady(parent context.Context, s devServer, p proc, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(parent, wait)
	defer cancel()
	admin := node.NewAdminClient(r.serverDir(s))
	for {
		err := admin.Ready(ctx)
		if err == nil {
			return nil
		}
		if !p.alive() {
			return errs.E("dev", errs.Unavailable, "server %s ended; the end of %s:\n%s", s.ID, r.logFile(s), r.logTail(s, 5))
		}
		select {
		case <-ctx.Done():
			if parent.Err() != nil {
				return errs.E("dev", errs.Canceled, "interrupted; the servers that were started go on; to stop them: %s dev down%s", shellQuote(os.Args[0]), r.dirFlag())
			}
			return errs.E("dev", errs.Timeout, "server %s is not ready after %v: %v; the end of %s:\n%s", s.ID, wait, err, r.logFile(s), r.logTail(s, 5))
		case <-time.After(pollEvery):
		}
	}
}
