package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/load"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
)

// benchCallers make one call again and again, over a number of connections.
type benchCallers struct {
	plan       *callPlan
	engine     netio.Engine
	kind       transport.Kind
	all        []*benchCaller
	free       chan *benchCaller // whose connection has no call
	reconnects atomic.Int64
}

// benchCaller is one connection, made anew where the server has closed it. It is the owner of each.
type benchCaller struct {
	*benchCallers
	conn *client.Conn // nil: there is none yet
	over atomic.Bool  // conn takes no further call
	busy atomic.Int32 // the call is being made, and the server is at it
}

func newBenchCallers(p *callPlan, engine netio.Engine, kind transport.Kind, connections int) *benchCallers {
	b := &benchCallers{plan: p, engine: engine, kind: kind, free: make(chan *benchCaller, connections)}
	for range connections {
		c := &benchCaller{benchCallers: b}
		b.all = append(b.all, c)
		b.free <- c
	}
	return b
}

// String says how many connections there are.
func (b *benchCallers) String() string {
	text := fmt.Sprintf("%d connections", len(b.all))
	if n := b.reconnects.Load(); n > 0 {
		text += fmt.Sprintf(", made anew %d times", n)
	}
	return text
}

// dialsAtOnce bounds the connections that are made at one time before the calls begin.
const dialsAtOnce = 64

// connect makes the connections, so that no call has to.
func (b *benchCallers) connect(ctx context.Context) error {
	var all sync.WaitGroup
	failed := make([]error, min(dialsAtOnce, len(b.all)))
	for i := range failed {
		all.Go(func() {
			for at := i; at < len(b.all) && failed[i] == nil; at += len(failed) {
				if e := b.all[at].dial(ctx, time.Now().Add(b.plan.timeout)); e != nil {
					failed[i] = errors.New(b.plan.why(e))
				}
			}
		})
	}
	all.Wait()
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *benchCallers) close() {
	for _, c := range b.all {
		if c.conn != nil {
			c.conn.Close()
		}
	}
}

// dial makes the connection.
func (c *benchCaller) dial(ctx context.Context, deadline time.Time) *rpc.Error {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	c.over.Store(false)
	conn, err := client.Dial(ctx, c.engine, c.plan.address, c.plan.config(c.kind, c))
	if err != nil {
		return rpc.AsError(err, "bench")
	}
	c.conn = conn
	return nil
}

// call is the load's job. Which worker it is for does not matter: a connection whose server is still at work is passed over.
func (b *benchCallers) call(ctx context.Context, _ int) load.Result {
	select {
	case c := <-b.free:
		return c.call(ctx)
	case <-ctx.Done():
		return load.Result{Kind: rpc.Cancelled.String(), Err: ctx.Err()}
	}
}

func (c *benchCaller) call(ctx context.Context) load.Result {
	now := time.Now()
	deadline := now.Add(c.plan.timeout)
	if c.conn != nil && c.over.Load() {
		c.conn.Close()
		c.conn = nil
		c.reconnects.Add(1)
	}
	if c.conn == nil {
		if e := c.dial(ctx, deadline); e != nil {
			c.free <- c
			return c.failure(e)
		}
	}
	c.busy.Store(2)
	reply, err := c.conn.Handle(ctx, c.plan.call(now, deadline))
	c.rest()
	if err != nil {
		return c.failure(rpc.AsError(err, "bench"))
	}
	if name := reply.ExceptionType(c.plan.method); name != "" {
		return load.Result{Kind: name, Err: fmt.Errorf("the declared exception %s", name)}
	}
	return load.Result{}
}

// rest makes the connection free once it is called twice for a call: when that has returned, and when the server is done with it.
func (c *benchCaller) rest() {
	if c.busy.Add(-1) == 0 {
		c.free <- c
	}
}

// failure is what the report has of a call that failed.
func (c *benchCaller) failure(e *rpc.Error) load.Result {
	text := c.plan.why(e)
	if e.Peer != nil {
		text = applicationText(e)
	}
	return load.Result{Kind: e.Code.String(), Err: errors.New(text)}
}

// Freed implements client.Owner.
func (c *benchCaller) Freed(reusable bool) {
	if !reusable {
		c.over.Store(true)
	}
	c.rest()
}

// Gone implements client.Owner.
func (c *benchCaller) Gone() { c.over.Store(true) }
