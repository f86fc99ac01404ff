package main

import (
	"context"
	"fmt"
	"time"

	"github.com/thriftloom/thriftloom/gateway"
	"github.com/thriftloom/thriftloom/internal/systemd"
)

// takeSockets adds the sockets that the service manager listens on for this process.
func (r *running) takeSockets(sockets *gateway.Sockets) error {
	all, err := r.manager.Listeners()
	if err != nil {
		return fmt.Errorf("sockets of the service manager: %w", err)
	}
	for _, s := range all {
		sockets.Add(s.Name, s.Listener)
		r.waits = true
	}
	return nil
}

// letInAfter bounds how long callers wait in the service manager's sockets.
const letInAfter = 10 * time.Second

// letIn lets callers in that wait in the service manager's sockets: once the gateway is ready, so that a restart refuses nobody, or when that
// takes too long.
func (r *running) letIn(ctx context.Context) {
	if !r.waits || r.place.taker != nil {
		return
	}
	wait, cancel := context.WithTimeout(ctx, letInAfter)
	defer cancel()
	if err := r.awaitReady(wait); err != nil && ctx.Err() == nil {
		r.log.Warn("callers are let in", "error", err)
	}
	r.gateway.Open()
}

// tell sends a message to the service manager, where there is one.
func (r *running) tell(assignments ...string) {
	if err := r.manager.Notify(assignments...); err != nil {
		r.log.Warn("the service manager is not told", "message", assignments, "error", err)
	}
}

// tellLife tells the service manager that the gateway is ready, gives it signs of life, and tells it that the gateway drains, where no other
// process has its place. It ends with ctx, the drain's beginning.
func (r *running) tellLife(ctx context.Context) {
	if r.awaitReady(ctx) == nil {
		r.tell("READY=1")
	}
	every := r.manager.Watchdog() / 2
	var tick <-chan time.Time
	if every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-tick:
			r.tell("WATCHDOG=1")
		case <-ctx.Done():
			if !r.replaced.Load() {
				r.tell("STOPPING=1")
			}
			return
		}
	}
}

// tellReload tells the service manager that a reload begins; what it returns tells it of the end.
func (r *running) tellReload() (done func()) {
	r.tell("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", systemd.Monotonic().Microseconds()))
	return func() { r.tell("READY=1") }
}
