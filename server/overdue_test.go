package server_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/server"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// A request that does not come whole in time is refused with its sequence id, as far as that had come, and its connection closed, behind
// the answers to the calls before it. The others are not touched.
func TestSlowDrip(t *testing.T) {
	eachWire(t, server.Config{StallTimeout: 10 * time.Second}, func(c *caller) {
		other := c.dial(c.wire)
		start := time.Now()
		c.call("sleep9", 1)
		whole := c.message(wire.Call, "echo", 2)
		go func() {
			for i := range whole[:len(whole)-1] {
				_, _ = c.conn.Write(whole[i : i+1])
				time.Sleep(300 * time.Millisecond)
			}
		}()
		c.reply("sleep9", 1)
		if text := c.exception("echo", 2, 6); !strings.HasPrefix(text, "DEADLINE_EXCEEDED: ") {
			c.Errorf("refused with %q", text)
		}
		c.end()
		if d := time.Since(start); d < 10*time.Second || d > 12*time.Second {
			c.Errorf("let go of after %v, want 10s", d)
		}
		if got := c.Snapshot().Malformed; got[wire.Stalled] != 1 || len(got) != 1 {
			c.Errorf("counted %v, want one stalled", got)
		}
		other.call("echo", 3)
		other.reply("echo", 3)
		time.Sleep(10 * time.Second) // the writer above ends
	})
}

// Of a request of which not even the head has come nothing is said.
func TestSlowHead(t *testing.T) {
	eachWire(t, server.Config{}, func(c *caller) {
		c.write(c.message(wire.Call, "echo", 1)[:5])
		start := time.Now()
		c.end()
		if d := time.Since(start); d != time.Minute {
			c.Errorf("let go of after %v, want the default of a minute", d)
		}
	})
}

// A long request may take a second more for each 64 KiB: a slow line is no attack. Between calls a connection may be idle for ever.
func TestSlowLine(t *testing.T) {
	eachWire(t, server.Config{StallTimeout: 10 * time.Second}, func(c *caller) {
		for seq := range 3 {
			whole := c.long("echo", seq, 1<<20)
			for len(whole) > 0 { // 25 s in all
				n := min(len(whole), 42_000)
				c.write(whole[:n])
				whole = whole[n:]
				time.Sleep(time.Second)
			}
			if m := c.read(); m.Head.Seq != int32(seq) || m.Head.Type != wire.Reply {
				c.Fatalf("%+v", m.Head)
			}
			time.Sleep(24 * time.Hour)
		}
	})
}

// A request that waits because its connection has calls enough in flight is not slow: it is we who do not read.
func TestPausedRequestIsNotSlow(t *testing.T) {
	eachWire(t, server.Config{StallTimeout: time.Second, MaxPipelined: 1}, func(c *caller) {
		whole := c.message(wire.Call, "echo", 2)
		c.write(append(c.message(wire.Call, "sleep9", 1), whole[:len(whole)-2]...))
		synctest.Wait()
		c.reply("sleep9", 1)
		c.write(whole[len(whole)-2:])
		c.reply("echo", 2)
	})
}

// A caller that reads nothing is let go of; one that reads slowly gets all of its replies.
func TestSlowReader(t *testing.T) {
	serve(t, server.Config{StallTimeout: 10 * time.Second, Route: func(_ *wire.Head, _ *rpc.Call) (rpc.Handler, *rpc.Error) {
		return rpc.HandlerFunc(large), nil
	}}, func(r *rig) {
		dead, slow := r.dial(buffered), r.dial(buffered)
		dead.call("large", 1)
		slow.call("large", 2)
		synctest.Wait()
		time.Sleep(9 * time.Second)
		if n := r.Snapshot().Connections; n != 2 {
			r.Errorf("%d connections after 9s, want both", n)
		}
		got := 0
		for buf := make([]byte, 20_000); got < 300_000; time.Sleep(3 * time.Second) {
			n, err := slow.conn.Read(buf)
			if err != nil {
				r.Fatalf("after %d bytes: %v", got, err)
			}
			got += n
		}
		if n := r.Snapshot().Connections; n != 1 {
			r.Errorf("%d connections, want that of the slow one", n)
		}
	})
}

// One address may have most connections and not all; what it opens beyond is closed at once, and callers elsewhere are served.
func TestOneAddressCannotTakeEveryConnection(t *testing.T) {
	serve(t, server.Config{MaxConnections: 16}, func(r *rig) {
		var crowd []*caller
		for range 30 {
			crowd = append(crowd, r.dialFrom("10.0.0.66", buffered))
		}
		synctest.Wait()
		if s := r.Snapshot(); s.Connections != 14 || s.Rejected != 16 {
			r.Errorf("%d connections, %d rejected; want 14 and 16", s.Connections, s.Rejected)
		}
		other := r.dialFrom("10.0.0.67", buffered)
		other.call("echo", 1)
		other.reply("echo", 1)
		for _, c := range crowd[14:] {
			c.end()
		}
		_ = crowd[0].conn.Close()
		synctest.Wait()
		again := r.dialFrom("10.0.0.66", buffered)
		again.call("echo", 2)
		again.reply("echo", 2)
	})
}

// Who waits in one turn: callers of one address, or of one IPv6 network; on this machine each connection.
func TestCallersShare(t *testing.T) {
	for _, test := range []struct{ a, b string }{
		{"10.0.0.1", "10.0.0.1"}, {"2001:db8::1", "2001:db8::2:3"}, {"::ffff:10.0.0.1", "10.0.0.1"},
	} {
		if x, y := share(t, test.a), share(t, test.b); x != y {
			t.Errorf("%s is in %q, %s in %q; want one", test.a, x, test.b, y)
		}
	}
	for _, test := range []struct{ a, b string }{
		{"10.0.0.1", "10.0.0.2"}, {"2001:db8::1", "2001:db8:0:1::1"}, {"127.0.0.1", "127.0.0.2"}, {"::1", "::2"},
	} {
		if x, y := share(t, test.a), share(t, test.b); x == y {
			t.Errorf("%s and %s are both in %q", test.a, test.b, x)
		}
	}
}

// share returns the group of a call that comes from host.
func share(t *testing.T, host string) (group string) {
	serve(t, server.Config{}, func(r *rig) {
		c := r.dialFrom(host, transport.Wire{Kind: transport.Framed, Protocol: wire.Binary})
		c.call("echo", 1)
		c.reply("echo", 1)
		call := <-r.begun
		group = call.Caller.Share() + strings.Repeat(" of "+host, strings.Count(call.Caller.Share(), "connection"))
	})
	return group
}
