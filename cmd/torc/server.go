package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"

	"torc/internal/errs"
	"torc/node"
)

// closeWait bounds a graceful end: drain, hand over leadership, close disks.
const closeWait = 8 * time.Second

func newServerCmd() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run one server with all its roles",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadServerConfig(file)
			if err != nil {
				return err
			}
			log, err := newLog(cfg.Log)
			if err != nil {
				return err
			}
			if cfg.MemoryMiB > 0 && os.Getenv("GOMEMLIMIT") == "" {
				debug.SetMemoryLimit(int64(cfg.MemoryMiB) << 20)
			}
			srv, err := node.Start(cmd.Context(), cfg, node.Options{Log: log, Version: version})
			if err != nil {
				return err
			}
			select {
			case <-cmd.Context().Done():
			case <-srv.Failed():
			}
			ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), closeWait)
			defer cancel()
			return srv.Close(ctx)
		},
	}
	cmd.PersistentFlags().StringVar(&file, "config", "/etc/torc/torc.yaml", "configuration file")
	cmd.AddCommand(newServerInitCmd(&file))
	return cmd
}

// loadServerConfig is node.Load with a hint for those who have none yet.
func loadServerConfig(file string) (node.Config, error) {
	cfg, err := node.Load(file)
	if errs.Is(err, errs.NotFound) {
		return cfg, errs.E("", errs.NotFound, "%w; say --config FILE ('torc cluster create' makes one, 'torc dev up' a whole ring on this machine)", err)
	}
	return cfg, err
}

func newServerInitCmd(file *string) *cobra.Command {
	var makeDirs bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Format the server's empty, mounted disks; refuses a disk that holds anything",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadServerConfig(*file)
			if err != nil {
				return err
			}
			if err := node.Format(cfg, makeDirs); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "server %s: %s ready; start it with: torc server --config %s\n", cfg.Server, english.Plural(len(cfg.Disks), "disk", ""), *file)
			return nil
		},
	}
	cmd.Flags().BoolVar(&makeDirs, "make-dirs", false, "make missing disk directories, on whatever file system is there")
	return cmd
}

func newLog(c node.LogConfig) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, errs.E("configuration", errs.Invalid, "log.level %q: want debug, info, warn or error", c.Level)
	}
	opts := &slog.HandlerOptions{Level: level}
	switch c.Format {
	case "text":
		return slog.New(slog.NewTextHandler(os.Stderr, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(os.Stderr, opts)), nil
	}
	return nil, errs.E("configuration", errs.Invalid, "log.format %q: want text or json", c.Format)
}

func newConfigCmd() *cobra.Command {
	return group("config", "Look at and check configuration files", &cobra.Command{
		Use:   "default",
		Short: "Print the commented default configuration",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := node.Render(node.Default(), true)
			fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}, &cobra.Command{
		Use:   "check FILE",
		Short: "Say whether a configuration file can work; changes nothing",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := node.Load(args[0])
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), args[0], "is fine")
			}
			return err
		},
	})
}
