package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/thriftloom/thriftloom/bench/child"
	"github.com/thriftloom/thriftloom/load"
)

// callers are synchronous clients with a connection each, as ThriftPy's are.
type callers struct {
	conns   []net.Conn
	request []byte
	replies [][]byte
}

// connect makes n of them.
func connect(address string, n int, request []byte) (*callers, error) {
	c := &callers{request: request}
	network, at := child.Place(address)
	for range n {
		nc, err := net.Dial(network, at)
		if err != nil {
			c.close()
			return nil, err
		}
		c.conns = append(c.conns, nc)
		c.replies = append(c.replies, make([]byte, len(request)))
	}
	return c, nil
}

func (c *callers) close() {
	for _, nc := range c.conns {
		_ = nc.Close()
	}
}

var errOther = errors.New("the reply is not what was sent")

// call is one call of one caller.
func (c *callers) call(_ context.Context, worker int) load.Result {
	nc, reply := c.conns[worker], c.replies[worker]
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second)) // fails on a closed connection, and so does what follows
	if _, err := nc.Write(c.request); err != nil {
		return load.Result{Err: err}
	}
	if _, err := io.ReadFull(nc, reply); err != nil {
		return load.Result{Err: err}
	}
	if tail := len(reply) / 2; !bytes.Equal(reply[tail:], c.request[tail:]) {
		return load.Result{Err: errOther}
	}
	return load.Result{}
}

// callAnew is a call on a connection of its own.
func callAnew(address string, request []byte) load.Job {
	return func(ctx context.Context, _ int) load.Result {
		one, err := connect(address, 1, request)
		if err != nil {
			return load.Result{Err: err}
		}
		defer one.close()
		return one.call(ctx, 0)
	}
}

// run makes calls for d and returns what it measured; an error where any failed.
func run(ctx context.Context, workers int, rate float64, d time.Duration, job load.Job) (*load.Report, error) {
	rep, err := load.Run(ctx, load.Config{Concurrency: workers, Rate: rate, Duration: d}, job, nil)
	switch {
	case err != nil:
		return nil, err
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case rep.Failed > 0:
		return nil, fmt.Errorf("%d of %d calls failed: %s", rep.Failed, rep.Calls, rep.Errors[0].Example)
	}
	return rep, nil
}
