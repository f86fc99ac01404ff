package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/thriftloom/thriftloom/rpc"
)

// Set is a number of replicas of one command. Its methods are safe for concurrent use.
type Set struct {
	cfg  Config
	opts Options
	at   addresses
	logs string // the folder of log files

	timeouts atomic.Pointer[Timeouts]
	ran      atomic.Bool
	changed  chan struct{} // the target, or which replicas exist; holds one
	output   sync.Mutex    // that of opts.Output
	publish  sync.Mutex    // held around OnEndpoints, so that the sets come in order

	mu       sync.Mutex // guards what follows, and the state of the replicas
	target   int
	replicas map[int]*replica
	adopted  map[int]*started // that run already, until they are taken in; by number
	left     []error          // processes that did not end

	start func(spec) (process, error) // made by Run; tests put their own in its place
}

// New returns a set that Run starts. It starts nothing, and touches no file.
func New(cfg Config, opts Options) (*Set, error) {
	if !supported {
		return nil, errors.New("run: replicas cannot be run on this system: it has no process groups")
	}
	if err := check(cfg, opts); err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	user, err := lookUpUser(cfg.User)
	if err != nil {
		return nil, fmt.Errorf("run: user: %w", err)
	}
	state, err := filepath.Abs(opts.State) // commands run in a folder of their own
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	opts.Log = opts.Log.With("service", opts.Name)
	s := &Set{
		cfg:      cfg,
		opts:     opts,
		at:       addresses{name: opts.Name, run: filepath.Join(state, "run"), user: user, socket: cfg.mentions("{socket}")},
		logs:     filepath.Join(state, "log"),
		changed:  make(chan struct{}, 1),
		target:   cfg.Replicas,
		replicas: map[int]*replica{},
		adopted:  map[int]*started{},
	}
	s.SetTimeouts(Timeouts{Start: cfg.StartTimeout, Stop: cfg.StopTimeout, Drain: opts.DrainTimeout})
	s.adopt(opts.Adopt)
	return s, nil
}

// Run starts the replicas and keeps them running until ctx ends. It returns when ctx has ended and every process of every replica has;
// an error names a folder that cannot be made, or processes that SIGKILL did not end. It runs once.
func (s *Set) Run(ctx context.Context) error {
	if s.ran.Swap(true) {
		return errors.New("run: a set runs once")
	}
	if err := os.MkdirAll(s.logs, 0o700); err != nil {
		return fmt.Errorf("run: a folder for logs: %w", err)
	}
	defer s.at.close()
	if s.start == nil {
		starter := newStarter()
		defer starter.close()
		s.start = starter.start
	}
	var running sync.WaitGroup
	for ctx.Err() == nil {
		s.adjust(ctx, &running)
		select {
		case <-s.changed:
		case <-ctx.Done():
		}
	}
	running.Wait()
	return errors.Join(s.left...)
}

// adjust starts the replicas that are missing and lets those go that are too many. A number that is still stopping is started when it
// has stopped.
func (s *Set) adjust(ctx context.Context, running *sync.WaitGroup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for number, r := range s.replicas {
		if number > s.target {
			r.leave()
		}
	}
	for number := 1; number <= s.target; number++ {
		if s.replicas[number] == nil {
			r := newReplica(s, number, s.adopted[number])
			delete(s.adopted, number)
			leaving, leave := context.WithCancel(ctx)
			r.leave = leave
			s.replicas[number] = r
			running.Go(func() {
				defer leave()
				r.run(ctx, leaving)
				s.remove(r)
			})
		}
	}
}

func (s *Set) remove(r *replica) {
	s.mu.Lock()
	delete(s.replicas, r.number)
	s.mu.Unlock()
	s.wake()
}

// Scale sets how many replicas are to run, within 0 and MaxReplicas. It does not wait. The replicas with the highest numbers go first:
// each stops being an endpoint, is drained, and is then stopped.
func (s *Set) Scale(n int) {
	s.mu.Lock()
	s.target = min(max(n, 0), MaxReplicas)
	s.mu.Unlock()
	s.wake()
}

// SetTimeouts changes what bounds starting and ending, of replicas that run as well. What has begun ends within the bound that it had.
func (s *Set) SetTimeouts(t Timeouts) {
	t = t.withDefaults()
	s.timeouts.Store(&t)
}

func (s *Set) wake() {
	select {
	case s.changed <- struct{}{}:
	default: // a wake-up is there already
	}
}

// sendEndpoints hands out the endpoints that are ready now. When it returns, the receiver knows them.
func (s *Set) sendEndpoints() {
	s.publish.Lock()
	defer s.publish.Unlock()
	s.opts.OnEndpoints(s.endpoints())
}

func (s *Set) endpoints() []rpc.Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []rpc.Endpoint{}
	for _, number := range slices.Sorted(maps.Keys(s.replicas)) {
		if r := s.replicas[number]; r.sight.State == Ready {
			list = append(list, rpc.Endpoint{Name: r.sight.Name, Address: r.sight.Address})
		}
	}
	return list
}
