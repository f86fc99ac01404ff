package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/thriftloom/thriftloom"
)

// The load: half of what four workers can do, by callers that make one call at a time, as synchronous clients do.
const (
	callers  = 64
	meanWork = 10 * time.Millisecond // exponential
	rate     = workers / 2 * 100     // calls a second
	patience = 5 * time.Second       // after which a caller gives up
	begins   = 1500 * time.Millisecond
	lasts    = 3500 * time.Millisecond
	length   = 8 * time.Second
)

// scenario is what becomes of the workers from begins on, for lasts.
type scenario struct {
	name string
	play func(f *fleet, random *rand.Rand) error
}

var scenarios = []scenario{
	{"all is well", func(*fleet, *rand.Rand) error { return nil }},
	{frozen, func(f *fleet, _ *rand.Rand) error { return f.freeze(0, lasts) }},
	{"one raises at once", func(f *fleet, _ *rand.Rand) error { return f.fail(0, lasts) }},
	{"one killed, and started again 2 s later", func(f *fleet, _ *rand.Rand) error { return f.kill(0, 2*time.Second) }},
	{"two at half speed", func(f *fleet, _ *rand.Rand) error {
		for i := range 2 {
			if err := f.pace(i, 0.5); err != nil {
				return err
			}
		}
		return nil
	}},
	{"a busy neighbour", busyNeighbour},
}

const frozen = "one frozen for 3.5 s (SIGSTOP)"

// busyNeighbour slows two of the workers down to a third, now and then, for about a third of a second each time.
func busyNeighbour(f *fleet, random *rand.Rand) error {
	for end := time.Now().Add(length - begins); time.Now().Before(end) && f.ctx.Err() == nil; {
		for _, speed := range [2]float64{0.33, 1} {
			if err := f.pace(random.IntN(2), speed); err != nil {
				return err
			}
			wait(f.ctx, time.Duration(200+random.IntN(300))*time.Millisecond)
		}
	}
	return nil
}

// call is one call as its caller saw it.
type call struct {
	at, took time.Duration // when it was due, since the run began, and how long after that it was over
	failed   bool
}

// play runs a scenario once. Its calls and their work are the same for all contenders with the same seed.
func play(ctx context.Context, t tools, s scenario, c contender, seed uint64) ([]call, error) {
	f, err := startFleet(ctx, t.python)
	if err != nil {
		return nil, err
	}
	defer f.stop()
	proxy, address, err := c.start(ctx, t, f.addresses)
	if err != nil {
		return nil, err
	}
	defer proxy.Stop()
	all, err := newCallers(f.service, address, c.anew, seed)
	if err != nil {
		return nil, err
	}
	defer all.close()
	played := make(chan error, 1)
	all.began = time.Now()
	go func() {
		wait(ctx, begins)
		played <- s.play(f, rand.New(rand.NewPCG(seed, 1)))
	}()
	all.run(ctx)
	return all.calls, <-played
}

// callerPool are the callers, each with a connection, or with one for each call.
type callerPool struct {
	service *thriftloom.Service
	address string
	seed    uint64
	began   time.Time
	bound   []*work // nil: a connection for each call
	clients []*thriftloom.Client

	mu    sync.Mutex
	calls []call
}

func newCallers(service *thriftloom.Service, address string, anew bool, seed uint64) (*callerPool, error) {
	p := &callerPool{service: service, address: address, seed: seed}
	for range callers {
		if anew {
			break
		}
		w, c, err := connect(service, address)
		if err != nil {
			return nil, err
		}
		p.bound, p.clients = append(p.bound, w), append(p.clients, c)
	}
	return p, nil
}

func (p *callerPool) close() {
	for _, c := range p.clients {
		c.Close()
	}
}

// run lets all callers call, and waits for their last answers.
func (p *callerPool) run(ctx context.Context) {
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() { p.caller(ctx, i) })
	}
	all.Wait()
}

// caller makes the calls of one caller. They come by chance, and wait for the one before: each takes from when it was due.
func (p *callerPool) caller(ctx context.Context, i int) {
	random := rand.New(rand.NewPCG(p.seed, uint64(i)))
	exponential := func(mean time.Duration) time.Duration { return time.Duration(random.ExpFloat64() * float64(mean)) }
	for due := exponential(callers * time.Second / rate); due < length && ctx.Err() == nil; due += exponential(callers * time.Second / rate) {
		wait(ctx, due-time.Since(p.began))
		err := p.work(ctx, i, int32(exponential(meanWork)/time.Microsecond))
		c := call{at: due, took: time.Since(p.began) - due, failed: err != nil}
		p.mu.Lock()
		p.calls = append(p.calls, c)
		p.mu.Unlock()
	}
}

func (p *callerPool) work(ctx context.Context, i int, micros int32) error {
	if p.bound != nil {
		_, err := p.bound[i].Work(ctx, micros)
		return err
	}
	w, c, err := connect(p.service, p.address)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = w.Work(ctx, micros)
	return err
}
