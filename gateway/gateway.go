// Package gateway is the whole: a config led to listeners, routes, services and replicas, and changed while it runs.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/thriftloom/thriftloom/gateway/handover"
	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/layer/limit"
	"github.com/thriftloom/thriftloom/layer/observe"
	"github.com/thriftloom/thriftloom/netio"
)

// Options are what a gateway needs besides its config.
type Options struct {
	Version string
	Env     func(string) (string, bool) // for ${VAR} in the config, and THRIFTLOOM_ENGINE; nil: none are set
	Log     *slog.Logger                // nil: slog.Default()
	Access  *slog.Logger                // gets the access log; nil: Log does
	Output  io.Writer                   // gets the replicas' lines; nil: nobody does
	Sockets *Sockets                    // that another process has opened; nil: there are none
	// Reloaded gets the config that a reload has taken over, before Reload returns. It may be nil.
	Reloaded func(*Config)
	// Replicas are those of the gateway whose place is taken. Those that the config wants with `adopt` go on; New owns them.
	Replicas []handover.Replica
	// Resolvers are the sources of endpoints that are not built in. A config that names one that is missing cannot be started.
	Resolvers Resolvers
	// Stores are the clients of stores that gateways share. A config that names one that is missing cannot be started.
	Stores StoreClients
}

// Gateway runs what a config names. Make one with New, then Run it. Its methods are safe for concurrent use.
type Gateway struct {
	opts     Options
	log      *slog.Logger
	engine   netio.Engine
	budget   *netio.Budget // of the bytes that all connections hold
	registry *prometheus.Registry
	metrics  *metrics
	calls    *observe.Metrics
	stats    *observe.Stats
	quiet    quieter
	rollout  *rollout
	limits   *limit.State // of the calls of all services
	cache    *caching     // their replies
	started  time.Time
	began    *Config         // the first one: what only a start takes over is as it says
	life     context.Context // ends when everything is to end
	end      context.CancelFunc

	changing sync.Mutex     // one change at a time: start, reload, scale, end; who only reads takes current
	halting  sync.WaitGroup // upstreams and listeners that are on their way out

	lender  atomic.Pointer[lender] // nil where no slots are lent
	follows bool                   // the process before has the slots still; changing guards it
	lending sync.Mutex             // guards shares and views
	shares  map[string]*share      // by key of the upstream
	views   map[string]*viewed     // the same, of those whose calls are told to others

	current  atomic.Pointer[state]
	ready    atomic.Bool              // Ready said so once: from then on one service does not change it
	newest   atomic.Pointer[Resolved] // of the last attempt to read the config
	whole    atomic.Pointer[Resolved] // of the last one without a mistake
	draining atomic.Bool
	handing  atomic.Bool   // another process is taking over
	replaced chan error    // gets what came of the drain when another process has taken over
	drain    chan struct{} // closed when Drain was asked for
	once     sync.Once
}

// state is what one version of the config came to. Immutable.
type state struct {
	config   *Config
	hash     string
	loaded   time.Time
	stale    []string // services that kept their last good version
	services []*target
	plans    map[string]servicePlan // by label; nil before Start

	learned   map[string]*learned  // by label
	upstreams map[string]*upstream // by key
	listeners map[string]*listener // by id
	keys      keys
	adminTLS  *tlsPlan
}

// New returns a gateway for a config without mistakes. Nothing is opened or started yet.
func New(cfg *Config, opts Options) *Gateway {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Access == nil {
		opts.Access = opts.Log
	}
	if opts.Env == nil {
		opts.Env = func(string) (string, bool) { return "", false }
	}
	g := &Gateway{
		opts: opts, log: opts.Log, engine: newEngine(cfg, opts), registry: prometheus.NewRegistry(), stats: observe.NewStats(),
		budget: netio.NewBudget(int64(cfg.MaxBufferedBytes)), drain: make(chan struct{}), replaced: make(chan error, 1), started: time.Now(),
		began: cfg,
	}
	g.life, g.end = context.WithCancel(context.Background())
	g.calls = observe.NewMetrics(g.registry)
	g.rollout = newRollout(g.log)
	g.metrics = newMetrics(g)
	g.registry.MustRegister(g.rollout, newLearnedMetrics(g), newCacheMetrics(g))
	g.cache = g.newCaching()
	g.limits = limit.NewState()
	g.limits.Limited = g.limited
	g.limits.OnShared = func(err error) { g.tellStore("redis, for limits", err) }
	g.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	g.current.Store(&state{config: cfg})
	g.read(&Loaded{Config: cfg})
	return g
}

// newEngine returns the engine that the config names, or for auto the environment. Where the system has no epoll, or no room for it, it is
// the portable one.
func newEngine(cfg *Config, opts Options) netio.Engine {
	name := cfg.Engine
	if name == "" || name == "auto" {
		name, _ = opts.Env("THRIFTLOOM_ENGINE")
	}
	if name == "net" {
		return netio.NewPortable()
	}
	engine, err := netio.NewEpoll(0)
	if err != nil {
		if name == "epoll" || !errors.Is(err, errors.ErrUnsupported) {
			opts.Log.Warn("no epoll: connections are driven by net", "error", err)
		}
		return netio.NewPortable()
	}
	return engine
}

// ErrCutShort is what Run returns where calls in flight were not answered within drain.timeout.
var ErrCutShort = errors.New("calls were cut short: drain.timeout is over")

// Start binds the listeners and starts the upstreams. On an error nothing stays open; on success Run has to be called.
func (g *Gateway) Start() error {
	g.changing.Lock()
	defer g.changing.Unlock()
	defer g.leaveReplicas()
	if err := g.apply(g.current.Load().config, stale{}); err != nil {
		g.closeAll()
		return err
	}
	return nil
}

// Run serves until HandOver is through, which has drained what was left, or until ctx ends or Drain is called, then drains: not ready; accept for drain.delay; answer what was read whole within
// drain.timeout; end the replicas. It returns when everything has ended, with ErrCutShort where calls were lost. kill, when closed, cuts
// the drain short.
func (g *Gateway) Run(ctx context.Context, kill <-chan struct{}) error {
	engineDone := make(chan struct{})
	go func() {
		defer close(engineDone)
		_ = g.engine.Run(g.life)
	}()
	g.halting.Go(func() { g.watchKeys(g.life) })
	select {
	case <-ctx.Done():
	case <-g.drain:
	case err := <-g.replaced:
		g.changing.Lock()
		defer g.changing.Unlock()
		g.closeAll()
		<-engineDone
		return err
	}
	g.draining.Store(true)
	g.log.Info("draining")
	limit := g.config().Drain
	drain, cancel := context.WithTimeout(context.Background(), limit.Timeout)
	defer cancel()
	go func() {
		select {
		case <-kill:
			cancel()
		case <-drain.Done():
		}
	}()
	wait(drain, limit.Delay)
	err := g.drainListeners(drain)
	g.awaitWorkers(drain)
	g.changing.Lock()
	defer g.changing.Unlock()
	g.closeAll()
	<-engineDone
	return err
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// drainListeners lets all listeners answer what they have read.
func (g *Gateway) drainListeners(ctx context.Context) error {
	g.changing.Lock() // behind a reload that had begun
	st := g.current.Load()
	g.changing.Unlock()
	var wg sync.WaitGroup
	var cut atomic.Bool
	for _, l := range st.listeners {
		wg.Go(func() {
			if err := l.server.Drain(ctx); err != nil {
				cut.Store(true)
			}
		})
	}
	wg.Wait()
	if cut.Load() {
		return ErrCutShort
	}
	return nil
}

// closeAll ends what is left. g.changing is held.
func (g *Gateway) closeAll() {
	g.end()
	st := g.current.Load()
	for _, l := range st.listeners {
		l.close()
	}
	for _, u := range st.upstreams {
		<-u.stopped
	}
	g.halting.Wait()
	g.rollout.close()
	g.cache.close()
	g.stopLending()
}

// Drain asks Run to end. It does not wait.
func (g *Gateway) Drain() { g.once.Do(func() { close(g.drain) }) }

// Registry returns the metrics of the process.
func (g *Gateway) Registry() *prometheus.Registry { return g.registry }

// Config returns the config that is in force. Do not change it.
func (g *Gateway) Config() *Config { return g.config() }

func (g *Gateway) config() *Config { return g.current.Load().config }

// Scale sets how many replicas of a service run, whatever the config says, until Unscale or a reload. It returns the number.
func (g *Gateway) Scale(label string, n int) (int, error) {
	g.changing.Lock()
	defer g.changing.Unlock()
	u, err := g.scalable(label)
	if err != nil {
		return 0, err
	}
	if n < 0 || n > maxReplicas {
		return 0, fmt.Errorf("%d replicas are out of bounds: 0 to %d", n, maxReplicas)
	}
	u.set.Scale(n)
	return n, nil
}

// Unscale lets the config say again how many replicas run. It returns the number.
func (g *Gateway) Unscale(label string) (int, error) {
	g.changing.Lock()
	defer g.changing.Unlock()
	u, err := g.scalable(label)
	if err != nil {
		return 0, err
	}
	replicas := u.plan.Load().run.Replicas
	u.set.Scale(replicas)
	return replicas, nil
}

// maxReplicas bounds the replicas of one service: one host's processes.
const maxReplicas = 1000

func (g *Gateway) scalable(label string) (*upstream, error) {
	if g.handing.Load() {
		return nil, errHandingOver
	}
	st := g.current.Load()
	p, ok := st.plans[label]
	if !ok {
		return nil, fmt.Errorf("%w: %s", status.ErrUnknownService, label)
	}
	u := st.upstreams[p.upstream]
	if u.set == nil {
		return nil, fmt.Errorf("service %s has no `run`: its replicas are not the gateway's", label)
	}
	return u, nil
}
