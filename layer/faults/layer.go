// Package faults makes calls wait and fail on purpose, so that callers can be seen to bear it.
package faults

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/thriftloom/thriftloom/layer/match"
	"github.com/thriftloom/thriftloom/rpc"
)

// Policy is what is done to the calls of one method. The zero value does nothing.
//
// A call first waits, or does not, then fails, or does not: with the code, or with the exception, never with both. The shares are in percent,
// and are drawn for each call.
type Policy struct {
	Delay     Delay
	Abort     Abort
	Exception Exception
	Only      match.Match // where it has tests, the calls that it fits alone
	Counts    *Counts     // may be nil
}

// Delay lets calls wait, for a time between Min and Max.
type Delay struct {
	Min, Max time.Duration
	Percent  float64
}

// Abort lets calls fail with a code.
type Abort struct {
	Code    rpc.Code
	Percent float64
}

// Counts is how many calls of a method had which fault. The zero value is ready; safe for concurrent use.
type Counts struct{ Delayed, Aborted, Excepted atomic.Int64 }

// Layer injects faults. A call that waits takes no slot; it ends with its deadline, and when its caller goes. random returns numbers from 0
// to below 1, and is safe for concurrent use; nil is the process's own.
func Layer(policies rpc.PerMethod[Policy], random func() float64) rpc.Layer {
	if random == nil {
		random = rand.Float64
	}
	return rpc.Layer{
		Name: "faults",
		Why:  "above retry and hedge: what fails on purpose reaches the caller, as a failure does that they could not mend; below deadline: a delay ends with it",
		Wrap: func(next rpc.Handler) rpc.Handler {
			if !policies.Any(Policy.on) {
				return next
			}
			return rpc.HandlerFunc(func(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
				p := policies.For(call)
				if !p.on() || len(p.Only) > 0 && !p.Only.Fits(call) {
					return next.Handle(ctx, call)
				}
				if err := p.wait(ctx, call, random); err != nil {
					return nil, err
				}
				if reply, err := p.fail(call, random); reply != nil || err != nil {
					return reply, err
				}
				return next.Handle(ctx, call)
			})
		},
	}
}

// on reports whether the policy does anything.
func (p Policy) on() bool {
	return p.Delay.Percent > 0 || p.Abort.Percent > 0 || p.Exception.Percent > 0
}

// wait lets the call wait, and returns why it has ended meanwhile.
func (p *Policy) wait(ctx context.Context, call *rpc.Call, random func() float64) error {
	if p.Delay.Percent <= 0 || 100*random() >= p.Delay.Percent {
		return nil
	}
	p.count(func(c *Counts) *atomic.Int64 { return &c.Delayed })
	d, over := p.Delay.Min+time.Duration(random()*float64(p.Delay.Max-p.Delay.Min)), false
	if left, ok := call.Remaining(time.Now()); ok && left <= d {
		d, over = left, true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return &rpc.Error{Code: rpc.Cancelled, Reach: rpc.NotSent, Op: call.Service, Text: "the caller has gone while the call was delayed on purpose", Err: ctx.Err()}
	}
	if over {
		return p.failed(call, rpc.DeadlineExceeded, "it was delayed on purpose (faults)")
	}
	return nil
}

// fail returns what the call ends with; nothing where it goes on.
func (p *Policy) fail(call *rpc.Call, random func() float64) (*rpc.Reply, error) {
	if p.Abort.Percent <= 0 && p.Exception.Percent <= 0 {
		return nil, nil
	}
	switch drawn := 100 * random(); {
	case drawn < p.Abort.Percent:
		p.count(func(c *Counts) *atomic.Int64 { return &c.Aborted })
		return nil, p.failed(call, p.Abort.Code, "it fails on purpose (faults)")
	case drawn < p.Abort.Percent+p.Exception.Percent:
		p.count(func(c *Counts) *atomic.Int64 { return &c.Excepted })
		return p.Exception.reply(call.Protocol), nil
	}
	return nil, nil
}

func (p *Policy) failed(call *rpc.Call, code rpc.Code, text string) error {
	return &rpc.Error{Code: code, Reach: rpc.NotSent, Op: call.Service + "." + call.Name, Text: text}
}

func (p *Policy) count(of func(*Counts) *atomic.Int64) {
	if p.Counts != nil {
		of(p.Counts).Add(1)
	}
}
