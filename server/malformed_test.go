package server_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/thriftloom/thriftloom/server"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// spoil makes the type code of a message's one field one that Thrift does not know.
func spoil(message []byte) []byte {
	message[len(message)-len(body(0))] = 99
	return message
}

// counting returns a config that counts malformed messages.
func counting(count *atomic.Int64) server.Config {
	return server.Config{OnMalformed: func(reason wire.Reason, err error) {
		if reason != "" && err != nil {
			count.Add(1)
		}
	}}
}

// A malformed message whose head is known is answered with type 7. A frame's length tells where the next one begins, so that the
// connection goes on; without frames it is closed, behind the answers to the calls before it.
func TestMalformedBody(t *testing.T) {
	var count atomic.Int64
	eachWire(t, counting(&count), func(c *caller) {
		c.call("sleep1", 1)
		c.write(spoil(c.message(wire.Call, "Users:echo", 2)))
		c.write(c.message(wire.Call, "echo", 3))
		c.reply("sleep1", 1)
		c.exception("echo", 2, 7)
		if c.wire.Kind == transport.Framed {
			c.reply("echo", 3)
		} else {
			c.end()
		}
		if got := c.Snapshot().Malformed[wire.BadType]; got != 1 {
			c.Errorf("%d counted in the snapshot: %v", got, c.Snapshot().Malformed)
		}
	})
	if count.Load() != 4 {
		t.Errorf("OnMalformed was called %d times, want once a wire", count.Load())
	}
}

// Nobody waits for the answer to a malformed oneway, by its type or by the IDL.
func TestMalformedOnewayIsNotAnswered(t *testing.T) {
	for method, typ := range map[string]wire.MessageType{"notify": wire.Call, "unknown": wire.Oneway} {
		eachWire(t, server.Config{}, func(c *caller) {
			c.write(spoil(c.message(typ, method, 1)))
			if c.wire.Kind == transport.Buffered {
				c.end()
				return
			}
			c.silent()
			c.call("echo", 2)
			c.reply("echo", 2)
		})
	}
}

// Before a head nothing is written: the connection is closed, and the reason counted.
func TestBytesThatAreNoHead(t *testing.T) {
	tests := []struct {
		name   string
		bytes  string
		reason wire.Reason
	}{
		{"garbage", "\xff\xff\xff\xffgarbage that goes on", wire.BadVersion},
		{"http 2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", wire.Unsupported},
		{"tls", "\x16\x03\x01\x02\x00\x01\x00\x01", wire.TLSHello},
		{"frame beyond the limit", "\x7f\xff\xff\xff\x80\x01\x00\x01\x00\x00\x00\x04echo", wire.SizeLimit},
		{"name beyond the limit", "\x80\x01\x00\x01\x7f\xff\xff\xff", wire.SizeLimit},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			serve(t, server.Config{}, func(r *rig) {
				c := r.dial(buffered)
				c.write([]byte(test.bytes))
				c.end()
				if got := r.Snapshot().Malformed; got[test.reason] != 1 || len(got) != 1 {
					t.Errorf("counted %v, want one %s", got, test.reason)
				}
			})
		})
	}
}

// Garbage behind a call is counted once and takes nothing from the call.
func TestGarbageBehindACall(t *testing.T) {
	var count atomic.Int64
	defer func() {
		if count.Load() != 4 {
			t.Errorf("%d malformed messages, want one a wire", count.Load())
		}
	}()
	eachWire(t, counting(&count), func(c *caller) {
		c.write(append(c.message(wire.Call, "sleep2", 1), "\xff\xff\xff\xff and more"...))
		_ = c.conn.CloseWrite()
		c.reply("sleep2", 1)
		c.end()
	})
}

// A caller that ends its connection inside a request is counted, and is answered what it asked before.
func TestRequestCutShort(t *testing.T) {
	eachWire(t, server.Config{}, func(c *caller) {
		c.call("sleep1", 1)
		whole := c.message(wire.Call, "echo", 2)
		c.write(whole[:len(whole)-1])
		_ = c.conn.CloseWrite()
		c.reply("sleep1", 1)
		c.end()
		synctest.Wait()
		if got := c.Snapshot().Malformed; got[wire.Truncated] != 1 || len(got) != 1 {
			c.Errorf("counted %v, want one truncated", got)
		}
	})
}
