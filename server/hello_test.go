package server_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/server"
	"github.com/thriftloom/thriftloom/wire"
)

// hello says hello and expects the grant.
func (c *caller) hello(seq int) {
	c.Helper()
	c.call(rpc.HelloMethod, seq)
	m := c.read()
	want := wire.Head{Name: rpc.HelloMethod, Seq: int32(seq), Type: wire.Reply, NonStrict: c.old}
	if m.Head != want || len(m.Body) != 1 {
		c.Fatalf("read %+v % x, want the grant %+v", m.Head, m.Body, want)
	}
}

// A caller that says hello gets its replies as they are ready, whatever came before them. Hello is nobody's call.
func TestHelloGrantsRepliesAsTheyAreReady(t *testing.T) {
	eachWire(t, server.Config{}, func(c *caller) {
		c.hello(1)
		start := time.Now()
		c.write(append(append(c.message(wire.Call, "sleep3", 7), c.message(wire.Oneway, "notify1", 8)...), c.message(wire.Call, "sleep1", 9)...))
		c.call("unknown", 10)
		c.exception("unknown", 10, 1)
		c.reply("sleep1", 9)
		if d := time.Since(start); d != time.Second {
			c.Errorf("the quick one took %v, want 1s", d)
		}
		c.reply("sleep3", 7)
		if n := len(c.called()); n != 3 {
			c.Errorf("%d handlers were called, want 3", n)
		}
		if s := c.Snapshot(); s.Calls != 4 {
			c.Errorf("%d calls are counted, want 4: hello is none", s.Calls)
		}
	})
}

// Hello is answered behind what came before it, which is answered in order; multiplexed callers may say it with any service's name.
func TestHelloInTheMiddle(t *testing.T) {
	eachWire(t, server.Config{}, func(c *caller) {
		c.call("sleep2", 1)
		c.call("sleep1", 2)
		c.call("any:"+rpc.HelloMethod, 3)
		c.call("sleep5", 4)
		c.call("sleep4", 5)
		c.reply("sleep2", 1)
		c.reply("sleep1", 2)
		if m := c.read(); m.Head.Name != rpc.HelloMethod || m.Head.Seq != 3 || m.Head.Type != wire.Reply {
			c.Fatalf("read %+v, want the grant", m.Head)
		}
		c.reply("sleep4", 5)
		c.reply("sleep5", 4)
	})
}

// Where calls start one after the other hello is an unknown method, and nothing changes. As a oneway it is a method like others.
func TestHelloIsRefused(t *testing.T) {
	eachWire(t, server.Config{Ordered: true}, func(c *caller) {
		c.call(rpc.HelloMethod, 1)
		c.exception(rpc.HelloMethod, 1, 1)
		c.call("sleep2", 2)
		c.call("sleep1", 3)
		c.reply("sleep2", 2)
		c.reply("sleep1", 3)
		c.write(c.message(wire.Oneway, rpc.HelloMethod, 4))
		if d := cmp.Diff([]string{"sleep2", "sleep1", rpc.HelloMethod}, c.called()); d != "" {
			c.Error(d)
		}
	})
}

// The pipeline bound holds: a caller with that many calls in flight is not read from until one of them, any of them, is answered.
func TestPipelineBoundOfUnorderedReplies(t *testing.T) {
	serve(t, server.Config{MaxPipelined: 2}, func(r *rig) {
		c := r.dial(buffered)
		c.hello(1)
		start := time.Now()
		for i, name := range []string{"sleep5", "sleep1", "sleep2"} {
			c.call(name, i+2)
		}
		synctest.Wait()
		if n := c.running.Load(); n != 2 {
			t.Errorf("%d handlers run, want 2", n)
		}
		c.reply("sleep1", 3)
		c.reply("sleep2", 4)
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("took %v, want 1+2 s", d)
		}
		c.reply("sleep5", 2)
	})
}

// goodbye checks that the next message says that seq was the last call.
func (c *caller) goodbye(seq int) {
	c.Helper()
	if m := c.read(); m.Head.Name != rpc.GoodbyeMethod || m.Head.Seq != int32(seq) || m.Head.Type != wire.Reply {
		c.Fatalf("read %+v, want a goodbye behind %d", m.Head, seq)
	}
}

// Drain says which call was the last that was read, answers those up to it, each as it is ready, then closes.
func TestDrainOfUnorderedReplies(t *testing.T) {
	eachWire(t, server.Config{}, func(c *caller) {
		c.hello(1)
		c.call("sleep3", 2)
		c.call("sleep1", 3)
		synctest.Wait()
		drained := make(chan error, 1)
		go func() { drained <- c.Drain(c.Context()) }()
		synctest.Wait()
		c.call("echo", 4) // too late
		c.goodbye(3)
		c.reply("sleep1", 3)
		c.reply("sleep3", 2)
		c.end()
		_ = c.conn.Close()
		if err := <-drained; err != nil {
			c.Error(err)
		}
		if n := len(c.called()); n != 2 {
			c.Errorf("%d calls were begun, want the two that came in time", n)
		}
	})
}

// A half-closed caller is answered, each call as it is ready.
func TestHalfClosedCallerOfUnorderedReplies(t *testing.T) {
	serve(t, server.Config{}, func(r *rig) {
		c := r.dial(buffered)
		c.hello(1)
		c.call("sleep3", 2)
		c.call("sleep1", 3)
		_ = c.conn.CloseWrite()
		c.reply("sleep1", 3)
		c.reply("sleep3", 2)
		c.end()
	})
}

// A call whose handler crashed closes the connection where that is wanted, behind the answers to the others.
func TestCrashAmongUnorderedReplies(t *testing.T) {
	serve(t, server.Config{Crash: func(*rpc.Call) bool { return true }}, func(r *rig) {
		c := r.dial(buffered)
		c.hello(1)
		c.call("sleep2", 2)
		c.call("crash", 3)
		c.goodbye(3)
		c.reply("sleep2", 2)
		c.end()
	})
}

// The grant goes along when a connection is handed over.
func TestUnorderedConnectionsMove(t *testing.T) {
	eachWire(t, server.Config{}, func(c *caller) {
		next := c.successor(server.Config{})
		defer next.end()
		c.hello(1)
		c.call("sleep1", 2)
		synctest.Wait()
		if err := c.HandOver(c.Context(), next.Take); err != nil {
			c.Fatal(err)
		}
		c.reply("sleep1", 2)
		c.call("sleep2", 3)
		c.call("sleep1", 4)
		c.reply("sleep1", 4)
		c.reply("sleep2", 3)
		if n := len(next.called()); n != 2 {
			c.Errorf("the next server was called %d times, want 2", n)
		}
	})
}
