package main

import (
	"context"
	"fmt"
	"io"
	"time"

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
	exe := "bin/torc"
	fmt.Fprintf(w, "A ring of %d servers is running in %s\n\n", len(r.Servers), r.Dir)
	for _, s := range r.Servers {
		fmt.Fprintf(w, "  %-4s S3 http://%s  https://%s   status page https://%s\n", s.ID, s.HTTP, s.HTTPS, s.Portal)
	}
	fmt.Fprintf(w, `
  status page   user admin, password %s
  access key    %s
  secret key    %s

Try it (copy and paste):

  eval "$(%s dev env --dir %s)"; aws s3 mb s3://first && aws s3 cp README.md s3://first/ && aws s3 ls s3://first/

Then: %s status --dir %s · %s locate first README.md --dir %s
      %s dev kill 2 --dir %s · %s dev start 2 --dir %s · %s dev down --dir %s
`, k.AdminPassword, k.RootAccessKey, k.RootSecretKey,
		exe, shellQuote(r.Dir), exe, shellQuote(r.Dir), exe, shellQuote(r.Dir), exe, shellQuote(r.Dir), exe, shellQuote(r.Dir), exe, shellQuote(r.Dir))
	return nil
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
	for _, s := range r.Servers {
		state := "not running"
		if p, ok := r.process(s); ok {
			state = fmt.Sprintf("pid %d", p.pid)
			if p.stopped() {
				state += ", stopped by a signal"
			}
		}
		fmt.Fprintf(w, "%-4s %-28s S3 http://%s\n", s.ID, state, s.HTTP)
	}
	fmt.Fprintln(w)
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	var last error
	for _, s := range r.Servers {
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
	}
}
