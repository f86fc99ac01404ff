package server_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/server"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/message"
)

// A reply goes out in the wire that the call came in, with the caller's own sequence id and the bare method name.
func TestReplyIsInTheCallersWire(t *testing.T) {
	eachWire(t, server.Config{}, func(c *caller) {
		c.call("echo", 7)
		c.reply("echo", 7)
		c.call("Users:echo", -1)
		c.reply("echo", -1)
	})
}

// A reply whose headers the caller's transport cannot carry is an error that says so, and not a reply without them. Where no headers are
// carried at all they say nothing.
func TestReplyHeadersThatDoNotFit(t *testing.T) {
	for _, w := range []transport.Wire{buffered, {Kind: transport.Framed, Protocol: wire.Binary}, {Kind: transport.Header, Protocol: wire.Binary}, overHTTP} {
		serve(t, server.Config{}, func(r *rig) {
			c := r.dial(w)
			c.call("headers", 7)
			m := c.read()
			_, text, _ := message.ParseApplication(w.Protocol, m.Body, wire.Limits{})
			refused := strings.Contains(text, `the reply: THeader cannot carry the header "": 257 headers, the limit is 256`)
			if want := w.Kind == transport.Header; refused != want || (m.Head.Type == wire.Exception) != want {
				r.Errorf("%s: %s %q", w.Kind, m.Head.Type, text)
			}
			c.call("echo", 8)
			c.reply("echo", 8)
		})
	}
}

// The bytes themselves, as ThriftPy writes and reads them.
func TestBytesOfOneCall(t *testing.T) {
	serve(t, server.Config{}, func(r *rig) {
		c := r.dial(buffered)
		c.write([]byte{
			0x80, 0x01, 0, 1, // strict, call
			0, 0, 0, 4, 'e', 'c', 'h', 'o',
			0, 0, 0, 9, // sequence id
			0, // no arguments
		})
		want := []byte{0x80, 0x01, 0, 2, 0, 0, 0, 4, 'e', 'c', 'h', 'o', 0, 0, 0, 9, 0}
		got := make([]byte, 100)
		n, err := c.conn.Read(got)
		if d := cmp.Diff(want, got[:n]); err != nil || d != "" {
			t.Errorf("%v, %s", err, d)
		}
	})
}

// However the bytes of requests are cut, each is answered; a caller that takes its time holds no handler.
func TestRequestsInPieces(t *testing.T) {
	eachWire(t, server.Config{}, func(c *caller) {
		all := append(c.message(wire.Call, "echo", 1), c.message(wire.Call, "echo", 2)...)
		for i := range all {
			c.write(all[i : i+1])
			time.Sleep(time.Second)
			if n := c.running.Load(); n != 0 {
				c.Fatalf("%d handlers run after byte %d", n, i)
			}
		}
		c.reply("echo", 1)
		c.reply("echo", 2)
	})
}

// The call that a handler gets says all that is known of it.
func TestCallIsFilled(t *testing.T) {
	serve(t, server.Config{}, func(r *rig) {
		c := r.dial(buffered)
		whole := c.message(wire.Call, "Users:echo", 5)
		c.write(whole[:10])
		time.Sleep(time.Second)
		now := time.Now()
		c.write(whole[10:])
		c.reply("echo", 5)
		got := <-r.begun
		want := rpc.Call{ID: got.ID, Service: "Users", Name: "echo", Protocol: wire.Binary, Body: body(5),
			Caller: rpc.Caller{Address: c.conn.LocalAddr().String(), Group: "connection 1"}, Start: now}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(rpc.Record{})); d != "" || got.ID == 0 {
			t.Error(d)
		}
	})
}

// Calls of one connection run at the same time, start in order, and are answered in order.
func TestPipelinedCallsRunTogetherAndAreAnsweredInOrder(t *testing.T) {
	eachWire(t, server.Config{}, func(c *caller) {
		start := time.Now()
		c.write(append(append(c.message(wire.Call, "sleep3", 1), c.message(wire.Call, "sleep1", 2)...), c.message(wire.Call, "fail", 3)...))
		synctest.Wait()
		if n := c.running.Load(); n != 2 {
			c.Errorf("%d handlers run, want both that sleep", n)
		}
		c.reply("sleep3", 1)
		c.reply("sleep1", 2)
		c.exception("fail", 3, 6)
		if d := time.Since(start); d != 3*time.Second {
			c.Errorf("took %v, want the 3s of the slowest", d)
		}
	})
}

// Ordered: a call starts only when the one before it has ended, oneways included.
func TestOrderedCallsStartOneAfterTheOther(t *testing.T) {
	eachWire(t, server.Config{Ordered: true}, func(c *caller) {
		start := time.Now()
		c.call("sleep2", 1)
		c.write(c.message(wire.Oneway, "notify3", 2))
		c.call("sleep1", 3)
		synctest.Wait()
		if d := cmp.Diff([]string{"sleep2"}, c.called()); d != "" {
			c.Error(d)
		}
		c.reply("sleep2", 1)
		c.reply("sleep1", 3)
		if d := time.Since(start); d != 6*time.Second {
			c.Errorf("took %v, want 2+3+1 s", d)
		}
		if d := cmp.Diff([]string{"notify3", "sleep1"}, c.called()); d != "" {
			c.Error(d)
		}
	})
}

// A oneway gets nothing back, whatever happens to it and whatever type its message has; what follows it is answered.
func TestOnewayGetsNothingBack(t *testing.T) {
	tests := []struct {
		name   string
		method string
		typ    wire.MessageType
		crash  bool
	}{
		{"done", "notify", wire.Oneway, false},
		{"sent as a call, as old ThriftPy does", "notify", wire.Call, false},
		{"panics", "notifyPanic", wire.Oneway, false},
		{"panics where crashes close", "notifyPanic", wire.Call, true},
		{"unknown method", "unknown", wire.Oneway, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := server.Config{Crash: func(*rpc.Call) bool { return test.crash }}
			eachWire(t, cfg, func(c *caller) {
				c.write(c.message(test.typ, test.method, 1))
				c.silent()
				c.call("echo", 2)
				c.reply("echo", 2)
			})
		})
	}
}

// A oneway that takes long does not hold up the answers behind it.
func TestOnewayIsInNobodysWay(t *testing.T) {
	eachWire(t, server.Config{}, func(c *caller) {
		start := time.Now()
		c.write(c.message(wire.Oneway, "notify9", 1))
		c.call("echo", 2)
		c.reply("echo", 2)
		if d := time.Since(start); d != 0 {
			c.Errorf("answered after %v", d)
		}
	})
}

// The IDL decides: a message of type ONEWAY for a method with a reply is answered, as ThriftPy does.
func TestOnewayTypeOfAMethodWithAReply(t *testing.T) {
	eachWire(t, server.Config{}, func(c *caller) {
		c.write(c.message(wire.Oneway, "echo", 1))
		c.reply("echo", 1)
	})
}

// A failure is a TApplicationException with the code's type, a text without addresses, and the connection goes on.
func TestFailuresAreExceptions(t *testing.T) {
	tests := []struct {
		method string
		typ    int32
		text   string
	}{
		{"fail", 6, "UNAVAILABLE: cluster Users; call "},
		{"crash", 6, "HANDLER_FAILED: cluster Users: connection closed; call "},
		{"panic", 6, "HANDLER_FAILED: Users: the handler ended without an answer; call "},
		{"goexit", 6, "HANDLER_FAILED: Users: the handler ended without an answer; call "},
		{"nothing", 6, "INTERNAL_ERROR: Users: the handler returned neither reply nor error; call "},
		{"compact", 6, "INTERNAL_ERROR: Users: the reply is in compact, the call in binary; call "},
		{"unknown", 1, "UNKNOWN_METHOD: route: no method unknown; call "},
		{"peer", 42, "the peer's own"},
	}
	for _, test := range tests {
		t.Run(test.method, func(t *testing.T) {
			eachWire(t, server.Config{}, func(c *caller) {
				c.call("Users:"+test.method, 3)
				text := c.exception(test.method, 3, test.typ)
				if !strings.HasPrefix(text, test.text) || strings.Contains(text, "10.9.9.9") {
					c.Errorf("text %q, want %q…", text, test.text)
				}
				c.call("echo", 4)
				c.reply("echo", 4)
			})
		})
	}
}

// Where Crash says so, a crash closes the connection without an answer, behind the answers before it, and nothing more is taken.
func TestCrashClosesTheConnection(t *testing.T) {
	cfg := server.Config{Crash: func(call *rpc.Call) bool { return call.Service == "Users" && call.Name == "crash1" }}
	eachWire(t, cfg, func(c *caller) {
		c.call("sleep2", 1)
		c.call("crash1", 2)
		time.Sleep(1500 * time.Millisecond)
		c.call("late", 3)
		c.reply("sleep2", 1)
		c.end()
		if d := cmp.Diff([]string{"crash1", "sleep2"}, slices.Sorted(slices.Values(c.called()))); d != "" {
			c.Error(d)
		}
	})
	eachWire(t, cfg, func(c *caller) {
		c.call("crash", 1)
		c.exception("crash", 1, 6)
	})
}

// A message that only a server sends is answered with type 2, and the connection goes on.
func TestRepliesSentToAServer(t *testing.T) {
	for _, typ := range []wire.MessageType{wire.Reply, wire.Exception} {
		eachWire(t, server.Config{}, func(c *caller) {
			c.write(c.message(typ, "echo", 1))
			c.exception("echo", 1, 2)
			c.call("echo", 2)
			c.reply("echo", 2)
			if names := c.called(); len(names) != 1 {
				c.Errorf("handlers were called for %v", names)
			}
		})
	}
}

// Past MaxPipelined reading pauses; every call is answered in the end, and never more than that many are in flight.
func TestPipeliningIsBounded(t *testing.T) {
	for _, split := range []int{0, 1} {
		serve(t, server.Config{MaxPipelined: 3}, func(r *rig) {
			c := r.dial(buffered)
			c.conn.SetFaults(memnet.Faults{WriteBytes: split})
			go func() {
				for i := range 20 {
					_, _ = c.conn.Write(c.message(wire.Call, "sleep1", i))
				}
			}()
			for i := range 20 {
				synctest.Wait()
				if n := r.running.Load(); n > 3 {
					t.Fatalf("%d handlers run", n)
				}
				c.reply("sleep1", i)
			}
		})
	}
}

// A reply of many megabytes reaches a slow reader whole, while others are served.
func TestLargeReplyToASlowReader(t *testing.T) {
	serve(t, server.Config{}, func(r *rig) {
		slow, other := r.dial(transport.Wire{Kind: transport.Framed, Protocol: wire.Binary}), r.dial(buffered)
		slow.conn.SetFaults(memnet.Faults{ReadEvery: time.Second, ReadBytes: 4096})
		text := strings.Repeat("x", 1<<20)
		args := append([]byte{0x0b, 0, 1, 0, 0x10, 0, 0}, text...) // string, field 1, length
		args = append(args, 0)
		slow.write(transport.Append(nil, transport.Message{Wire: slow.wire, Head: wire.Head{Name: "echo", Seq: 1, Type: wire.Call}, Body: args}))
		other.call("echo", 2)
		other.reply("echo", 2)
		if m := slow.read(); string(m.Body) != string(args) {
			t.Errorf("%d bytes came back of %d", len(m.Body), len(args))
		}
	})
}
