package main

import (
	"context"
	_ "embed"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/bench/child"
)

//go:embed work.thrift
var idl string

//go:embed worker.py
var program string

const workers = 4

// work is what callers call, and what the workers are told by.
type work struct {
	Work func(context.Context, int32) (int32, error)
	Pace func(context.Context, float64) error
	Fail func(context.Context, bool) error
}

// fleet are the workers.
type fleet struct {
	ctx       context.Context
	python    string
	service   *thriftloom.Service
	addresses []string
	processes []*child.Child
}

// startFleet starts all workers and waits until they answer.
func startFleet(ctx context.Context, python string) (*fleet, error) {
	doc, err := thriftloom.LoadBytes("work.thrift", []byte(idl))
	if err != nil {
		return nil, err
	}
	f := &fleet{ctx: ctx, python: python, service: doc.Service("Work")}
	for i := range workers {
		f.addresses = append(f.addresses, child.FreeAddress())
		f.processes = append(f.processes, nil)
		if err := f.start(i); err != nil {
			f.stop()
			return nil, err
		}
	}
	return f, nil
}

func (f *fleet) start(i int) error {
	folder, err := os.MkdirTemp("", "thriftloom-bench-")
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"work.thrift": idl, "worker.py": program} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if f.processes[i], err = child.Spawn(f.ctx, folder, []string{f.python, "worker.py", "work.thrift", f.addresses[i]}); err != nil {
		return err
	}
	return f.processes[i].Answers(f.ctx, f.addresses[i])
}

func (f *fleet) stop() {
	for _, p := range f.processes {
		if p != nil {
			p.Stop()
		}
	}
}

// freeze lets a worker stand still for d.
func (f *fleet) freeze(i int, d time.Duration) error {
	if err := f.processes[i].Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	wait(f.ctx, d)
	return f.processes[i].Signal(syscall.SIGCONT)
}

// kill ends a worker with SIGKILL, and starts it again at the same address after d.
func (f *fleet) kill(i int, d time.Duration) error {
	f.processes[i].Stop()
	f.processes[i] = nil
	wait(f.ctx, d)
	return f.start(i)
}

// fail lets a worker raise at once in every call, for d.
func (f *fleet) fail(i int, d time.Duration) error {
	return f.tell(i, func(w *work) error {
		if err := w.Fail(f.ctx, true); err != nil {
			return err
		}
		wait(f.ctx, d)
		return w.Fail(f.ctx, false)
	})
}

// pace makes a worker slower or faster.
func (f *fleet) pace(i int, speed float64) error {
	return f.tell(i, func(w *work) error { return w.Pace(f.ctx, speed) })
}

// tell calls a worker without anybody between.
func (f *fleet) tell(i int, call func(*work) error) error {
	w, c, err := connect(f.service, f.addresses[i])
	if err != nil {
		return err
	}
	defer c.Close()
	return call(w)
}

// connect returns a synchronous caller, as ThriftPy's clients are: one connection, and one call at a time.
func connect(service *thriftloom.Service, address string) (*work, *thriftloom.Client, error) {
	c, err := thriftloom.ClientConfig{
		Addresses: []string{address}, Serial: true, Connections: 1, Attempts: 1, Timeout: patience, IdleExpiry: 2 * time.Second,
	}.Dial(service)
	if err != nil {
		return nil, nil, err
	}
	w := new(work)
	return w, c, thriftloom.Bind(c, w)
}

// wait waits for d, or for the end of ctx.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
