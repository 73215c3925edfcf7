package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"

	"torc/internal/errs"
	"torc/node"
)

// askWait bounds a question to a server.
const askWait = 15 * time.Second

// targetFlags say which server a tool asks: --config names one; otherwise the
// first live server of the development ring in --dir.
type targetFlags struct{ config, dir string }

func (f *targetFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.config, "config", "", "configuration file of the server to ask, on this machine")
	cmd.Flags().StringVar(&f.dir, "dir", defaultDir(), "directory of a development ring ($TORC_DIR)")
}

// client returns the administration API of the chosen server.
func (f *targetFlags) client() (*node.AdminClient, error) {
	if f.config != "" {
		cfg, err := node.Load(f.config)
		if err != nil {
			return nil, err
		}
		return node.NewAdminClient(cfg.Dir), nil
	}
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return nil, err
	}
	r, err := loadDev(dir)
	if errs.Is(err, errs.NotFound) {
		const etc = "/etc/torc/torc.yaml"
		if cfg, cerr := node.Load(etc); cerr == nil {
			return node.NewAdminClient(cfg.Dir), nil
		}
		return nil, errs.E("", errs.NotFound, "no development ring in %s and no %s: say --dir or --config", dir, etc)
	}
	if err != nil {
		return nil, err
	}
	s, err := r.liveServer("")
	if err != nil {
		return nil, err
	}
	return node.NewAdminClient(r.serverDir(s)), nil
}

func envOr(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}

func newStatusCmd() *cobra.Command {
	var target targetFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Ring, servers, nodes, disks and redundancy",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := target.client()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), askWait)
			defer cancel()
			st, err := client.Status(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), st)
			}
			return printStatus(cmd.OutOrStdout(), st)
		},
	}
	target.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func printStatus(w io.Writer, st node.ClusterStatus) error {
	fmt.Fprintf(w, "cluster     %s, as seen by %s\nstate       %s\n", st.Cluster, st.AsSeenBy, st.State)
	for _, r := range st.Reasons {
		fmt.Fprintf(w, "            - %s\n", r)
	}
	fmt.Fprintf(w, "ring        epoch %d, %d arcs over %d storage nodes\n", st.Ring.Epoch, st.Ring.Arcs, st.Ring.Nodes)
	for _, p := range st.Ring.Policies {
		fmt.Fprintf(w, "            %s\n", p)
	}
	leader := st.Meta.Leader
	if leader == "" {
		leader = "none"
	}
	fmt.Fprintf(w, "metadata    leader %s, term %d, %d commands applied, %d voters\n", leader, st.Meta.Term, st.Meta.Applied, st.Meta.Voters)
	d := st.Redundancy
	if d.Known {
		fmt.Fprintf(w, "redundancy  %d stripes owe %d fragments, %d lie on hand-off places (%s)", d.Stripes, d.MissingFragments, d.Misplaced, humanize.IBytes(uint64(d.Bytes)))
		if d.Oldest != nil {
			fmt.Fprintf(w, ", the oldest since %s", d.Oldest.Local().Format(time.DateTime))
		}
		fmt.Fprintf(w, "\n            %s\n", d.Note)
	} else {
		fmt.Fprintf(w, "redundancy  unknown: the database cannot be asked\n")
	}
	fmt.Fprintf(w, "purge       %d entries, %s to free\n\n", st.Purge.Entries, humanize.IBytes(uint64(st.Purge.Bytes)))
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "SERVER\tNODE\tSTATE\tDISKS\tCHUNKS\tLIVE\tON DISK\t")
	for _, s := range st.Servers {
		var rss string
		if s.RSSBytes > 0 {
			rss = "RSS " + humanize.IBytes(uint64(s.RSSBytes))
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t\t\t\t%s\t%s\n", s.ID, s.Addr, s.State, rss, s.Reason)
		for _, n := range s.Nodes {
			var sum node.DiskStatus
			for _, disk := range n.Disks {
				if disk.Reason != "" {
					sum.Reason = disk.Path + ": " + disk.Reason
				}
				sum.Chunks, sum.LiveBytes, sum.UsedBytes = sum.Chunks+disk.Chunks, sum.LiveBytes+disk.LiveBytes, sum.UsedBytes+disk.UsedBytes
			}
			fmt.Fprintf(tw, "\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", n.ID, n.State, len(n.Disks), sum.Chunks,
				humanize.IBytes(uint64(sum.LiveBytes)), humanize.IBytes(uint64(sum.UsedBytes)), sum.Reason)
		}
	}
	return tw.Flush()
}

func newLocateCmd() *cobra.Command {
	var target targetFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "locate BUCKET KEY",
		Short: "Where each fragment of an object lies and whether it is sound",
		Args:  exactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := target.client()
			if err != nil {
				return err
			}
			loc, err := client.Locate(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), loc)
			}
			return printLocation(cmd.OutOrStdout(), loc)
		},
	}
	target.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printLocation(w io.Writer, loc node.Location) error {
	sound, all := loc.Sound()
	fmt.Fprintf(w, "%s/%s: %d bytes in %s; %d of %d fragments sound\n", loc.Bucket, loc.Key, loc.Size, english.Plural(len(loc.Stripes), "stripe", ""), sound, all)
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, s := range loc.Stripes {
		fmt.Fprintf(tw, "stripe %s\tpart %d\tbytes %d+%d\t%s\t\n", s.Key, s.Part, s.Offset, s.Size, s.Protection)
		unasked := 0 // hand-off places that may hold a fragment but cannot be asked
		for _, f := range s.Fragments {
			place := "home"
			if !f.Home {
				place = "hand-off"
				if f.State == "unreachable" {
					unasked++
					continue
				}
			}
			fmt.Fprintf(tw, "  %d  %s\t%s\t%s\t%s\t%s\n", f.Index, f.RingKey, f.Node, place, f.State, f.Reason)
		}
		if unasked > 0 {
			fmt.Fprintf(tw, "  (%s cannot be asked either)\n", english.Plural(unasked, "hand-off place", ""))
		}
	}
	return tw.Flush()
}
