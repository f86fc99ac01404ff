package main

import (
	"context"
	"fmt"
	"time"

	"github.com/thriftloom/thriftloom/load"
)

// steadyRate is that of a steady run, in calls a second; one of eight has a connection of its own.
const steadyRate = 4000

// steady makes calls through p for b.time and prints what it holds as time goes: nothing may grow.
func (b *bench) steady(ctx context.Context, p proxy, r row) error {
	request, err := message(r.framed, r.shape)
	if err != nil {
		return err
	}
	address, pid, stop, err := b.serve(ctx, &p, r)
	if err != nil {
		return err
	}
	defer stop()
	kept, err := connect(address, r.callers, request)
	if err != nil {
		return err
	}
	defer kept.close()
	anew := callAnew(address, request)
	job := func(ctx context.Context, worker int) load.Result {
		if worker%8 == 0 {
			return anew(ctx, worker)
		}
		return kept.call(ctx, worker)
	}

	fmt.Printf("\n### %s, %s: %v at %d calls/s, one of eight on a connection of its own\n\n| minute | MiB | descriptors | threads |\n|---|---|---|---|\n",
		p.name, r, b.time, steadyRate)
	running, end := context.WithCancel(ctx)
	watched := make(chan error, 1)
	go func() { watched <- watch(running, pid) }()
	rep, err := run(ctx, r.callers, steadyRate, b.time, job)
	end()
	if watching := <-watched; err == nil {
		err = watching
	}
	if err == nil {
		fmt.Printf("\n%d calls, p99 %v.\n", rep.Calls, rep.Latency.P99)
	}
	return err
}

// watch prints what a process holds, each minute until ctx ends.
func watch(ctx context.Context, pid int) error {
	every := time.NewTicker(time.Minute)
	defer every.Stop()
	for minute := 1; ; minute++ {
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
		memory, err := resident(pid)
		if err != nil {
			return err
		}
		fmt.Printf("| %d | %.1f | %d | %d |\n", minute, float64(memory)/(1<<20), count(pid, "fd"), count(pid, "task"))
	}
}
