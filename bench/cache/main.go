// Command cache measures what a cached call costs: hits through the gateway, out of its memory and out of Redis, beside one real ThriftPy2
// worker with an empty handler, beside what the same sockets cost without a cache, and beside redis-benchmark. It takes rounds over all of
// them, one after the other on one machine and each second round backwards. It prints Markdown.
//
//	go run ./cache [-rounds 5] [-time 4s] [-with 'REGEXP']
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/thriftloom/thriftloom/bench/child"
)

//go:embed cache.thrift
var idl string

//go:embed worker.py
var program string

const (
	connections = 64     // callers at one time
	keys        = 10_000 // that they ask for
)

// tools are the programs that are measured, and how long: paths.
type tools struct {
	thriftloom, python, redis string // redis is the folder of redis-server and redis-benchmark
	time                      time.Duration
}

func main() {
	caches, _ := os.UserCacheDir()
	var t tools
	flag.StringVar(&t.thriftloom, "thriftloom", "../bin/thriftloom", "the `file`")
	flag.StringVar(&t.python, "python", filepath.Join(caches, "thriftloom/venv/bin/python"), "the `file`, of one that has thriftpy2")
	flag.StringVar(&t.redis, "redis", filepath.Join(caches, "thriftloom/redis/usr/bin"), "the `folder` of redis-server and redis-benchmark")
	flag.DurationVar(&t.time, "time", 4*time.Second, "how long each is measured in a round")
	rounds := flag.Int("rounds", 5, "`number` of rounds")
	with := flag.String("with", "", "rows that match the `regexp`")
	bare := flag.String("bare", "", "serve at the `address` what the row of the bare sockets calls")
	flag.Parse()
	if *bare != "" {
		fmt.Fprintln(os.Stderr, "cache:", serveBare(*bare))
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, t, *rounds, *with); err != nil {
		fmt.Fprintln(os.Stderr, "cache:", err)
		os.Exit(1)
	}
}

// sample is what one round of a row came to.
type sample struct {
	rate     float64 // calls a second
	p50, p99 float64 // µs
	cpu      float64 // µs of the server's processor time a call; NaN: it is not told
	mallocs  float64 // allocations of the server a call; NaN
}

// row is one thing that is measured.
type row struct {
	name    string
	measure func(ctx context.Context, b *bench) (sample, error)
}

func run(ctx context.Context, t tools, rounds int, with string) error {
	re, err := regexp.Compile(with)
	if err != nil {
		return err
	}
	b := &bench{tools: t}
	defer b.stop()
	if err := b.start(ctx); err != nil {
		return err
	}
	wanted := slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return !re.MatchString(r.name) })
	samples := map[string][]sample{}
	for round := range rounds {
		order := slices.Clone(wanted)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, r := range order {
			fmt.Fprintf(os.Stderr, "\rround %d of %d: %s%30s", round+1, rounds, r.name, "")
			s, err := r.measure(ctx, b)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			samples[r.name] = append(samples[r.name], s)
		}
	}
	fmt.Fprintln(os.Stderr)
	fmt.Print(b.versions(), table(wanted, samples, rounds))
	return nil
}

// bench are the programs that run.
type bench struct {
	tools
	worker, gateway, redis string // addresses
	admin                  string
	pid                    int // of the gateway
	children               []*child.Child
}

// config is the gateway's: one port for each way of being answered.
const config = `
listen: []
admin: %q
state: state
stores: {near: 64MiB, redis: %q, patience: 1s}
logs: {access: {sample: 0}}
upstreams: {worker: {endpoints: [%q], server: threaded, slots: 16}}
services:
  near: {idl: cache.thrift, service: Cached, listen: %q, timeout: 5s, upstream: worker, methods: {get: {cache: {ttl: 1h, store: near}}}}
  redis: {idl: cache.thrift, service: Cached, listen: %q, timeout: 5s, upstream: worker, methods: {get: {cache: {ttl: 1h, store: redis, near_ttl: 0s}}}}
`

// places are the gateway's ports, by the name of the service.
var places = map[string]string{}

func (b *bench) start(ctx context.Context) error {
	abs, err := filepath.Abs(b.thriftloom)
	if err != nil {
		return err
	}
	b.worker, b.redis, b.admin = child.FreeAddress(), child.FreeAddress(), child.FreeAddress()
	for _, name := range []string{"near", "redis"} {
		places[name] = child.FreeAddress()
	}
	_, port, _ := strings.Cut(b.redis, ":")
	for _, p := range []struct {
		address string
		files   map[string]string
		command []string
	}{
		{b.worker, map[string]string{"cache.thrift": idl, "worker.py": program}, []string{b.python, "worker.py", "cache.thrift", b.worker}},
		{b.redis, nil, []string{filepath.Join(b.tools.redis, "redis-server"), "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"}},
		{places["redis"], map[string]string{
			"cache.thrift": idl, "thriftloom.yaml": fmt.Sprintf(config, b.admin, b.redis, b.worker, places["near"], places["redis"]),
		}, []string{abs, "up"}},
	} {
		c, err := spawn(ctx, p.files, p.command)
		if err != nil {
			return err
		}
		b.children = append(b.children, c)
		if err := c.Answers(ctx, p.address); err != nil {
			return fmt.Errorf("%s: %w: %s", p.command[0], err, c.Stop())
		}
		b.pid = c.PID
	}
	for _, name := range []string{"near", "redis"} { // all keys are there before anything is measured
		if err := fill(places[name]); err != nil {
			return fmt.Errorf("%s, before: %w", name, err)
		}
	}
	return nil
}

func spawn(ctx context.Context, files map[string]string, command []string) (*child.Child, error) {
	folder, err := os.MkdirTemp("", "thriftloom-bench-")
	if err != nil {
		return nil, err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return child.Spawn(ctx, folder, command)
}

func (b *bench) stop() {
	for _, c := range slices.Backward(b.children) {
		c.Stop()
	}
}

func (b *bench) versions() string {
	var out strings.Builder
	for _, command := range [][]string{
		{b.thriftloom, "version"}, {b.python, "-c", "import thriftpy2; print('ThriftPy2', thriftpy2.__version__)"},
		{filepath.Join(b.tools.redis, "redis-server"), "--version"},
	} {
		said, _ := exec.Command(command[0], command[1:]...).CombinedOutput()
		line, _, _ := strings.Cut(strings.TrimSpace(string(said)), "\n")
		fmt.Fprintf(&out, "- %s\n", line)
	}
	return out.String()
}
