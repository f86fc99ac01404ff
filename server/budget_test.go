package server_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/server"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// long returns a call whose one argument is a string of n bytes.
func (c *caller) long(name string, seq, n int) []byte {
	b := binary.AppendStop(binary.AppendString(binary.AppendField(nil, wire.String, 1), strings.Repeat("x", n)))
	return transport.Append(nil, transport.Message{Wire: c.wire, Head: wire.Head{Name: name, Seq: int32(seq), Type: wire.Call, NonStrict: c.old}, Body: b})
}

// crowded returns a budget of a MiB of which all but left bytes are held by others, and the config of a server that has it.
func crowded(left int) (*netio.Budget, server.Config) {
	b := netio.NewBudget(1 << 20)
	b.Force(1<<20 - left)
	return b, server.Config{Budget: b}
}

// exhausted checks that the next message refuses the call for want of room.
func (c *caller) exhausted(name string, seq int) {
	c.Helper()
	if text := c.exception(name, seq, 6); !strings.HasPrefix(text, "RESOURCE_EXHAUSTED: ") {
		c.Errorf("refused with %q", text)
	}
}

// A request that does not fit is refused while it is still coming, with its sequence id; its rest is read and dropped, and the connection
// goes on behind it. Short calls pass all the while.
func TestRequestThatDoesNotFit(t *testing.T) {
	b, cfg := crowded(0)
	held := b.Held()
	eachWire(t, cfg, func(c *caller) {
		for round := range 3 {
			whole := c.long("echo", round, 50_000)
			c.write(whole[:3000])
			c.exhausted("echo", round)
			c.write(whole[3000:20_000])
			c.write(append(whole[20_000:], c.message(wire.Call, "echo", 100+round)...))
			c.reply("echo", 100+round)
		}
		if n := len(c.called()); n != 3 {
			c.Errorf("%d handlers ran, want those of the short calls", n)
		}
		_ = c.conn.Close()
		synctest.Wait()
		if b.Held() != held {
			c.Errorf("%d bytes are held, and there were %d", b.Held(), held)
		}
	})
	if b.Refused() == 0 {
		t.Error("no refusal is counted")
	}
}

// Nobody waits for an answer to a oneway that does not fit.
func TestOnewayThatDoesNotFit(t *testing.T) {
	_, cfg := crowded(0)
	eachWire(t, cfg, func(c *caller) {
		c.write(c.long("notify", 1, 50_000))
		c.call("echo", 2)
		c.reply("echo", 2)
	})
}

// A request that was refused and turns out to be none closes the connection where nothing tells where the next one begins.
func TestRefusedRequestIsMalformed(t *testing.T) {
	_, cfg := crowded(0)
	eachWire(t, cfg, func(c *caller) {
		whole := c.long("echo", 1, 50_000)
		whole[len(whole)-1] = 99
		c.write(append(whole, 0, 0))
		c.exhausted("echo", 1)
		if c.wire.Kind == transport.Buffered {
			c.end()
		}
	})
}

// What a call holds is the chunk that its request lies in, however short it is, until the handler has ended; then it is given back.
func TestMemoryOfCallsInFlight(t *testing.T) {
	b := netio.NewBudget(64 << 20)
	eachWire(t, server.Config{Budget: b}, func(c *caller) {
		c.call("sleep5", 0)
		for i := range 20 { // answered at once, but in turn; the bytes of each fill chunks of their own
			c.write(c.long("notify", 100+i, 60_000))
			c.call("sleep5", 1+i)
		}
		synctest.Wait()
		if held := b.Held(); held < 20*32<<10 {
			c.Errorf("%d bytes are held by 21 calls, and they lie in as many chunks", held)
		}
		for i := range 21 {
			c.reply("sleep5", i)
		}
		synctest.Wait()
		if held := b.Held(); held > 128<<10 {
			c.Errorf("%d bytes are held, and nothing is in flight", held)
		}
		_ = c.conn.Close()
		synctest.Wait()
		if b.Held() != 0 {
			c.Errorf("%d bytes are held by nobody", b.Held())
		}
	})
}

// Answers that wait behind a slow call are counted; one that there is no room for becomes a refusal, in its turn.
func TestAnswerThatMayNotWait(t *testing.T) {
	b := netio.NewBudget(1 << 20)
	eachWire(t, server.Config{Budget: b}, func(c *caller) {
		c.call("sleep5", 1)
		c.write(c.long("echo", 2, 100_000))
		c.write(c.long("echo", 3, 100_000))
		synctest.Wait()
		if held := b.Held(); held < 200_000 || held > 1<<20 {
			c.Errorf("%d bytes are held, and two answers of 100,000 bytes wait", held)
		}
		left := int(1<<20 - b.Held())
		b.Force(left) // others take the rest
		c.call("sleep1", 4)
		c.reply("sleep5", 1)
		for seq := range 2 {
			if m := c.read(); m.Head.Seq != int32(2+seq) || len(m.Body) < 100_000 {
				c.Errorf("%+v with %d bytes", m.Head, len(m.Body))
			}
		}
		c.reply("sleep1", 4)
		b.Give(left)
		_ = c.conn.Close()
		synctest.Wait()
		if b.Held() != 0 {
			c.Errorf("%d bytes are held by nobody", b.Held())
		}
	})
}

// A reply that does not fit is refused with the call's sequence id, and the connection goes on.
func TestReplyThatDoesNotFit(t *testing.T) {
	b := netio.NewBudget(1 << 20)
	eachWire(t, server.Config{Budget: b, Route: func(_ *wire.Head, call *rpc.Call) (rpc.Handler, *rpc.Error) {
		return rpc.HandlerFunc(large), nil
	}}, func(c *caller) {
		c.call("large", 1)
		synctest.Wait()
		if m := c.read(); len(m.Body) != 300_000 {
			c.Fatalf("%+v with %d bytes", m.Head, len(m.Body))
		}
		b.Force(900 << 10)
		c.call("large", 2)
		c.exhausted("large", 2)
		b.Give(900 << 10)
		c.call("large", 3)
		if m := c.read(); len(m.Body) != 300_000 {
			c.Fatalf("%+v with %d bytes", m.Head, len(m.Body))
		}
	})
	if b.Held() != 0 {
		t.Errorf("%d bytes are held by nobody", b.Held())
	}
}

// A caller that neither reads its replies nor leaves room for a refusal is let go of, and what it held is free again. The others are served.
func TestSlowReadersShareTheBudget(t *testing.T) {
	b := netio.NewBudget(1 << 20)
	serve(t, server.Config{Budget: b, Route: func(_ *wire.Head, call *rpc.Call) (rpc.Handler, *rpc.Error) {
		if call.Name == "large" {
			return rpc.HandlerFunc(large), nil
		}
		return rpc.HandlerFunc(func(_ context.Context, call *rpc.Call) (*rpc.Reply, error) {
			return &rpc.Reply{Protocol: call.Protocol, Body: call.Body}, nil
		}), nil
	}}, func(r *rig) {
		var slow []*caller
		for range 20 {
			c := r.dial(buffered)
			for i := range 50 {
				if _, err := c.conn.Write(c.message(wire.Call, "large", i)); err != nil {
					break
				}
			}
			slow = append(slow, c)
			synctest.Wait()
			if held := b.Held(); held > 1<<20+20*8<<10 {
				r.Fatalf("%d bytes are held", held)
			}
		}
		good := r.dial(buffered)
		good.call("echo", 7)
		good.reply("echo", 7)
		time.Sleep(time.Minute + time.Second)
		for _, c := range slow {
			_ = c.conn.Close()
		}
		_ = good.conn.Close()
		synctest.Wait()
		if b.Held() != 0 {
			r.Errorf("%d bytes are held by nobody", b.Held())
		}
	})
}

func large(_ context.Context, call *rpc.Call) (*rpc.Reply, error) {
	b := binary.AppendStop(binary.AppendString(binary.AppendField(nil, wire.String, 0), strings.Repeat("y", 300_000-8)))
	return &rpc.Reply{Protocol: call.Protocol, Body: b}, nil
}

// A request that was refused and is still coming cannot go to another server, which has not seen its beginning: its connection is closed,
// behind the refusal, and does not keep the others from moving.
func TestRefusedRequestDoesNotMove(t *testing.T) {
	_, cfg := crowded(0)
	eachWire(t, cfg, func(c *caller) {
		next := c.successor(server.Config{})
		defer next.end()
		idle := c.dial(c.wire)
		idle.old = c.old
		c.write(c.long("echo", 1, 50_000)[:30_000])
		c.exhausted("echo", 1)
		synctest.Wait()
		if err := c.HandOver(c.Context(), next.Take); err != nil {
			c.Fatal(err)
		}
		c.end()
		idle.call("echo", 2)
		idle.reply("echo", 2)
	})
}
