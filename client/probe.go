package client

import (
	"cmp"
	"context"
	"time"

	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/message"
)

// ProbeMethod is what a probe calls where no method is named. No service has it; that the peer says so is a sign of life.
const ProbeMethod = "__thriftloom_probe"

// MultiplexedProbe is the same for multiplexed servers: they answer an unknown service, and close on an unknown method of a known one.
const MultiplexedProbe = ProbeMethod + ":" + ProbeMethod

// Probe asks the peer at address, on a connection of its own, for a sign of life: a reply, an exception or "unknown method". method is
// called without arguments; "" calls ProbeMethod.
func Probe(ctx context.Context, engine netio.Engine, address string, cfg Config, method string) error {
	cfg.Owner = nil
	c, err := Dial(ctx, engine, address, cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	at, _ := ctx.Deadline()
	_, err = c.Handle(ctx, ProbeCall(method, cfg.Wire.Protocol, at))
	if e := rpc.AsError(err, "client"); e != nil && e.Reach != rpc.Answered {
		return e
	}
	return nil
}

// ProbeCall is the call that a probe makes, as the servers know it; method "" is ProbeMethod. A zero deadline is none.
func ProbeCall(method string, p wire.Protocol, deadline time.Time) *rpc.Call {
	return &rpc.Call{
		ID: rpc.NewID(), Name: cmp.Or(method, ProbeMethod), Protocol: p, Body: message.Empty(p), Start: time.Now(), Deadline: deadline,
	}
}
