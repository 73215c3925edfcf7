package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"

	"torc/internal/errs"
	"torc/node"
)

// viewEvery is the pace of the live status view.
const viewEvery = 2 * time.Second

// printWelcome tells how to use the ring.
func (r *devRing) printWelcome(w io.Writer) error {
	k, err := r.keyring()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "A ring of %s is running in %s\n\n", english.Plural(len(r.Servers), "server", ""), r.Dir)
	for _, s := range r.Servers {
		fmt.Fprintf(w, "  %-4s S3 http://%s  https://%s   status page https://%s\n", s.ID, s.HTTP, s.HTTPS, s.Portal)
	}
	exe, dir := shellQuote(os.Args[0]), r.dirFlag()
	fmt.Fprintf(w, `
  status page   user admin, password %s
  access key    %s
  secret key    %s

Try it (copy and paste):

  eval "$(%s dev env%s)"; aws s3 mb s3://first && aws s3 cp README.md s3://first/ && aws s3 ls s3://first/

Then:

`, k.AdminPassword, k.RootAccessKey, k.RootSecretKey, exe, dir)
	lines := []string{"status", "locate first README.md", "dev kill 2", "dev start 2", "dev down"}
	if len(r.Servers) == 1 {
		lines = []string{"status", "locate first README.md", "dev down"}
	}
	for _, line := range lines {
		fmt.Fprintf(w, "  %s %s%s\n", exe, line, dir)
	}
	return nil
}

// dirFlag is the --dir that a command for this ring needs here: none when it is the default one.
func (r *devRing) dirFlag() string {
	if def, err := filepath.Abs(defaultDir()); err == nil && def == r.Dir {
		return ""
	}
	return " --dir " + shellQuote(r.Dir)
}

func newDevStatusCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Which server processes run, and what the ring says of itself",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := openDev(cmd)
			if err != nil {
				return err
			}
			return r.printState(cmd.Context(), cmd.OutOrStdout())
		},
	}
}

func (r *devRing) printState(ctx context.Context, w io.Writer) error {
	var ask []devServer
	for _, s := range r.Servers {
		state := "not running"
		if p, ok := r.process(s); ok {
			state = fmt.Sprintf("pid %d", p.pid)
			if p.stopped() {
				state += ", frozen by SIGSTOP"
			} else {
				ask = append(ask, s)
			}
		}
		fmt.Fprintf(w, "%-4s %-30s S3 http://%s\n", s.ID, state, s.HTTP)
	}
	fmt.Fprintln(w)
	if len(ask) == 0 {
		return errs.E("", errs.Unavailable, "no server of the ring is running; to start it: %s dev up%s", shellQuote(os.Args[0]), r.dirFlag())
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	var last error
	for _, s := range ask {
		st, err := node.NewAdminClient(r.serverDir(s)).Status(ctx)
		if err == nil {
			return printStatus(w, st)
		}
		last = err
	}
	return errs.E("dev status", errs.Unavailable, "no server can be asked: %v", last)
}

// foreground shows the live status until the user ends it, then stops the ring.
func (r *devRing) foreground(cmd *cobra.Command) error {
	w := cmd.OutOrStdout()
	for {
		select {
		case <-cmd.Context().Done():
			fmt.Fprintln(w, "\nstopping the ring; its data stays in", r.Dir)
			cmd.SetContext(context.WithoutCancel(cmd.Context()))
			return r.down(cmd)
		case <-time.After(viewEvery):
		}
		fmt.Fprint(w, "\x1b[H\x1b[2J") // home, clear
		if err := r.printState(cmd.Context(), w); err != nil && cmd.Context().Err() == nil {
			fmt.Fprintln(w, err)
		}
		fmt.Fprintf(w, "\nCtrl-C stops the ring. For another shell: eval \"$(%s dev env%s)\"\n", shellQuote(os.Args[0]), r.dirFlag())
	}
}
