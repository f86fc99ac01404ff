package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/thriftloom/thriftloom/gateway"
	"github.com/thriftloom/thriftloom/internal/filewatch"
)

const (
	readyPoll = 50 * time.Millisecond // how often readiness is looked at until it is there
	killGrace = 2 * time.Second       // what a second signal leaves for ending replicas
)

func (a *app) newUp() *cobra.Command {
	var path string
	var watch bool
	cmd := &cobra.Command{
		Use: "up", Short: "Run everything that the config names", Args: cobra.NoArgs,
		Long: `up runs the gateway: listeners, services and replicas. SIGTERM and SIGINT drain it, a second one cuts that short; SIGHUP lets it read
config and IDLs anew. Logs go to standard error, as JSON. With a mistake in the config nothing is started.`,
		Example: "  thriftloom up\n  thriftloom up -c /etc/thriftloom/thriftloom.yaml --watch",
	}
	addConfig(cmd, &path, "thriftloom.yaml")
	cmd.Flags().BoolVar(&watch, "watch", false, "reload when a file changes that the config came from")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		loaded := gateway.Load(path, a.env)
		if err := a.refuseMistakes(loaded); err != nil {
			return err
		}
		if !watch {
			return a.serve(cmd.Context(), loaded, nil)
		}
		seen := filewatch.Look(loaded.Config.Resolved.Files, loaded.Config.Resolved.Patterns)
		return a.serve(cmd.Context(), loaded, &seen)
	}
	return cmd
}

// running is a gateway with what stands around it.
type running struct {
	gateway *gateway.Gateway
	env     func(string) (string, bool)
	stderr  *lockedWriter
	log     *slog.Logger
	drain   context.CancelFunc
	kill    chan struct{} // closed at the second signal
}

// serve runs the gateway of a config without mistakes until it has drained. watch is how its files were when they were read, nil where they
// are not watched.
func (a *app) serve(ctx context.Context, loaded *gateway.Loaded, watch *filewatch.Seen) error {
	cfg := loaded.Config
	r := &running{env: a.env, stderr: &lockedWriter{w: a.stderr}, kill: make(chan struct{})}
	a.printWarnings(r.stderr, loaded)
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Logs.Level)); err != nil {
		return err
	}
	r.log = slog.New(slog.NewJSONHandler(r.stderr, &slog.HandlerOptions{Level: level}))

	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // of what stands around the gateway: it ends after it
	defer end()
	sites, err := openSites(life, cfg)
	if err != nil {
		return err
	}
	limitMemory(cfg, a.env)
	r.gateway = gateway.New(cfg, gateway.Options{Version: readVersion().Version, Env: a.env, Log: r.log, Output: r.stderr})
	if err := r.gateway.Start(); err != nil {
		closeSites(sites)
		return err
	}
	ctx, r.drain = context.WithCancel(ctx)
	defer r.drain()
	var around sync.WaitGroup
	for _, s := range sites {
		around.Go(func() { s.serve(life, r) })
	}
	around.Go(func() { r.obey(life, signals) })
	around.Go(func() { r.announce(life, sites) })
	if watch != nil {
		around.Go(func() { r.watch(life, *watch) })
	}
	err = r.wait(ctx)
	end()
	around.Wait()
	return err
}

// wait returns when the gateway has ended; after a second signal soon, whatever it does.
func (r *running) wait(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- r.gateway.Run(ctx, r.kill) }()
	select {
	case err := <-done:
		return err
	case <-r.kill:
	}
	select {
	case _ = <-done:
	case <-time.After(killGrace):
	}
	return errors.New("cut short by a second signal")
}

// obey does what signals say.
func (r *running) obey(ctx context.Context, signals <-chan os.Signal) {
	for ends := 0; ; {
		select {
		case <-ctx.Done():
			return
		case s := <-signals:
			if s == syscall.SIGHUP {
				r.reload(ctx)
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

// overhead is what a gateway needs of memory besides the messages that it holds: code, schemas, connections, and what is garbage already.
const overhead = 40 << 20

// limitMemory lets garbage be collected in time for the process to stay within what it may hold and its overhead. GOMEMLIMIT goes before.
func limitMemory(cfg *gateway.Config, env func(string) (string, bool)) {
	if v, ok := env("GOMEMLIMIT"); !ok || v == "" {
		debug.SetMemoryLimit(int64(cfg.MaxBufferedBytes) + overhead)
	}
}

// reload lets the gateway read its config anew, and prints the mistakes of services that keep what they were. The gateway logs the rest.
func (r *running) reload(ctx context.Context) {
	result, err := r.gateway.Reload(ctx)
	if err != nil {
		return
	}
	limitMemory(r.gateway.Config(), r.env)
	for _, m := range result.Mistakes {
		fmt.Fprintln(r.stderr, m)
	}
}

// announce prints a line for each address once the gateway is ready.
func (r *running) announce(ctx context.Context, sites []*site) {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for ok := false; !ok; ok, _ = r.gateway.Ready("") {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	addresses := r.gateway.Addresses()
	slices.Sort(addresses)
	for _, address := range addresses {
		fmt.Fprintf(r.stderr, "ready: %s calls\n", address)
	}
	for _, s := range sites {
		fmt.Fprintf(r.stderr, "ready: %s %s\n", listenAddress(s.listener), s.name)
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
