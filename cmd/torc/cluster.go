package main

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"

	"torc/internal/errs"
	"torc/node"
)

func newClusterCmd() *cobra.Command {
	return group("cluster", "Make a cluster's certificates, keys and configurations", newClusterCreateCmd())
}

func newClusterCreateCmd() *cobra.Command {
	var out string
	var servers, disks []string
	var port int
	cmd := &cobra.Command{
		Use:   "create --out DIR --server ID=HOST[,site=S][,zone=Z] ... --disk PATH ...",
		Short: "Write one directory a server, to be copied to it; starts nothing",
		Long: `Makes the cluster's internal CA, its secret keys and, for each --server, a
directory OUT/ID with certificate, keyring and torc.yaml. Copy OUT/ID to that server
at the same path, keep OUT/ca safe and offline, then on each server run
  torc server init --config OUT/ID/torc.yaml
  torc server --config OUT/ID/torc.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := filepath.Abs(out)
			if err != nil {
				return err
			}
			spec := node.ClusterSpec{Dir: dir, Base: node.Default()}
			spec.Base.Nodes = min(spec.Base.Nodes, len(disks))
			for _, arg := range servers {
				s, err := parseServer(arg, port, spec.Base.Nodes)
				if err != nil {
					return err
				}
				s.Disks = disks
				spec.Servers = append(spec.Servers, s)
			}
			if err := checkSpec(spec, disks, port); err != nil {
				return err
			}
			copies := fitPolicy(&spec.Base, spec.Base.Nodes*len(spec.Servers))
			configs, err := node.CreateCluster(spec)
			if err != nil {
				return err
			}
			for _, c := range configs {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", c.Server, filepath.Join(c.Dir, "torc.yaml"))
			}
			if copies {
				fmt.Fprintf(cmd.OutOrStdout(), "too few disks for erasure coding: objects of all sizes are protected by %s\n",
					english.Plural(spec.Base.Policy.Copies, "copy", "copies"))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "directory to write")
	cmd.Flags().StringArrayVar(&servers, "server", nil, "ID=HOST[,site=S][,zone=Z]; once for each server")
	cmd.Flags().StringArrayVar(&disks, "disk", nil, "absolute path of a disk, the same on every server; once for each disk")
	cmd.Flags().IntVar(&port, "internal-port", internalPort, "port of server-to-server traffic; gossip uses the next one")
	for _, name := range []string{"out", "server", "disk"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err)
		}
	}
	return cmd
}

// checkSpec finds what is wrong before anything is written, so that the corrected command can be given again.
func checkSpec(spec node.ClusterSpec, disks []string, port int) error {
	bad := func(format string, args ...any) error {
		return errs.E("cluster create", errs.Invalid, format, args...)
	}
	if port < 1 || port > 65534 {
		return bad("--internal-port %d: want 1 to 65534", port)
	}
	seen := map[string]bool{"ca": true} // the CA's own directory
	for _, s := range spec.Servers {
		if seen[s.ID] || strings.Trim(s.ID, ".") == "" || strings.ContainsAny(s.ID, "/ \t") {
			return bad("--server %s: the id is taken, or has a space or slash", s.ID)
		}
		if seen[s.Addr] {
			return bad("--server %s: another server has the host %s", s.ID, s.Addr)
		}
		seen[s.ID], seen[s.Addr] = true, true
	}
	for _, d := range disks {
		if !filepath.IsAbs(d) || seen[d] {
			return bad("--disk %s: want an absolute path, each once", d)
		}
		seen[d] = true
	}
	return nil
}

// parseServer reads ID=HOST[,site=S][,zone=Z].
func parseServer(arg string, port, nodes int) (node.ServerSpec, error) {
	fields := strings.Split(arg, ",")
	id, host, ok := strings.Cut(fields[0], "=")
	if !ok || id == "" || host == "" {
		return node.ServerSpec{}, errs.E("cluster create", errs.Invalid, "--server %q: want ID=HOST[,site=S][,zone=Z]", arg)
	}
	addr := func(p int) string { return net.JoinHostPort(host, strconv.Itoa(p)) }
	def := node.Default()
	s := node.ServerSpec{
		Member: node.Member{ID: id, Addr: addr(port), Gossip: addr(port + 1), Nodes: nodes, Weight: 1},
		HTTP:   def.S3.HTTP, HTTPS: def.S3.HTTPS, Portal: def.Portal.Addr,
	}
	for _, f := range fields[1:] {
		switch name, value, _ := strings.Cut(f, "="); name {
		case "site":
			s.Site = value
		case "zone":
			s.Zone = value
		default:
			return node.ServerSpec{}, errs.E("cluster create", errs.Invalid, "--server %q: unknown %q; want site or zone", arg, name)
		}
	}
	return s, nil
}
