package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/thriftloom/thriftloom/cmd/thriftloom/view"
	"github.com/thriftloom/thriftloom/gateway/status"
)

// tour kills a replica, waits until it is back, adds one, and says at each step which lines of the config did it.
func (d *demo) tour(ctx context.Context) {
	d.tell(1, "Replicas of one service behind one address. A call goes to the one with the fewest calls in flight.",
		"upstream:", fmt.Sprintf("  run: {command: […], replicas: %d}", d.o.replicas), "  server: threaded")
	if pause(ctx, 3*time.Second) != nil {
		return
	}
	ready := d.ready()
	if len(ready) == 0 {
		return
	}
	victim, failed := ready[0], d.failed()
	if p, err := os.FindProcess(victim.PID); err == nil && p.Kill() == nil {
		d.events.add("killed "+victim.Name+fmt.Sprintf(" (process %d) with SIGKILL", victim.PID), true)
	}
	d.tell(2, victim.Name+" was killed. Calls it worked at are tried again elsewhere; it is started anew.",
		"methods:", "  getUser: {idempotent: true}")
	for back := false; !back; {
		if pause(ctx, 50*time.Millisecond) != nil {
			return
		}
		back = slices.ContainsFunc(d.ready(), func(r status.Replica) bool { return r.Name == victim.Name && r.PID != victim.PID })
	}
	d.events.add(fmt.Sprintf("%s is back; calls lost: %d", victim.Name, d.failed()-failed), d.failed() > failed)
	if pause(ctx, 4*time.Second) != nil {
		return
	}
	d.tell(3, "One replica more, by a change of the file and a reload. No call is lost by that either.",
		"upstream:", fmt.Sprintf("  run: {command: […], replicas: %d}", d.o.replicas+1))
	if err := d.writeConfig(d.gateway.Addresses()[0], d.o.replicas+1); err != nil {
		d.events.add(err.Error(), true)
		return
	}
	if _, err := d.gateway.Reload(ctx); err != nil {
		d.events.add(err.Error(), true)
	}
}

func (d *demo) tell(step int, text string, config ...string) {
	d.mu.Lock()
	d.caption = &view.Caption{Step: step, Steps: 3, Text: text, Config: config}
	d.mu.Unlock()
	d.events.add(text, false)
}

func (d *demo) failed() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.progress.Failed
}

// ready returns the replicas that answer.
func (d *demo) ready() []status.Replica {
	return slices.DeleteFunc(d.gateway.Snapshot().Replicas, func(r status.Replica) bool { return r.State != "ready" })
}

func (d *demo) lastOutput() (lines []string) {
	for _, r := range d.gateway.Snapshot().Replicas {
		for _, l := range r.LastOutput {
			lines = append(lines, r.Name+" | "+l)
		}
	}
	return lines
}

// state is what the screen shows now.
func (d *demo) state() view.State {
	s := d.gateway.Snapshot()
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.progress
	out := view.State{
		Title: "thriftloom demo", Elapsed: time.Since(d.started), Admin: d.admin, Rates: slices.Clone(d.rates), Events: d.events.all(),
		Tour: d.caption, Footer: "ctrl-c ends",
		Total: view.Total{Rate: p.Rate, P50: p.P50, P99: p.P99, Errors: p.Failed, InFlight: p.InFlight, Queue: s.Totals.Queue},
	}
	if len(s.Listeners) > 0 {
		out.Gateway = s.Listeners[0].Address
	}
	endpoints := map[string]status.Endpoint{}
	for _, c := range s.Clusters {
		for _, e := range c.Endpoints {
			endpoints[e.Name] = e
		}
	}
	for _, r := range s.Replicas {
		e := endpoints[r.Name]
		row := view.Replica{Name: r.Name, State: r.State, PID: r.PID, InFlight: e.InFlight, Slots: e.Slots, Restarts: r.Restarts,
			P50: seconds(e.P50Seconds, time.Microsecond), P99: seconds(e.P99Seconds, time.Microsecond),
		}
		if before, ok := d.seen[r.Name]; ok && e.Calls >= before {
			row.Rate = float64(e.Calls-before) * 4 // four frames a second
		}
		d.seen[r.Name] = e.Calls
		out.Replicas = append(out.Replicas, row)
	}
	return out
}

// eventLog keeps the last events of a demo.
type eventLog struct {
	mu     sync.Mutex
	events []view.Event
}

func (l *eventLog) add(text string, warn bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, view.Event{At: time.Now(), Text: text, Warn: warn})
	l.events = l.events[max(0, len(l.events)-50):]
}

func (l *eventLog) all() []view.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

// eventHandler turns what the gateway logs into events.
type eventHandler struct {
	log   *eventLog
	attrs []slog.Attr
}

// Enabled is for what people want to see.
func (h eventHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

// Handle adds an event, with the replica that it is about. Lines of calls that succeeded are left out: they are too many.
func (h eventHandler) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "call" && r.Level < slog.LevelWarn {
		return nil
	}
	text := r.Message
	about := func(a slog.Attr) bool {
		switch a.Key {
		case "replica":
			text = a.Value.String() + ": " + text
		case "error", "exit":
			text += " (" + a.Value.String() + ")"
		}
		return true
	}
	for _, a := range h.attrs {
		about(a)
	}
	r.Attrs(about)
	h.log.add(text, r.Level >= slog.LevelWarn)
	return nil
}

// WithAttrs keeps the attributes for each record.
func (h eventHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return eventHandler{h.log, append(slices.Clone(h.attrs), attrs...)}
}

// WithGroup returns h: nothing here logs in groups.
func (h eventHandler) WithGroup(string) slog.Handler { return h }
