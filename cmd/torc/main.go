// Command torc is Torc: server, development ring and tools in one static binary.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"context"

	"github.com/spf13/cobra"
)

// version is set by the build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newRoot().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "torc:", err)
		stop()
		os.Exit(1)
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "torc",
		Short:         "Scale-out storage: one ring of servers for objects and files",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newServerCmd(), newConfigCmd(), newClusterCmd(), newDevCmd(), newStatusCmd(), newLocateCmd())
	return root
}
