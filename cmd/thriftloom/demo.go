package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/cmd/thriftloom/view"
	"github.com/thriftloom/thriftloom/gateway"
	"github.com/thriftloom/thriftloom/load"
)

// demoOptions are the flags of demo.
type demoOptions struct {
	duration time.Duration // zero: until ctrl-c
	tour     bool
	replicas int
	rate     float64
}

func newDemo(version string) *cobra.Command {
	o := demoOptions{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole thing with nothing but this binary",
		Long: `Runs an example service as replicas of this binary, the gateway in front of them, and a steady load, and shows it live.
Nothing is installed or left behind. Ctrl-c ends it.`,
		Example: "  thriftloom demo\n  thriftloom demo --tour\n  thriftloom demo --duration 10s | cat",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return runDemo(ctx, o, version, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.DurationVar(&o.duration, "duration", 0, "end by itself after that long, with a summary (default until ctrl-c; 14s with --tour)")
	f.BoolVar(&o.tour, "tour", false, "kill a replica, then add one, and say what happens")
	f.IntVar(&o.replicas, "replicas", 3, "replicas of the service, 1 to 16")
	f.Float64Var(&o.rate, "rate", 300, "calls a second")
	return cmd
}

// demo is one run of it.
type demo struct {
	o       demoOptions
	dir     string // temporary: IDL, config, sockets
	gateway *gateway.Gateway
	admin   string
	events  *eventLog
	screen  *view.Screen
	started time.Time

	mu       sync.Mutex
	progress load.Progress
	caption  *view.Caption
	rates    []float64
	seen     map[string]int64 // calls by replica at the last frame
}

func runDemo(ctx context.Context, o demoOptions, version string, out io.Writer) error {
	if o.replicas < 1 || o.replicas > 16 || o.rate <= 0 || o.rate > 100_000 {
		return usageError("--replicas has to be from 1 to 16, and --rate above 0, at most 100000")
	}
	if o.tour && o.duration == 0 {
		o.duration = 14 * time.Second
	}
	d := &demo{o: o, events: new(eventLog), started: time.Now(), seen: map[string]int64{}}
	file, ok := out.(*os.File)
	if !ok {
		file = os.Stdout
	}
	d.screen = view.NewScreen(file, os.Getenv)
	report, err := d.run(ctx, version)
	if closing := d.screen.Close(); err == nil {
		err = closing
	}
	if report != nil {
		fmt.Fprintf(out, "\n%s\n", report)
	}
	if err == nil && report != nil && report.Failed > 0 {
		err = fmt.Errorf("%d of %d calls failed", report.Failed, report.Calls)
	}
	return err
}

// run starts everything, shows it until the load has ended, and takes everything down.
func (d *demo) run(ctx context.Context, version string) (*load.Report, error) {
	dir, err := os.MkdirTemp("", "thriftloom-demo-")
	if err != nil {
		return nil, err
	}
	d.dir = dir
	defer os.RemoveAll(dir)
	if err := d.start(version); err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.gateway.Run(life, nil) }()
	stopAdmin, err := d.serveAdmin(life)
	var report *load.Report
	if err == nil {
		report, err = d.show(ctx)
		stopAdmin()
	}
	end()
	return report, errors.Join(err, <-ended)
}

// start writes the files, and opens the gateway.
func (d *demo) start(version string) error {
	if err := os.WriteFile(filepath.Join(d.dir, "demo.thrift"), demoIDL, 0o600); err != nil {
		return err
	}
	address := freeAddress("127.0.0.1:9090")
	if err := d.writeConfig(address, d.o.replicas); err != nil {
		return err
	}
	l := gateway.Load(d.configPath(), os.LookupEnv)
	if len(l.Mistakes) > 0 {
		return fmt.Errorf("the demo's own config: %v", l.Mistakes[0])
	}
	d.gateway = gateway.New(l.Config, gateway.Options{Version: version, Env: os.LookupEnv, Log: slog.New(eventHandler{log: d.events})})
	return d.gateway.Start()
}

func (d *demo) configPath() string { return filepath.Join(d.dir, "thriftloom.yaml") }

// writeConfig writes the config that a user would.
func (d *demo) writeConfig(address string, replicas int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	text := fmt.Sprintf(`listen: %s
services:
  Users:
    idl: demo.thrift
    upstream:
      run: {command: [%q, demo-replica, "{socket}"], replicas: %d}
      server: threaded
    timeout: 2s
    methods:
      getUser: {idempotent: true}
`, address, self, replicas)
	return os.WriteFile(d.configPath(), []byte(text), 0o600)
}

// freeAddress returns wanted if nobody listens there, else an address with a port of the system's choice.
func freeAddress(wanted string) string {
	l, err := net.Listen("tcp", wanted)
	if err != nil {
		return "127.0.0.1:0"
	}
	l.Close()
	return wanted
}

// serveAdmin opens the dashboard.
func (d *demo) serveAdmin(ctx context.Context) (stop func(), err error) {
	var none *gateway.Sockets
	l, err := none.Listen(ctx, "admin", freeAddress("127.0.0.1:9091"))
	if err != nil {
		return nil, err
	}
	d.admin = "http://" + l.Addr().String()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&site{name: "admin", listener: l}).serve(ctx, &running{gateway: d.gateway, drain: d.gateway.Drain, log: slog.New(eventHandler{log: d.events})})
	}()
	return func() { cancel(); <-done }, nil
}

// show runs the load and draws until it ends.
func (d *demo) show(ctx context.Context) (*load.Report, error) {
	doc, err := thriftloom.LoadBytes("demo.thrift", demoIDL)
	if err != nil {
		return nil, err
	}
	client, err := thriftloom.Dial(d.gateway.Addresses()[0], doc.Service("Users"))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var users struct {
		GetUser func(ctx context.Context, id int64) (*demoUser, error)
	}
	if err := thriftloom.Bind(client, &users); err != nil {
		return nil, err
	}
	if err := d.awaitReady(ctx); err != nil {
		return nil, err
	}
	job := func(ctx context.Context, _ int) load.Result {
		_, err := users.GetUser(ctx, 1+rand.Int64N(1_000_000))
		var e *thriftloom.Error
		if errors.As(err, &e) {
			return load.Result{Err: err, Kind: e.Code.String()}
		}
		return load.Result{Err: err}
	}
	var drawing sync.WaitGroup
	showing, stop := context.WithCancel(ctx)
	drawing.Go(func() { d.draw(showing) })
	if d.o.tour {
		drawing.Go(func() { d.tour(showing) })
	}
	report, err := load.Run(ctx, load.Config{Concurrency: 64, Rate: d.o.rate, Duration: d.o.duration, Interval: 500 * time.Millisecond}, job, d.progressed)
	stop()
	drawing.Wait()
	return report, err
}

// awaitReady waits for the first replicas.
func (d *demo) awaitReady(ctx context.Context) error {
	for {
		if ok, _ := d.gateway.Ready("Users"); ok && len(d.ready()) == d.o.replicas {
			return nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
		if time.Since(d.started) > 20*time.Second {
			return errors.New("the replicas did not start within 20s:\n" + strings.Join(d.lastOutput(), "\n"))
		}
		_ = d.screen.Draw(d.state())
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *demo) progressed(p load.Progress) {
	d.mu.Lock()
	d.progress = p
	d.mu.Unlock()
}

// draw refreshes the screen four times a second.
func (d *demo) draw(ctx context.Context) {
	for tick := 0; pause(ctx, 250*time.Millisecond) == nil; tick++ {
		s := d.state()
		if tick%4 == 3 {
			d.mu.Lock()
			d.rates = append(d.rates, s.Total.Rate)
			d.rates = d.rates[max(0, len(d.rates)-60):]
			d.mu.Unlock()
		}
		if err := d.screen.Draw(s); err != nil {
			return
		}
	}
}
