package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"torc/internal/errs"
	"torc/node"
)

// devFile describes a development ring, in its directory.
const devFile = "dev.json"

// devRing is a ring of server processes on this machine.
type devRing struct {
	Dir     string      `json:"-"`
	Cluster string      `json:"cluster"`
	Servers []devServer `json:"servers"`
	Region  string      `json:"region"`
}

// devServer is one of its processes.
type devServer struct {
	ID     string `json:"id"`
	HTTP   string `json:"http"` // host:port
	HTTPS  string `json:"https"`
	Portal string `json:"portal"`
	Peer   string `json:"peer,omitempty"` // server-to-server traffic
	Gossip string `json:"gossip,omitempty"`
}

func newDevCmd() *cobra.Command {
	cmd := group("dev", "A ring of real server processes on this machine",
		newDevUpCmd(), newDevDownCmd(), newDevStatusCmd(), newDevEnvCmd(), newDevLogsCmd(), newDevKillCmd(), newDevStartCmd())
	cmd.PersistentFlags().String("dir", defaultDir(), "directory that holds everything of the ring ($TORC_DIR)")
	return cmd
}

// defaultDir is the directory of a development ring that no --dir names.
func defaultDir() string { return envOr("TORC_DIR", ".dev/ring") }

// devDir returns the --dir flag as an absolute path.
func devDir(cmd *cobra.Command) (string, error) {
	dir, err := cmd.Flags().GetString("dir")
	if err != nil {
		return "", err
	}
	return filepath.Abs(dir)
}

// openDev loads the ring that --dir names.
func openDev(cmd *cobra.Command) (*devRing, error) {
	dir, err := devDir(cmd)
	if err != nil {
		return nil, err
	}
	return loadDev(dir)
}

// openDevServer loads the ring and finds one of its servers, by number or id.
func openDevServer(cmd *cobra.Command, name string) (*devRing, devServer, error) {
	r, err := openDev(cmd)
	if err != nil {
		return nil, devServer{}, err
	}
	s, err := r.server(name)
	return r, s, err
}

func loadDev(dir string) (*devRing, error) {
	data, err := os.ReadFile(filepath.Join(dir, devFile))
	if os.IsNotExist(err) {
		return nil, errs.E("dev", errs.NotFound, "no development ring in %s; 'torc dev up --dir %s' makes one", dir, dir)
	}
	if err != nil {
		return nil, err
	}
	r := &devRing{Dir: dir}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, errs.E("dev", errs.Corrupt, "%s: %w", filepath.Join(dir, devFile), err)
	}
	return r, nil
}

func (r *devRing) save() error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.Dir, devFile), append(data, '\n'), 0o600)
}

// server finds a server by number (1..n) or id.
func (r *devRing) server(name string) (devServer, error) {
	for i, s := range r.Servers {
		if s.ID == name || fmt.Sprint(i+1) == name {
			return s, nil
		}
	}
	return devServer{}, errs.E("dev", errs.NotFound, "no server %q; the ring has %d, numbered from 1", name, len(r.Servers))
}

func (r *devRing) serverDir(s devServer) string { return filepath.Join(r.Dir, s.ID) }
func (r *devRing) config(s devServer) string    { return filepath.Join(r.serverDir(s), "torc.yaml") }
func (r *devRing) logFile(s devServer) string   { return filepath.Join(r.serverDir(s), "server.log") }
func (r *devRing) pidFile(s devServer) string   { return filepath.Join(r.serverDir(s), "server.pid") }
func (r *devRing) caFile() string               { return filepath.Join(r.Dir, "ca.pem") }

func (r *devRing) keyring() (node.Keyring, error) {
	return node.LoadKeyring(filepath.Join(r.serverDir(r.Servers[0]), "keyring.json"), r.Cluster)
}
