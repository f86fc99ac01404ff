package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/load"
	"github.com/thriftloom/thriftloom/rpc"
)

// The rates: about 320 calls a second in all.
const (
	goRate     = 60 // to each service
	pythonRate = 20 // of each Python caller; one a service
)

// kinds is what callers in Go call.
type kinds struct {
	EchoString func(context.Context, string) (string, error)
	Sleep      func(context.Context, int32) (int32, error)
	Big        func(context.Context, int32) (string, error)
	Crash      func(context.Context, string) (string, error)
	Stumble    func(context.Context, string) error
}

// dial returns a caller that tries each call once and never closes a connection by itself.
func (w *world) dial(label string, connections int) (*kinds, *thriftloom.Client) {
	w.Helper()
	doc, err := thriftloom.Load(peertest.File("kinds.thrift"))
	if err != nil {
		w.Fatal(err)
	}
	cfg := thriftloom.ClientConfig{Addresses: []string{w.services[label]}, Connections: connections, Attempts: 1, IdleExpiry: time.Hour}
	c, err := cfg.Dial(doc.Service("Kinds"))
	if err != nil {
		w.Fatal(err)
	}
	k := new(kinds)
	if err := thriftloom.Bind(c, k); err != nil {
		w.Fatal(err)
	}
	return k, c
}

// said is what a caller was told.
func said(err error) string {
	var e *rpc.Error
	if errors.As(err, &e) && e.Peer != nil {
		return e.Peer.Message
	}
	return "CONNECTION: " + err.Error()
}

// traffic is how many calls there were, and those that failed.
type traffic struct {
	calls    int64
	failures []Failure
}

func (t traffic) and(more traffic) traffic {
	return traffic{t.calls + more.calls, append(t.failures, more.failures...)}
}

// call lets all callers call until what it returns is called.
func (w *world) call() (stop func() traffic) {
	var mu sync.Mutex
	var calls int64
	var failures []Failure
	failed := func(f Failure) {
		mu.Lock()
		defer mu.Unlock()
		failures = append(failures, f)
	}
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	var python []*peertest.Process
	for i, label := range labels {
		k, c := w.dial(label, 8)
		running.Go(func() {
			defer c.Close()
			report, err := load.Run(ctx, load.Config{Concurrency: 8, Rate: goRate, Drain: time.Minute}, k.job(label, failed), nil)
			if err != nil {
				w.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			calls += report.Calls
		})
		l := peertest.Libraries[i%2]
		python = append(python, peertest.Start(w, l.Python, peertest.Root()+"/test/soak/caller.py", "--library", l.Name, "--rate", fmt.Sprint(pythonRate), w.services[label]))
	}
	return func() traffic {
		cancel()
		running.Wait()
		for i, p := range python {
			p.Signal(w, syscall.SIGTERM)
			p.Wait(w, time.Minute)
			n, list := w.read(labels[i], p.Output())
			calls, failures = calls+n, append(failures, list...)
		}
		return traffic{calls, failures}
	}
}

// job makes one call after another and checks what it gets.
func (k *kinds) job(label string, failed func(Failure)) load.Job {
	var mu sync.Mutex
	n := 0
	return func(context.Context, int) load.Result {
		mu.Lock()
		n++
		turn := n
		mu.Unlock()
		f := Failure{Start: time.Now(), Service: label, Idempotent: idempotent(label)}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		var got, want any
		var err error
		switch turn % 4 {
		case 0, 1:
			text := fmt.Sprintf("call %d of %s", turn, label)
			f.Method, want = "echoString", text
			got, err = k.EchoString(ctx, text)
		case 2:
			f.Method, want = "sleep", int32(turn%20)
			got, err = k.Sleep(ctx, int32(turn%20))
		case 3:
			f.Method, want = "big", strings.Repeat("x", turn%20_000)
			got, err = k.Big(ctx, int32(turn%20_000))
		}
		switch f.End = time.Now(); {
		case err != nil:
			f.Text = said(err)
		case got != want:
			f.Text = fmt.Sprintf("WRONG ANSWER: %.100v, want %.100v", got, want)
		default:
			return load.Result{}
		}
		failed(f)
		return load.Result{Err: errors.New(f.Text)}
	}
}

// read takes what caller.py has written.
func (w *world) read(label, output string) (calls int64, failures []Failure) {
	for line := range strings.Lines(output) {
		var said struct {
			Calls        *int64
			Start, End   float64
			Method, Text string
		}
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			w.complain("caller.py of %s wrote %q", label, line)
			continue
		}
		if said.Calls != nil {
			calls = *said.Calls
			continue
		}
		at := func(s float64) time.Time { return time.UnixMicro(int64(s * 1e6)) }
		failures = append(failures, Failure{
			Start: at(said.Start), End: at(said.End), Service: label, Method: said.Method, Idempotent: idempotent(label), Text: said.Text,
		})
	}
	if calls == 0 {
		w.complain("caller.py of %s did not end well", label)
	}
	return calls, failures
}
