// Command bench measures thriftloom beside HAProxy, nginx and Envoy: the CPU that a forwarded call costs, its latency and memory. It takes
// rounds over all proxies, one after the other on one machine, so that what else goes on there meets them all, and prints Markdown.
//
//	go run . -thriftloom ../bin/thriftloom -envoy ENVOY [-only 'REGEXP'] [-rounds 5] [-time 1s]
//
// setup.sh installs the others.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/thriftloom/thriftloom/bench/child"
	"github.com/thriftloom/thriftloom/load"
)

// bench is one run of it.
type bench struct {
	tools   tools
	proxies []proxy
	echo    string // where the upstream listens
	rounds  int
	time    time.Duration // of each measurement, after a quarter more
	rest    time.Duration // before memory is looked at
	long    bool          // one long run
	steal   float64       // share of the machine that others may take of a round

	calls func(func() (*load.Report, error)) (*load.Report, error) // makes the calls that are measured
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "echo" {
		fatal(echo(os.Args[2], os.Args[3] == "true"))
	}
	cache, _ := os.UserCacheDir()
	b := bench{rest: 3 * time.Second, calls: func(f func() (*load.Report, error)) (*load.Report, error) { return f() }}
	flag.StringVar(&b.tools.thriftloom, "thriftloom", "../bin/thriftloom", "the `file`")
	flag.StringVar(&b.tools.envoy, "envoy", filepath.Join(cache, "thriftloom/envoy/bin/envoy"), "the `file`")
	flag.StringVar(&b.tools.haproxy, "haproxy", "haproxy", "the `file`")
	flag.StringVar(&b.tools.nginx, "nginx", "/usr/sbin/nginx", "the `file`")
	flag.IntVar(&b.rounds, "rounds", 5, "`number` of rounds that count, of each row")
	flag.DurationVar(&b.time, "time", time.Second, "of one measurement")
	flag.Float64Var(&b.steal, "steal", 0.05, "`share` of the machine that others may take before a round is dropped")
	only := flag.String("only", "", "rows that match the `regexp`")
	with := flag.String("with", "", "proxies that match the `regexp`")
	profile := flag.String("profile", "", "write the CPU profile of the one proxy and row that match to this `file`, and measure nothing else")
	flag.BoolVar(&b.long, "steady", false, "print each minute what the one proxy and row that match hold, for -time, and measure nothing else")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fatal(b.run(ctx, *only, *with, *profile))
}

// fatal ends the program where there is an error.
func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures the rows that match only, of the proxies that match with, and prints what came out; with profile, the first of both.
func (b *bench) run(ctx context.Context, only, with, profile string) error {
	rowLike, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	proxyLike, err := regexp.Compile(with)
	if err != nil {
		return fmt.Errorf("-with: %w", err)
	}
	for _, path := range []*string{&b.tools.thriftloom, &b.tools.envoy} { // each process has a folder of its own
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	moreFiles()
	for _, p := range b.tools.proxies() {
		if !proxyLike.MatchString(p.name) {
			continue
		}
		v, err := p.version(b.tools)
		if err != nil {
			return err
		}
		fmt.Printf("- %s: %s\n", p.name, v)
		b.proxies = append(b.proxies, p)
	}
	if (profile != "" || b.long) && len(b.proxies) == 0 {
		return errors.New("-with: no proxy matches")
	}
	var results []result
	for _, r := range rows() {
		if !rowLike.MatchString(r.String()) {
			continue
		}
		if b.long {
			return b.steady(ctx, b.proxies[0], r)
		}
		if profile != "" {
			return b.profiled(ctx, b.proxies[0], r, profile)
		}
		res, err := b.row(ctx, r, results)
		if err != nil {
			return fmt.Errorf("%s: %w", r, err)
		}
		fmt.Println(res.markdown())
		results = append(results, res)
	}
	if len(results) == 0 {
		return errors.New("-only: no row matches")
	}
	fmt.Println(goals(results))
	return nil
}

// row takes the rounds of a row. One in which others took too much of the machine is taken again, as often as there are rounds.
func (b *bench) row(ctx context.Context, r row, before []result) (result, error) {
	res := result{row: r, samples: map[string][]sample{}}
	rate := 0.0
	if r.kind == fixed {
		rate = halfOf(before, r)
		if rate == 0 {
			return res, errors.New("no rate: the row of 64 callers that it follows has to be measured too, with HAProxy")
		}
		res.rate = rate
	}
	names := []string{"direct"}
	for _, p := range b.proxies {
		names = append(names, p.name)
	}
	for res.rounds < b.rounds && res.rounds+res.dropped < 2*b.rounds {
		round, quiet := map[string]sample{}, true
		for i, name := range names {
			var p *proxy
			if i > 0 {
				p = &b.proxies[i-1]
			}
			if r.kind == idle && (p == nil || p.pairs && r.callers > connections()) {
				continue
			}
			s, err := b.measure(ctx, p, r, rate)
			if err != nil {
				return res, fmt.Errorf("%s: %w", name, err)
			}
			round[name] = s
			quiet = quiet && s.stolen <= b.steal
		}
		fmt.Fprintf(os.Stderr, "\r%s: round %d of %d, %d dropped ", r, res.rounds+1, b.rounds, res.dropped)
		if !quiet {
			res.dropped++
			continue
		}
		res.rounds++
		for name, s := range round {
			res.samples[name] = append(res.samples[name], s)
		}
	}
	fmt.Fprintln(os.Stderr)
	res.names = names
	if res.rounds == 0 {
		return res, fmt.Errorf("every round was dropped: others took more than %.0f %% of the machine", 100*b.steal)
	}
	return res, nil
}

// upstream starts the upstream of a row, at an address of its own.
func (b *bench) upstream(ctx context.Context, r row) (*child.Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "thriftloom-bench-")
	if err != nil {
		return nil, err
	}
	b.echo = child.FreeAddress()
	if r.unix {
		b.echo = "unix:" + filepath.Join(folder, "socket")
		if err := os.Chmod(folder, 0o755); err != nil { // nginx's workers are somebody else
			return nil, err
		}
	}
	up, err := child.Spawn(ctx, folder, []string{self, "echo", b.echo, fmt.Sprint(r.framed)})
	if err != nil {
		return nil, err
	}
	if err := up.Answers(ctx, b.echo); err != nil {
		up.Stop()
		return nil, err
	}
	return up, nil
}

// moreFiles has this process and those that it starts open as many files as they may.
func moreFiles() {
	most := syscall.Rlimit{Cur: 1 << 17, Max: 1 << 17}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &most) == nil {
		return
	}
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &most) == nil {
		most.Cur = most.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &most) // with fewer the row of idle connections says so
	}
}
