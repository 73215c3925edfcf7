package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"torc/internal/errs"
)

// stopGrace is how long a server gets to end after TERM.
const stopGrace = 10 * time.Second

func newDevDownCmd() *cobra.Command {
	var wipe bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop all servers; the data stays unless --wipe",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := openDev(cmd)
			if err != nil {
				return err
			}
			if err := r.down(cmd); err != nil {
				return err
			}
			if !wipe {
				fmt.Fprintf(cmd.OutOrStdout(), "the ring is stopped; its data stays in %s\n", r.Dir)
				return nil
			}
			if err := r.wipe(); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "the ring is stopped and %s is removed\n", r.Dir)
			return nil
		},
	}
	cmd.Flags().BoolVar(&wipe, "wipe", false, "remove the directory with all data")
	return cmd
}

// down ends all servers, in parallel: each may wait for the others' leadership hand-over.
func (r *devRing) down(cmd *cobra.Command) error {
	results := make(chan error, len(r.Servers))
	for _, s := range r.Servers {
		go func() {
			p, ok := r.process(s)
			if !ok {
				results <- nil
				return
			}
			results <- p.stop(cmd.Context(), stopGrace)
		}()
	}
	var first error
	for range r.Servers {
		if err := <-results; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// wipe removes the ring's own entries, then the directory if nothing else is in it.
func (r *devRing) wipe() error {
	for _, s := range r.Servers {
		if err := os.RemoveAll(r.serverDir(s)); err != nil {
			return err
		}
	}
	for _, name := range []string{"ca", "ca.pem", devFile} {
		if err := os.RemoveAll(filepath.Join(r.Dir, name)); err != nil {
			return err
		}
	}
	if err := os.Remove(r.Dir); err != nil {
		return errs.E("dev down", errs.Conflict, "%s holds files that are not the ring's; they stay", r.Dir)
	}
	return nil
}

func newDevKillCmd() *cobra.Command {
	var signal string
	cmd := &cobra.Command{
		Use:   "kill N",
		Short: "Send a signal to server N: KILL, STOP, CONT or TERM",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sig, ok := map[string]syscall.Signal{"KILL": syscall.SIGKILL, "STOP": syscall.SIGSTOP,
				"CONT": syscall.SIGCONT, "TERM": syscall.SIGTERM}[strings.TrimPrefix(strings.ToUpper(signal), "SIG")]
			if !ok {
				return errs.E("dev kill", errs.Invalid, "signal %q: want KILL, STOP, CONT or TERM", signal)
			}
			r, s, err := openDevServer(cmd, args[0])
			if err != nil {
				return err
			}
			p, ok := r.process(s)
			if !ok {
				return errs.E("dev kill", errs.NotFound, "server %s is not running", s.ID)
			}
			if err := syscall.Kill(p.pid, sig); err != nil {
				return err
			}
			if (sig == syscall.SIGKILL || sig == syscall.SIGTERM) && !p.waitEnd(cmd.Context(), stopGrace) {
				return errs.E("dev kill", errs.Timeout, "server %s (pid %d) has not ended", s.ID, p.pid)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "server %s (pid %d): SIG%s\n", s.ID, p.pid, strings.TrimPrefix(strings.ToUpper(signal), "SIG"))
			return nil
		},
	}
	cmd.Flags().StringVar(&signal, "signal", "KILL", "KILL, STOP, CONT or TERM")
	return cmd
}

func newDevStartCmd() *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "start N",
		Short: "Start server N (or continue it after --signal STOP)",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, s, err := openDevServer(cmd, args[0])
			if err != nil {
				return err
			}
			if p, ok := r.process(s); ok {
				if !p.stopped() {
					return errs.E("dev start", errs.Exists, "server %s already runs (pid %d)", s.ID, p.pid)
				}
				if err := syscall.Kill(p.pid, syscall.SIGCONT); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "server %s (pid %d) goes on\n", s.ID, p.pid)
				return nil
			}
			if err := checkPorts(s); err != nil {
				return err
			}
			p, err := r.spawn(s)
			if err != nil {
				return err
			}
			if err := r.waitReady(cmd.Context(), s, p, wait); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "server %s (pid %d) serves\n", s.ID, p.pid)
			return nil
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", readyWait, "how long to wait until it serves")
	return cmd
}

func newDevLogsCmd() *cobra.Command {
	var lines int
	cmd := &cobra.Command{
		Use:   "logs [N]",
		Short: "Show the end of the servers' logs",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := openDev(cmd)
			if err != nil {
				return err
			}
			servers := r.Servers
			if len(args) == 1 {
				s, err := r.server(args[0])
				if err != nil {
					return err
				}
				servers = []devServer{s}
			}
			for _, s := range servers {
				fmt.Fprintf(cmd.OutOrStdout(), "== %s %s\n%s\n", s.ID, r.logFile(s), r.logTail(s, lines))
			}
			return nil
		},
	}
	cmd.Flags().IntVarP(&lines, "lines", "n", 50, "lines of each log")
	return cmd
}

func newDevEnvCmd() *cobra.Command {
	var name string
	var tls bool
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print shell exports for one server's S3 endpoint (default: the first live one)",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := openDev(cmd)
			if err != nil {
				return err
			}
			s, err := r.liveServer(name)
			if err != nil {
				return err
			}
			k, err := r.keyring()
			if err != nil {
				return err
			}
			endpoint := "http://" + s.HTTP
			if tls {
				endpoint = "https://" + s.HTTPS
			}
			fmt.Fprintf(cmd.OutOrStdout(), `export AWS_ACCESS_KEY_ID=%s
export AWS_SECRET_ACCESS_KEY=%s
export AWS_ENDPOINT_URL=%s
export AWS_DEFAULT_REGION=%s
export AWS_CA_BUNDLE=%s
`, k.RootAccessKey, k.RootSecretKey, endpoint, r.Region, shellQuote(r.caFile()))
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "server", "", "server number or id")
	cmd.Flags().BoolVar(&tls, "https", false, "the HTTPS endpoint")
	return cmd
}

// liveServer returns the named server, or the first whose process runs.
func (r *devRing) liveServer(name string) (devServer, error) {
	if name != "" {
		return r.server(name)
	}
	for _, s := range r.Servers {
		if p, ok := r.process(s); ok && !p.stopped() {
			return s, nil
		}
	}
	return devServer{}, errs.E("dev", errs.Unavailable, "no server of the ring in %s is running; 'torc dev up --dir %s' starts it", r.Dir, r.Dir)
}

func shellQuote(s string) string {
	if strings.ContainsAny(s, " '\"$`\\!*?[](){}<>|;&~#\n\t") {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}
