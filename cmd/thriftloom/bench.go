package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/thriftloom/thriftloom/load"
	"github.com/thriftloom/thriftloom/netio"
)

// benchFlags are the flags of bench.
type benchFlags struct {
	callFlags
	load        load.Config
	connections int // zero: as many as calls in flight
	output      *choice
}

func (a *app) newBench() *cobra.Command {
	f := &benchFlags{}
	cmd := &cobra.Command{
		Use: "bench ADDRESS SERVICE.METHOD [ARGUMENTS]", Short: "Call a method again and again, and tell how fast it is", Args: cobra.MaximumNArgs(3),
		Long: `bench makes the call that call makes, many times, and prints rate, latency and failures. What names the call is as there.

Without --rate it is a closed loop: --concurrency calls are in flight, and each is followed by the next. It shows what the server can do.
With --rate calls start on a schedule, whatever the server does, and latency counts from when a call was due: it shows what callers of a
server would see that is used so much. --concurrency then bounds the calls in flight.

A connection carries one call at a time, as those of Thrift's own clients do. With fewer --connections than --concurrency a call waits for
one that is free, and its latency has that wait. Ctrl-c ends it with what was measured until then.

Exit codes: 0 every call had a result, 1 some failed, 2 wrong usage.`,
		Example: `  thriftloom bench -i users.thrift 127.0.0.1:6100 Users.getUser '{"id": 7}'
  thriftloom bench -i users.thrift 127.0.0.1:6100 Users.getUser '{"id": 7}' --concurrency 64 --connections 16 --duration 30s
  thriftloom bench -i users.thrift 127.0.0.1:6100 Users.getUser '{"id": 7}' --rate 2000 -o json
  thriftloom bench -c thriftloom.yaml Users.getUser '{"id": 7}' --calls 10000`,
	}
	f.add(cmd, "how long one call may take")
	flags := cmd.Flags()
	flags.IntVar(&f.load.Concurrency, "concurrency", 64, "calls in flight, at most")
	flags.IntVar(&f.connections, "connections", 0, "connections that they share (default as many as --concurrency)")
	flags.DurationVar(&f.load.Duration, "duration", 10*time.Second, "how long calls are measured")
	flags.Int64Var(&f.load.Calls, "calls", 0, "end after so many calls, if that is earlier")
	flags.Float64Var(&f.load.Rate, "rate", 0, "calls a second, on a schedule (default as fast as they come back)")
	flags.DurationVar(&f.load.Warmup, "warmup", time.Second, "calls before that are made and not measured")
	f.output = addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.bench(cmd, f, args) }
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return a.completeCall(&f.callFlags, len(args), begun), cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

// check refuses what cannot be meant.
func (f *benchFlags) check() error {
	if f.connections == 0 {
		f.connections = f.load.Concurrency
	}
	switch {
	case f.load.Concurrency < 1:
		return usageError("--concurrency %d: want 1 at least", f.load.Concurrency)
	case f.connections < 1 || f.connections > f.load.Concurrency:
		return usageError("--connections %d: want 1 to %d, which is --concurrency", f.connections, f.load.Concurrency)
	case f.load.Duration <= 0:
		return usageError("--duration %v: want more than 0", f.load.Duration)
	}
	return f.callFlags.check()
}

func (a *app) bench(cmd *cobra.Command, f *benchFlags, args []string) error {
	if err := f.check(); err != nil {
		return err
	}
	p, input, err := a.planCall(&f.callFlags, args)
	if err != nil {
		return err
	}
	if err := a.fill(cmd, &f.callFlags, p, input); err != nil {
		return err
	}
	a.running = true
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	report, callers, err := a.measure(ctx, p, f)
	if err != nil {
		return err
	}
	if f.output.word == "json" {
		err = json.NewEncoder(a.stdout).Encode(map[string]any{
			"address": p.address, "method": p.method.FullName(), "transport": callers.kind.String(), "protocol": p.protocol.String(),
			"connections": f.connections, "reconnects": callers.reconnects.Load(), "load": report,
		})
	} else {
		_, err = fmt.Fprintf(a.stdout, "%s at %s: %s, %s, %s\n\n%s\n%s", p.method.FullName(), p.address, callers.kind, p.protocol, callers, report, report.Chart(a.width()))
	}
	switch {
	case err != nil:
		return err
	case report.Calls == 0:
		return errors.New("no call came to its end")
	case report.Failed > 0:
		return fmt.Errorf("%d of %d calls failed", report.Failed, report.Calls)
	}
	return nil
}

// measure makes the calls.
func (a *app) measure(ctx context.Context, p *callPlan, f *benchFlags) (*load.Report, *benchCallers, error) {
	life, end := context.WithCancel(context.Background())
	engine, err := netio.NewEpoll(0)
	if err != nil {
		engine = netio.NewPortable()
	}
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(life) })
	defer running.Wait()
	defer end()
	kind, failure := p.probe(ctx, engine)
	if failure != nil {
		return nil, nil, errors.New(p.why(failure))
	}
	callers := newBenchCallers(p, engine, kind, f.connections)
	defer callers.close()
	if err := callers.connect(ctx); err != nil {
		return nil, nil, err
	}
	show, clear := a.progressLine(f)
	report, err := load.Run(ctx, f.load, callers.call, show)
	clear()
	if err != nil {
		return nil, nil, usageError("%w", err)
	}
	return report, callers, nil
}

// progressLine shows how a run stands, in one line of a terminal; clear takes it away.
func (a *app) progressLine(f *benchFlags) (show func(load.Progress), clear func()) {
	if !onTerminal(a.stderr) {
		return nil, func() {}
	}
	line := func(text string) { fmt.Fprintf(a.stderr, "\r\x1b[K%s", text) }
	return func(p load.Progress) {
		text := []rune(fmt.Sprintf("%v of %v  %s", p.Elapsed.Round(time.Second/10), f.load.Warmup+f.load.Duration, p))
		line(string(text[:min(len(text), a.width()-1)]))
	}, func() { line("") }
}

// width is how many columns the output has.
func (a *app) width() int {
	if file, ok := a.stdout.(*os.File); ok {
		if w, _, err := term.GetSize(int(file.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return 80
}
