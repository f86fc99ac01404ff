// Package mirror sends copies of calls to another upstream, whose replies nobody waits for, and compares them with those that callers got.
package mirror

import (
	"context"
	"time"

	"github.com/thriftloom/thriftloom/layer/match"
	"github.com/thriftloom/thriftloom/rpc"
)

// Policy is what is copied of one method's calls. The zero value copies none.
type Policy struct {
	To          rpc.Handler   // where copies go; nil: none are made
	Percent     float64       // of the calls
	Timeout     time.Duration // of a copy; zero: it has the deadline of the call
	MaxInFlight int           // copies that may be under way in Room; one more is dropped
	Room        *Room         // that they are under way in; the methods of a service share one
	Diff        *Diff         // compares the replies; nil: they are not
	Counts      *Counts
}

// salt sets the share apart from others of the same calls.
const salt = 0x6d6972726f72 // "mirror"

// Layer copies calls. The caller's own call goes on at once and is neither delayed nor failed by its copy, which is tried once, within a time
// of its own, and has no record: it is in no caller's numbers. What became of copies is in Counts.
func Layer(policies rpc.PerMethod[Policy]) rpc.Layer {
	return rpc.Layer{
		Name: "mirror",
		Why:  "above retry and hedge: one copy a call, however often it is tried; below faults, limit and breaker: what never left here is not copied",
		Wrap: func(next rpc.Handler) rpc.Handler {
			if !policies.Any(Policy.on) {
				return next
			}
			return rpc.HandlerFunc(func(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
				p := policies.For(call)
				if !p.on() || !match.Share(uint64(call.ID), salt, p.Percent) {
					return next.Handle(ctx, call)
				}
				c := p.begin(call)
				if c == nil || c.main == nil {
					return next.Handle(ctx, call)
				}
				var reply *rpc.Reply
				defer func() { c.hear(reply) }() // also where it panics: the copy waits for it
				reply, err := next.Handle(ctx, call)
				return reply, err
			})
		},
	}
}

func (p Policy) on() bool { return p.To != nil && p.Percent > 0 }

// mirrored is one copy under way.
type mirrored struct {
	*Policy
	call *rpc.Call
	held int64       // bytes that it holds in the room
	main chan answer // gets what the caller got, once; nil where nobody compares it
}

// answer is what the caller got.
type answer struct {
	reply *rpc.Reply // nil: an error
	kept  bool       // there is room for the reply
}

// begin starts a copy; nil where it was dropped.
func (p *Policy) begin(call *rpc.Call) *mirrored {
	theirs := *call
	theirs.Record = nil
	if p.Timeout > 0 {
		theirs.Start = time.Now()
		theirs.Deadline = theirs.Start.Add(p.Timeout)
	}
	c := &mirrored{Policy: p, call: &theirs, held: int64(len(call.Body))}
	if p.Diff != nil && !call.Oneway {
		c.main = make(chan answer, 1)
	}
	if !p.Room.enter(p.MaxInFlight, c.held) {
		p.Counts.add(Dropped)
		return nil
	}
	go c.run()
	return c
}

// run sends the copy, and counts what became of it.
func (c *mirrored) run() {
	defer func() { c.Room.leave(c.held) }()
	reply, err := c.To.Handle(c.Room.life, c.call)
	if reply != nil && reply.Memory != nil {
		reply.Memory.Release() // it must not be in the way of callers' replies: from here on the room counts it
	}
	if c.main == nil {
		c.Counts.add(alone(err))
		return
	}
	kept := reply != nil && c.keep(reply)
	main := <-c.main
	if main.kept {
		c.held += int64(len(main.reply.Body))
	}
	switch {
	case main.reply == nil:
		c.Counts.add(MainFailed)
	case kept && main.kept:
		c.Counts.compared(c.Room.compare(c.Diff, c.call.Protocol, main.reply, reply))
	default:
		c.Counts.add(alone(err))
	}
}

// keep counts the copy's reply in the room, where there is some for it.
func (c *mirrored) keep(reply *rpc.Reply) bool {
	n := int64(len(reply.Body))
	if !c.Room.keep(n) {
		return false
	}
	c.held += n
	return true
}

// alone is the result of a copy that is not compared.
func alone(err error) Result {
	if err != nil {
		return MirrorFailed
	}
	return Answered
}

// hear takes what the caller got, nil for an error.
func (c *mirrored) hear(reply *rpc.Reply) {
	c.main <- answer{reply: reply, kept: reply != nil && c.Room.keep(int64(len(reply.Body)))}
}
