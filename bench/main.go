package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// config is what to run against what.
type config struct {
	target      target
	sizes       []int64
	concurrency []int
	ops         []string
	seconds     time.Duration
	bytesMax    int64
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var cfg config
	torc := flag.String("torc", "", "torc binary: start a three-server ring with it and load that")
	endpoint := flag.String("endpoint", "", "S3 endpoint to load, http://host:port; several separated by commas")
	access := flag.String("access-key", os.Getenv("AWS_ACCESS_KEY_ID"), "access key")
	secret := flag.String("secret-key", os.Getenv("AWS_SECRET_ACCESS_KEY"), "secret key")
	region := flag.String("region", "us-east-1", "region to sign for")
	pids := flag.String("pids", "", "server processes whose CPU and memory are counted, separated by commas")
	sizes := flag.String("sizes", "4KiB,64KiB,1MiB,64MiB", "object sizes")
	concurrency := flag.String("concurrency", "1,8,32", "concurrent requests")
	ops := flag.String("ops", "put,get,head,list,delete", "operations, in this order")
	flag.DurationVar(&cfg.seconds, "time", 5*time.Second, "time of one row")
	flag.Int64Var(&cfg.bytesMax, "bytes", 2<<30, "bytes written at most by one row")
	flag.Parse()

	var err error
	if cfg.sizes, err = parseSizes(*sizes); err != nil {
		return err
	}
	for _, s := range strings.Split(*concurrency, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return fmt.Errorf("--concurrency %q", s)
		}
		cfg.concurrency = append(cfg.concurrency, n)
	}
	cfg.ops = strings.Split(*ops, ",")
	switch {
	case *torc != "":
		ring, err := startRing(ctx, *torc)
		if err != nil {
			return err
		}
		defer ring.stop()
		cfg.target = ring.target
	case *endpoint != "":
		cfg.target = target{endpoints: strings.Split(*endpoint, ","), access: *access, secret: *secret, region: *region}
		if cfg.target.pids, err = parsePids(*pids); err != nil {
			return err
		}
	default:
		return fmt.Errorf("say --torc or --endpoint")
	}
	printMachine(cfg)
	return runAll(ctx, cfg)
}

func printMachine(cfg config) {
	fmt.Printf("machine: %d cores, %s, %s; %s; client and servers on the same cores; one row %v\n",
		runtime.NumCPU(), cpuModel(), memTotal(), runtime.Version(), cfg.seconds)
	fmt.Printf("target:  %s\n\n", strings.Join(cfg.target.endpoints, " "))
}

// runAll runs every row and prints each as it ends.
func runAll(ctx context.Context, cfg config) error {
	clients, err := cfg.target.clients()
	if err != nil {
		return err
	}
	tw := tabwriter.NewWriter(os.Stdout, 8, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "op\tsize\tways\tops/s\tMiB/s\tp50 ms\tp99 ms\tCPU us/op\tpeak RSS MiB\terrors\t")
	for _, size := range cfg.sizes {
		w, err := newWorkload(ctx, clients, size)
		if err != nil {
			return err
		}
		for _, op := range cfg.ops {
			for _, ways := range cfg.concurrency {
				r, err := w.row(ctx, op, ways, cfg)
				if err != nil {
					return err
				}
				if r.ops > 0 {
					r.print(tw)
					tw.Flush()
				}
			}
		}
		if err := w.cleanUp(ctx); err != nil {
			return err
		}
	}
	return tw.Flush()
}

func parseSizes(s string) ([]int64, error) {
	var out []int64
	for _, f := range strings.Split(s, ",") {
		unit := int64(1)
		num := f
		for suffix, u := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20} {
			if n, ok := strings.CutSuffix(f, suffix); ok {
				num, unit = n, u
			}
		}
		n, err := strconv.ParseInt(num, 10, 64)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("size %q: want a number with KiB or MiB", f)
		}
		out = append(out, n*unit)
	}
	return out, nil
}
