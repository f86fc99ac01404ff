package main

import (
	"context"
	"fmt"
	"time"

	"github.com/thriftloom/thriftloom/bench/child"
	"github.com/thriftloom/thriftloom/load"
)

// row is a workload.
type row struct {
	kind       kind
	shape      string // of shapes
	callers    int
	framed     bool
	concurrent bool // upstream; else one call a connection
	unix       bool // the upstream listens at a unix socket, as replicas do; else at a port of the loopback interface
}

// kind is what is done in a row.
type kind int

const (
	closed kind = iota // each caller calls again when it has its answer
	fixed              // calls start at half the rate that HAProxy had in the closed row before, whatever becomes of them
	anew               // each call has a connection of its own
	idle               // connections without a call; bytes of memory for each
)

// rows are the workloads of a whole run, in order: those of 1 KB in full for ThriftPy's default wire, of the others what tells something
// that these do not.
func rows() []row {
	var all []row
	for _, concurrent := range []bool{false, true} {
		for _, shape := range []string{"128 B", "1 KB", "10 KB struct", "100 KB"} {
			for _, callers := range []int{1, 64, 512} {
				if shape == "1 KB" || callers == 64 {
					all = append(all, row{shape: shape, callers: callers, concurrent: concurrent})
				}
			}
		}
		all = append(all,
			row{kind: fixed, shape: "1 KB", callers: 64, concurrent: concurrent},
			row{shape: "1 KB", callers: 64, concurrent: concurrent, framed: true},
		)
	}
	return append(all,
		row{shape: "1 KB", callers: 64, unix: true},
		row{kind: anew, shape: "1 KB", callers: 16},
		row{kind: idle, shape: "1 KB", callers: 10_000},
	)
}

// String names the row, for people and for -only.
func (r row) String() string {
	wire, upstream := "buffered", "serial"
	if r.framed {
		wire = "framed"
	}
	if r.concurrent {
		upstream = "concurrent"
	}
	if r.unix {
		upstream += " unix"
	}
	how := fmt.Sprintf("%d callers", r.callers)
	switch r.kind {
	case fixed:
		how += ", fixed rate"
	case anew:
		how += ", connect-call-close"
	case idle:
		how = fmt.Sprintf("%d idle connections", r.callers)
	}
	return fmt.Sprintf("%s, %s, %s upstream, %s", r.shape, wire, upstream, how)
}

// sample is what one round of a row measured of one proxy.
type sample struct {
	cpu            float64 // microseconds of the proxy a call
	rate           float64 // calls a second
	p50, p99, p999 float64 // microseconds
	memory         float64 // MiB that the proxy holds at the end; of a row of idle connections KiB a connection
	stolen         float64 // share of the machine that others took meanwhile
	late           int64   // calls of a fixed rate that never started
}

// measure runs r once against p. rate is that of a fixed row.
func (b *bench) measure(ctx context.Context, p *proxy, r row, rate float64) (sample, error) {
	request, err := message(r.framed, r.shape)
	if err != nil {
		return sample{}, err
	}
	address, pid, stop, err := b.serve(ctx, p, r)
	if err != nil {
		return sample{}, err
	}
	defer stop()
	if r.kind == idle {
		return b.idle(ctx, pid, address, request, r.callers)
	}
	job := callAnew(address, request)
	if r.kind != anew {
		c, err := connect(address, r.callers, request)
		if err != nil {
			return sample{}, err
		}
		defer c.close()
		job = c.call
	}
	if _, err := run(ctx, r.callers, rate, b.time/4, job); err != nil { // warms up, and is not measured
		return sample{}, err
	}
	return b.timed(pid, func() (*load.Report, error) {
		return b.calls(func() (*load.Report, error) { return run(ctx, r.callers, rate, b.time, job) })
	})
}

// serve starts the upstream of r, and p before it, unless p is nil. It returns where calls go, whose process is measured, and what ends both.
func (b *bench) serve(ctx context.Context, p *proxy, r row) (address string, pid int, stop func(), err error) {
	upstream, err := b.upstream(ctx, r)
	if err != nil {
		return "", 0, nil, err
	}
	if p == nil {
		return b.echo, upstream.PID, func() { upstream.Stop() }, nil
	}
	l := link{listen: child.FreeAddress(), upstream: b.echo, framed: r.framed, concurrent: r.concurrent, idl: idl(r.shape)}
	started, err := start(ctx, b.tools, *p, l)
	if err != nil {
		upstream.Stop()
		return "", 0, nil, err
	}
	return l.listen, started.PID, func() { started.Stop(); upstream.Stop() }, nil
}

// timed measures a process while calls are made.
func (b *bench) timed(pid int, calls func() (*load.Report, error)) (s sample, err error) {
	total, stolen, err := machine()
	if err != nil {
		return s, err
	}
	spent, err := cpu(pid)
	if err != nil {
		return s, err
	}
	rep, err := calls()
	if err != nil {
		return s, err
	}
	spentThen, err := cpu(pid)
	if err != nil {
		return s, err
	}
	totalThen, stolenThen, err := machine()
	if err != nil {
		return s, err
	}
	memory, err := resident(pid)
	micros := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	return sample{
		cpu: micros(spentThen-spent) / float64(rep.Calls), rate: rep.Rate, memory: float64(memory) / (1 << 20),
		p50: micros(rep.Latency.P50), p99: micros(rep.Latency.P99), p999: micros(rep.Latency.P999),
		stolen: float64(stolenThen-stolen) / float64(totalThen-total), late: rep.NotStarted,
	}, err
}

// idle measures what a connection without a call costs: each has made one.
func (b *bench) idle(ctx context.Context, pid int, address string, request []byte, n int) (sample, error) {
	before, err := b.settled(ctx, pid, address, request, 100)
	if err != nil {
		return sample{}, err
	}
	after, err := b.settled(ctx, pid, address, request, n)
	return sample{memory: float64(after-before) / float64(n-100) / (1 << 10)}, err
}

// settled returns the memory of a process with n connections that are at rest.
func (b *bench) settled(ctx context.Context, pid int, address string, request []byte, n int) (int64, error) {
	c, err := connect(address, n, request)
	if err != nil {
		return 0, err
	}
	defer c.close()
	for i := range c.conns {
		if r := c.call(ctx, i); r.Err != nil {
			return 0, r.Err
		}
	}
	time.Sleep(b.rest)
	return resident(pid)
}
