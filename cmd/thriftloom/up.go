package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/thriftloom/thriftloom/cluster/resolve/consul"
	"github.com/thriftloom/thriftloom/cluster/resolve/etcd"
	"github.com/thriftloom/thriftloom/gateway"
	"github.com/thriftloom/thriftloom/internal/filewatch"
	"github.com/thriftloom/thriftloom/internal/systemd"
	"github.com/thriftloom/thriftloom/store/memcached"
	"github.com/thriftloom/thriftloom/store/redis"
)

const (
	readyPoll = 50 * time.Millisecond // how often readiness is looked at until it is there
	killGrace = 2 * time.Second       // what a second signal leaves for ending replicas
)

func (a *app) newUp() *cobra.Command {
	var path string
	o := upOptions{state: true}
	var watch, alone bool
	cmd := &cobra.Command{
		Use: "up", Short: "Run everything that the config names", Args: cobra.NoArgs,
		Long: `up runs the gateway: listeners, services and replicas. SIGTERM and SIGINT drain it, a second one cuts that short; SIGHUP lets it read
config and IDLs anew; SIGUSR2 starts the program anew, to take its own place (Linux). Logs go to standard error, as JSON. With a mistake in the config nothing is started.

Where a gateway already runs on the same state folder, up takes its place: its listeners at once, and its callers' connections between two
calls, so that no caller notices. The other process then ends. Until up is ready it serves as before, whatever becomes of up.`,
		Example: "  thriftloom up\n  thriftloom up -c /etc/thriftloom/thriftloom.yaml --watch",
	}
	addConfig(cmd, &path, "thriftloom.yaml")
	cmd.Flags().BoolVar(&watch, "watch", false, "reload when a file changes that the config came from")
	cmd.Flags().BoolVar(&alone, "no-takeover", false, "end with an error where a gateway already runs on the same state folder")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		loaded := gateway.Load(path, a.env)
		if err := a.refuseMistakes(loaded); err != nil {
			return err
		}
		o.takeover = !alone
		if watch {
			seen := filewatch.Look(loaded.Config.Resolved.Files, loaded.Config.Resolved.Patterns)
			o.watch = &seen
			loaded = gateway.Load(path, a.env) // again: a change before the look is in it, and one after the look will be seen
			if err := a.refuseMistakes(loaded); err != nil {
				return err
			}
		}
		return a.serve(cmd.Context(), loaded, o)
	}
	return cmd
}

// upOptions say how a gateway is run.
type upOptions struct {
	watch    *filewatch.Seen // how its files were before they were read; nil: they are not watched
	state    bool            // it holds the state folder, and can be replaced
	takeover bool            // it may take the place of the gateway that holds the folder
}

// running is a gateway with what stands around it.
type running struct {
	gateway  *gateway.Gateway
	sites    []*site
	place    *place
	env      func(string) (string, bool)
	stderr   *lockedWriter
	log      *slog.Logger
	access   *slog.Logger // a line a call
	level    slog.LevelVar
	drain    context.CancelFunc
	manager  systemd.Environment
	waits    bool          // callers wait in the service manager's sockets until the gateway is ready
	replaced atomic.Bool   // another process has this one's place
	started  chan struct{} // closed when there is a gateway to reload
	kill     chan struct{} // closed at the second signal
}

// serve runs the gateway of a config without mistakes until it has drained, or another process has taken its place.
func (a *app) serve(ctx context.Context, loaded *gateway.Loaded, o upOptions) error {
	cfg := loaded.Config
	r := &running{env: a.env, stderr: &lockedWriter{w: a.stderr}, manager: systemd.Take(), started: make(chan struct{}), kill: make(chan struct{})}
	a.printWarnings(r.stderr, loaded)
	r.obeyConfig(cfg)
	r.log = slog.New(slog.NewJSONHandler(r.stderr, &slog.HandlerOptions{Level: &r.level}))
	access := &batch{to: r.stderr}
	defer access.Flush()
	r.access = slog.New(slog.NewJSONHandler(access, &slog.HandlerOptions{Level: &r.level}))

	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	if o.state && successorSignal > 0 {
		signal.Notify(signals, successorSignal)
	}
	defer signal.Stop(signals)
	ctx, r.drain = context.WithCancel(ctx)
	defer r.drain()
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // of what stands around the gateway: it ends after it
	var around sync.WaitGroup
	defer func() { end(); around.Wait() }()
	around.Go(func() { r.obey(life, signals) })
	if a.alone {
		tuneCollector(life, a.env)
		if cfg.Processors != "all" {
			around.Go(func() { tuneProcessors(life, a.env) })
		}
	}
	if err := a.open(ctx, cfg, r, o); err != nil {
		return err
	}
	defer r.place.release()
	close(r.started)
	ended := make(chan error, 1)
	go func() { ended <- r.gateway.Run(ctx, r.kill) }()
	for _, s := range r.sites {
		around.Go(func() { s.serve(life, r) })
	}
	if err := r.takeOver(ctx); err != nil {
		r.drain()
		return errors.Join(err, r.wait(ended))
	}
	var mind sync.WaitGroup
	mind.Go(func() {
		r.takeConnections(ctx)
		r.mindPlace(ctx)
	})
	around.Go(func() { r.letIn(ctx) })
	around.Go(func() { r.announce(life) })
	around.Go(func() { r.tellLife(ctx) })
	if o.watch != nil {
		around.Go(func() { r.watch(life, *o.watch) })
	}
	err := r.wait(ended)
	r.drain()
	mind.Wait()
	return err
}

// open opens what the config names and starts the gateway, with what is taken over from the process before. On an error nothing stays
// open, and that process has lost nothing.
func (a *app) open(ctx context.Context, cfg *gateway.Config, r *running, o upOptions) (err error) {
	r.place = new(place)
	if o.state {
		if r.place, err = findPlace(ctx, cfg, r.log, o.takeover); err != nil {
			return err
		}
	}
	defer func() {
		if err != nil {
			r.place.release()
		}
	}()
	defer func() {
		for _, name := range r.place.sockets.CloseRest() {
			r.log.Warn("a socket of the service manager fits no listener of the config", "socket", name)
		}
	}()
	if o.state {
		if err = r.takeSockets(r.place.sockets); err != nil {
			return err
		}
	}
	if r.sites, err = openSites(ctx, cfg, r.place.sockets); err != nil {
		return err
	}
	if r.waits {
		r.place.sockets.Shut = true // behind the sites, which say that it is not ready
	}
	r.gateway = gateway.New(cfg, gateway.Options{
		Version: readVersion().Version, Env: a.env, Log: r.log, Access: r.access, Output: r.stderr, Sockets: r.place.sockets, Reloaded: r.obeyConfig,
		Replicas: r.place.replicas(), Resolvers: gateway.Resolvers{Etcd: etcd.New, Consul: consul.New}, Stores: gateway.StoreClients{Redis: redis.Open, Memcached: memcached.Open},
	})
	if err = r.gateway.Start(); err != nil {
		closeSites(r.sites)
	}
	return err
}

// obeyConfig does what a config says of the process, at the start and after each reload, whoever asked for it.
func (r *running) obeyConfig(cfg *gateway.Config) {
	var level slog.Level
	if level.UnmarshalText([]byte(cfg.Logs.Level)) == nil { // it has been checked
		r.level.Set(level)
	}
	limitMemory(cfg, r.env)
}

// wait returns when the gateway has ended; after a second signal soon, whatever it does.
func (r *running) wait(ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-r.kill:
	}
	select {
	case _ = <-ended: // cut short, whatever it says
	case <-time.After(killGrace):
	}
	return errors.New("cut short by a second signal")
}

// obey does what signals say.
func (r *running) obey(ctx context.Context, signals <-chan os.Signal) {
	started, early := r.started, false
	for ends := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-started:
			if started = nil; early {
				r.reload(ctx)
			}
		case s := <-signals:
			if s == successorSignal {
				r.startSuccessor()
				continue
			}
			if s == syscall.SIGHUP {
				if early = started != nil; !early {
					r.reload(ctx)
				}
				continue
			}
			switch ends++; ends {
			case 1:
				r.drain()
			case 2:
				close(r.kill)
			}
		}
	}
}

// reload lets the gateway read its config anew, and prints the mistakes of services that keep what they were. The gateway logs the rest.
func (r *running) reload(ctx context.Context) {
	defer r.tellReload()()
	result, err := r.gateway.Reload(ctx)
	if err != nil {
		return
	}
	for _, m := range result.Mistakes {
		fmt.Fprintln(r.stderr, m)
	}
	for _, w := range result.Warnings {
		fmt.Fprintln(r.stderr, "warning:", w)
	}
}

// announce prints a line for each address once the gateway is ready.
func (r *running) announce(ctx context.Context) {
	if r.awaitReady(ctx) != nil {
		return
	}
	addresses := r.gateway.Addresses()
	slices.Sort(addresses)
	for _, address := range addresses {
		fmt.Fprintf(r.stderr, "ready: %s calls\n", address)
	}
	for _, s := range r.sites {
		fmt.Fprintf(r.stderr, "ready: %s %s\n", listenAddress(s.listener), s.name)
	}
}

// awaitReady waits until the gateway is ready.
func (r *running) awaitReady(ctx context.Context) error {
	return r.await(ctx, func() (bool, []string) { return r.gateway.Ready("") })
}

// await waits until what it is given says yes. The error is what that still waited for when ctx ended.
func (r *running) await(ctx context.Context, ready func() (ok bool, reasons []string)) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		ok, reasons := ready()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready: %s: %w", strings.Join(reasons, ", "), context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// lockedWriter lets several write lines to one writer.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
