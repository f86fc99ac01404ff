//go:build unix

package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// fake is a process that ends when the test says, or on a signal.
type fake struct {
	world    *world
	name     string
	ended    chan struct{}
	why      string
	once     sync.Once
	stubborn bool // ignores SIGTERM
	orphans  bool // leaves processes in its group, until SIGKILL
}

func (f *fake) pid() int                { return 42 }
func (f *fake) exited() <-chan struct{} { return f.ended }
func (f *fake) status() string          { return f.why }
func (f *fake) alive() bool             { return f.orphans }
func (f *fake) end(why string)          { f.once.Do(func() { f.why = why; close(f.ended) }) }

func (f *fake) terminate() {
	f.world.note("TERM " + f.name)
	if !f.stubborn {
		f.end("signal: terminated")
	}
}

func (f *fake) kill() {
	f.world.note("KILL " + f.name)
	f.orphans = false
	f.end("signal: killed")
}

// world is a set over fake processes, in virtual time, and the story of what happened.
type world struct {
	t     *testing.T
	set   *Set
	begin time.Time
	end   context.CancelFunc
	done  chan error

	mu    sync.Mutex
	story []string
	last  map[string]*fake // by replica
	make  func(*fake) error
	deaf  map[string]bool // replicas that do not answer
}

// run starts a set of the given size; change may change the rest.
func run(t *testing.T, replicas int, change func(*world, *Config, *Options)) *world {
	w := &world{t: t, begin: time.Now(), done: make(chan error, 1), last: map[string]*fake{}, deaf: map[string]bool{}}
	cfg := Config{Command: []string{"serve", "{socket}", "u-{replica}"}, Replicas: replicas}
	dir, err := os.MkdirTemp("/tmp", "tl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	opts := Options{
		Name: "u", State: dir, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		OnEndpoints: func(list []rpc.Endpoint) {
			names := []string{}
			for _, e := range list {
				names = append(names, e.Name)
			}
			w.note(fmt.Sprintf("endpoints %v", names))
		},
		Probe: func(_ context.Context, address string) error {
			name := strings.TrimSuffix(address[strings.LastIndex(address, "/")+1:], ".sock")
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.deaf[name] {
				return errors.New("connection refused")
			}
			return nil
		},
	}
	if change != nil {
		change(w, &cfg, &opts)
	}
	if w.set, err = New(cfg, opts); err != nil {
		t.Fatal(err)
	}
	w.set.start = w.start
	ctx, cancel := context.WithCancel(t.Context())
	w.end = cancel
	go func() { w.done <- w.set.Run(ctx) }()
	synctest.Wait()
	return w
}

func (w *world) start(sp spec) (process, error) {
	f := &fake{world: w, name: sp.args[2], ended: make(chan struct{})}
	w.note("start " + f.name)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last[f.name] = f
	if w.make != nil {
		if err := w.make(f); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (w *world) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.story = append(w.story, fmt.Sprintf("%s %s", time.Since(w.begin), what))
}

// pass lets time go by, and until everybody waits.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) die(name string) {
	w.last[name].end("exit status 1")
	synctest.Wait()
}

// expect compares what happened since the last time. Where the order among replicas is open, the lines are given sorted.
func (w *world) expect(want ...string) {
	w.t.Helper()
	w.mu.Lock()
	got := w.story
	w.story = nil
	w.mu.Unlock()
	if !slices.Equal(got, want) {
		w.t.Errorf("what happened:\n  %s\nwanted:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// stop ends the set; nothing of it is left.
func (w *world) stop() {
	w.t.Helper()
	w.end()
	if err := <-w.done; err != nil {
		w.t.Errorf("Run returned %v", err)
	}
	if n := len(w.set.Snapshot().Replicas); n != 0 {
		w.t.Errorf("%d replicas are left", n)
	}
}

// A replica that dies is no endpoint from that moment on, is started again 100 ms later, and is an endpoint when it answers.
func TestDeadReplicaIsRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := run(t, 1, nil)
		w.expect("0s start u-1", "0s endpoints [u-1]")
		w.pass(time.Minute)
		w.die("u-1")
		w.expect("1m0s endpoints []", "1m0s KILL u-1") // what it left behind
		if r := w.set.Snapshot().Replicas[0]; r.State != Backoff || r.LastExit != "exit status 1" || r.NextStart.Sub(w.begin) != time.Minute+firstDelay {
			t.Errorf("seen as %+v", r)
		}
		w.pass(time.Second)
		w.expect("1m0.1s start u-1", "1m0.1s endpoints [u-1]")
		if r := w.set.Snapshot().Replicas[0]; r.State != Ready || r.Restarts != 1 || !r.NextStart.IsZero() {
			t.Errorf("seen as %+v", r)
		}
		w.stop()
		w.expect("1m1s endpoints []", "1m1s TERM u-1")
	})
}

// Scaling down takes the highest number: first it stops being an endpoint, then its calls end, then it is told to.
func TestScaleDownDrainsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := run(t, 1, func(w *world, _ *Config, o *Options) {
			o.Drain = func(_ context.Context, name string) {
				w.note("drain " + name)
				time.Sleep(3 * time.Second)
				w.note("drained " + name)
			}
		})
		w.set.Scale(2)
		synctest.Wait()
		w.expect("0s start u-1", "0s endpoints [u-1]", "0s start u-2", "0s endpoints [u-1 u-2]")
		w.set.Scale(1)
		w.pass(10 * time.Second)
		w.expect("0s endpoints [u-1]", "0s drain u-2", "3s drained u-2", "3s TERM u-2")
		w.stop() // which waits for no calls
		w.expect("10s endpoints []", "10s TERM u-1")
	})
}

// A drain ends at its timeout, at the end of the set, and when the process dies.
func TestDrainIsBounded(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*world)
		want string
	}{
		{"timeout", func(w *world) { w.pass(time.Hour) }, "1m0s TERM u-1"},
		{"end of the set", func(w *world) { w.pass(time.Second); w.end(); synctest.Wait() }, "1s TERM u-1"},
		{"death", func(w *world) { w.pass(2 * time.Second); w.die("u-1") }, "2s KILL u-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := run(t, 1, func(_ *world, _ *Config, o *Options) {
					o.Drain = func(ctx context.Context, _ string) { <-ctx.Done() }
				})
				w.set.Scale(0)
				synctest.Wait()
				c.do(w)
				w.expect("0s start u-1", "0s endpoints [u-1]", "0s endpoints []", c.want)
				w.stop()
			})
		})
	}
}

// A number that is wanted again while it is still stopping is started when it has stopped.
func TestScaleUpWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := run(t, 1, func(w *world, _ *Config, _ *Options) {
			w.make = func(f *fake) error { f.stubborn = true; return nil }
		})
		w.set.Scale(0)
		w.pass(time.Second)
		if r := w.set.Snapshot().Replicas[0]; r.State != Stopping {
			t.Errorf("seen as %+v", r)
		}
		w.set.Scale(1)
		w.pass(time.Minute)
		w.expect("0s start u-1", "0s endpoints [u-1]", "0s endpoints []", "0s TERM u-1", "10s KILL u-1", "10s start u-1", "10s endpoints [u-1]")
		w.stop()
	})
}

// A replica that does not answer within the start timeout is stopped and started anew; it is never an endpoint.
func TestStartTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := run(t, 1, func(w *world, c *Config, _ *Options) {
			w.deaf["u-1"] = true
			w.make = func(f *fake) error { f.stubborn = true; return nil }
			c.StartTimeout, c.StopTimeout = 5*time.Second, 2*time.Second
		})
		w.pass(7050 * time.Millisecond)
		w.expect("0s start u-1", "5s TERM u-1", "7s KILL u-1")
		if r := w.set.Snapshot().Replicas[0]; r.LastExit != "did not answer within 5s: connection refused" {
			t.Errorf("seen as %+v", r)
		}
		w.mu.Lock()
		w.deaf["u-1"] = false
		w.mu.Unlock()
		w.pass(time.Second)
		w.expect("7.1s start u-1", "7.1s endpoints [u-1]")
		w.stop()
	})
}

// Timeouts are changed while replicas run: none is touched, and the next end takes as long as was said last.
func TestSetTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := run(t, 1, func(w *world, c *Config, _ *Options) {
			w.make = func(f *fake) error { f.stubborn = true; return nil }
			c.StopTimeout = 5 * time.Second
		})
		w.pass(time.Second)
		w.set.SetTimeouts(Timeouts{Stop: 3 * time.Second})
		w.pass(time.Hour)
		w.expect("0s start u-1", "0s endpoints [u-1]")
		w.stop()
		w.expect("1h0m1s endpoints []", "1h0m1s TERM u-1", "1h0m4s KILL u-1")
	})
}

// A replica that cannot be started is tried again, ever more rarely, and costs the others nothing.
func TestOneThatWillNotStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := run(t, 2, func(w *world, _ *Config, _ *Options) {
			w.make = func(f *fake) error {
				if f.name == "u-2" {
					return errors.New("no such file")
				}
				return nil
			}
		})
		w.pass(time.Minute)
		snap := w.set.Snapshot()
		if r := snap.Replicas[0]; r.State != Ready || r.Restarts != 0 {
			t.Errorf("the good one is %+v", r)
		}
		if r := snap.Replicas[1]; r.State != Backoff || r.LastExit != "start: no such file" || r.Restarts != 3 {
			t.Errorf("the bad one is %+v", r)
		}
		w.stop()
	})
}

// What a command leaves behind in its group is given the stop timeout too, then killed; only then is the replica gone.
func TestWholeGroupEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := run(t, 1, func(w *world, _ *Config, _ *Options) {
			w.make = func(f *fake) error { f.orphans = true; return nil }
		})
		w.stop()
		w.expect("0s start u-1", "0s endpoints [u-1]", "0s endpoints []", "0s TERM u-1", "10s KILL u-1")
	})
}

// Where no time to stop is given, SIGKILL comes at once.
func TestStopAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := run(t, 1, func(_ *world, c *Config, _ *Options) { c.StopTimeout = -1 })
		w.stop()
		w.expect("0s start u-1", "0s endpoints [u-1]", "0s endpoints []", "0s KILL u-1")
	})
}

// A set runs once: a second Run fails and disturbs nothing.
func TestRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := run(t, 0, nil)
		if err := w.set.Run(t.Context()); err == nil {
			t.Error("a second Run began")
		}
		w.stop()
		w.expect()
	})
}
