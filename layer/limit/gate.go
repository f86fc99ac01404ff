package limit

import (
	"context"
	"sync"
	"time"

	"github.com/thriftloom/thriftloom/internal/fair"
	"github.com/thriftloom/thriftloom/rpc"
)

// Bounds are those of a method's calls that are worked at, and of those that wait for that.
type Bounds struct {
	InFlight int // at one time; zero: there is no bound
	MaxCalls int // that wait; one more is refused
	MaxWait  time.Duration
}

// gate lets so many calls of one method through at one time. Others wait for their turn: those of a higher class first, one of each caller.
type gate struct {
	mu      sync.Mutex
	bounds  Bounds
	inside  int
	waiting fair.Queue[chan *rpc.Error] // capacity 1: an error is for a call that gives way to another one
}

// set changes the bounds.
func (g *gate) set(b Bounds) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bounds = b
	g.admit()
}

// enter waits until the call may go on, until its deadline, the longest wait or the end of ctx; it is to leave then.
func (g *gate) enter(ctx context.Context, call *rpc.Call) *rpc.Error {
	now := time.Now()
	g.mu.Lock()
	if g.inside < g.bounds.InFlight && g.waiting.Len() == 0 {
		g.inside++
		g.mu.Unlock()
		return nil
	}
	class, share := int(call.Priority-rpc.Background), call.Caller.Share()
	if g.waiting.Len() >= g.bounds.MaxCalls {
		full := g.refusal(call, rpc.ResourceExhausted, "max_in_flight calls are worked at, and the queue is full")
		other := g.waiting.Victim(class, share)
		if other == nil {
			g.mu.Unlock()
			return full
		}
		g.waiting.Remove(other)
		other.Value <- full
	}
	turn := make(chan *rpc.Error, 1)
	place := g.waiting.Add(turn, class, share)
	wait, late := g.bounds.MaxWait, g.refusal(call, rpc.ResourceExhausted, "max_in_flight calls are worked at, for the queue's longest wait")
	g.mu.Unlock()

	if left, ok := call.Remaining(now); ok && left < wait {
		wait, late = left, g.refusal(call, rpc.DeadlineExceeded, "max_in_flight calls are worked at")
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case e := <-turn:
		return e
	case <-timer.C:
	case <-ctx.Done():
		late = g.refusal(call, rpc.Cancelled, "the caller has gone")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.waiting.Remove(place) && <-turn == nil { // it was let through at the same moment: somebody else is
		g.inside--
		g.admit()
	}
	return late
}

// leave ends a call that has entered.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.admit()
}

// admit lets calls through that wait. g.mu is held.
func (g *gate) admit() {
	for g.waiting.Len() > 0 && g.inside < g.bounds.InFlight {
		next := g.waiting.Front()
		g.waiting.Take(next)
		g.inside++
		next.Value <- nil
	}
}

func (g *gate) refusal(call *rpc.Call, code rpc.Code, text string) *rpc.Error {
	return &rpc.Error{Code: code, Reach: rpc.NotSent, Op: call.Service + "." + call.MethodKey().Method, Text: text}
}
