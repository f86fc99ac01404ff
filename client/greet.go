package client

import (
	"context"
	"errors"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/wire/message"
)

// ErrSerial is the error of Greet where the peer has closed the connection instead of an answer: it answers in order, on another one.
var ErrSerial = errors.New("the peer ends a connection that begins with " + rpc.HelloMethod)

// Greet asks the peer whether it answers in any order. It is the first call on the connection, made before anybody owns it.
//
// Where the peer grants it, the connection goes on as the Shared that is returned. Where it does not, shared is nil, and the connection is
// one for one call at a time, with that owner. On an error the connection is closed: ErrSerial, or an *rpc.Error with Reach NotSent.
// multiplexed says that calls have the service before the method.
func (c *Conn) Greet(ctx context.Context, until time.Time, multiplexed bool, owner Owner) (shared *Shared, err error) {
	name := rpc.HelloMethod
	if multiplexed { // an unknown method of a known service would close the connection; an unknown service does not
		name += ":" + name
	}
	_, err = c.Handle(ctx, &rpc.Call{
		ID: rpc.NewID(), Name: name, Protocol: c.cfg.Wire.Protocol, Body: message.Empty(c.cfg.Wire.Protocol), Start: time.Now(), Deadline: until,
	})
	e := rpc.AsError(err, "client")
	granted := e == nil
	if !granted && e.Reach != rpc.Answered {
		c.net.Close(nil)
		return nil, greetError(e)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != idle {
		return nil, ErrSerial
	}
	if !granted {
		c.cfg.Owner, c.calls = owner, 0 // as fresh as before
		return nil, nil
	}
	s := &Shared{
		cfg: c.cfg, net: c.net, split: c.split, created: c.created, maxQueued: int64(c.cfg.maxQueued()),
		shares: map[*Share]struct{}{}, asked: map[int32]*Share{}, seq: c.seq, sent: c.net.Written(),
	}
	c.shared.Store(s)
	return s, nil
}

// greetError is what the end of a greeting says: the peer serves in order, or could not be reached.
func greetError(e *rpc.Error) error {
	switch e.Outcome {
	case rpc.ClosedNoReply, rpc.BadReply:
		return ErrSerial
	}
	e.Reach = rpc.NotSent // of the call that is to follow
	return e
}
