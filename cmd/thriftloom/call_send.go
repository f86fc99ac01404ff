package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
)

// send finds out how the server speaks, where that is asked for, and sends the call, once. All of it ends within p.timeout.
func (p *callPlan) send(ctx context.Context) (*rpc.Reply, *rpc.Error) {
	life, end := context.WithCancel(context.Background())
	engine := netio.NewPortable()
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(life) })
	defer running.Wait()
	defer end()
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()

	kind, failure := p.probe(ctx, engine)
	if failure != nil {
		return nil, failure
	}
	owner := oneCall{freed: make(chan struct{})}
	conn, err := client.Dial(ctx, engine, p.address, p.config(kind, owner))
	if err != nil {
		return nil, rpc.AsError(err, "call")
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	reply, err := conn.Handle(context.WithoutCancel(ctx), p.call(time.Now(), deadline)) // the deadline says what happened, the context would not
	if err != nil {
		return nil, rpc.AsError(err, "call")
	}
	if p.method.Oneway {
		// Closing at once could take from the server what it has not read yet. The fence behind the call tells when it has.
		select {
		case <-owner.freed:
		case <-ctx.Done():
		}
	}
	return reply, nil
}

// call makes the call.
func (p *callPlan) call(now, deadline time.Time) *rpc.Call {
	return &rpc.Call{
		ID: rpc.NewID(), Service: p.method.Service.Name, Name: p.wireName, Method: p.method, Oneway: p.method.Oneway,
		Protocol: p.protocol, Body: p.body, Headers: p.headers, Start: now, Deadline: deadline,
	}
}

// oneCall waits until the server is done with a connection's only call.
type oneCall struct{ freed chan struct{} }

func (o oneCall) Freed(bool) { close(o.freed) }
func (oneCall) Gone()        {}

// config says how to speak to the server.
func (p *callPlan) config(kind transport.Kind, owner client.Owner) client.Config {
	return client.Config{Wire: transport.Wire{Kind: kind, Protocol: p.protocol}, Owner: owner, Dialer: p.dial}
}

// probe returns the transport that the server answers: each is tried with a method that no service has, on connections of their own. All
// of it takes two thirds of the time at most, so that the call has some left.
func (p *callPlan) probe(ctx context.Context, engine netio.Engine) (transport.Kind, *rpc.Error) {
	if len(p.kinds) == 1 {
		return p.kinds[0], nil
	}
	methods := []string{client.ProbeMethod}
	if service, _, multiplexed := strings.Cut(p.wireName, ":"); multiplexed {
		// ThriftPy answers an unknown service, and closes on an unknown method of a known one; Apache's Python does it the other way round.
		methods = []string{client.MultiplexedProbe, service + ":" + client.ProbeMethod}
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout*2/3)
	defer cancel()
	var last *rpc.Error
	var tried []string
	for _, kind := range p.kinds {
		for _, method := range methods {
			if last = p.ask(ctx, engine, kind, method, p.timeout*2/3/time.Duration(len(p.kinds)*len(methods))); last == nil {
				return kind, nil
			}
			if last.Outcome == rpc.Refused || last.Outcome == rpc.ConnectTimeout || last.Outcome == rpc.TLSFailed || last.Outcome == rpc.LoginFailed {
				return 0, last
			}
		}
		tried = append(tried, fmt.Sprintf("%s: %s", kind, last.Text))
	}
	last.Text = "no answer to a probe (" + strings.Join(tried, "; ") + "); --transport says how to call without one"
	last.Err = nil
	return 0, last
}

// ask probes one transport with one method.
func (p *callPlan) ask(ctx context.Context, engine netio.Engine, kind transport.Kind, method string, limit time.Duration) *rpc.Error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	e := rpc.AsError(client.Probe(ctx, engine, p.address, p.config(kind, nil), method), "call")
	if e != nil && ctx.Err() != nil && e.Code == rpc.Cancelled {
		e.Code, e.Text = rpc.DeadlineExceeded, "no reply in time"
	}
	return e
}

// why says what happened to a call that was not answered.
func (p *callPlan) why(e *rpc.Error) string {
	text := e.Text
	switch {
	case e.Outcome == rpc.Refused && e.Err != nil: // the cause knows better whether it was refused
		text = e.Err.Error()
	case e.Code == rpc.DeadlineExceeded:
		text = fmt.Sprintf("%s (%v)", text, p.timeout)
	case e.Err != nil && !errors.Is(e.Err, io.EOF):
		text += ": " + e.Err.Error()
	}
	if !strings.Contains(text, p.address) {
		text = p.address + ": " + text
	}
	return text
}
