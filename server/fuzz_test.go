package server

import (
	"bytes"
	"context"
	"encoding/hex"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/thriftloom/thriftloom/internal/allocs"
	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/tracking"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
	"github.com/thriftloom/thriftloom/wire/compact"
)

// sent is a connection that keeps what is sent on it. What is not overridden is not called.
type sent struct {
	netio.Conn
	mu             sync.Mutex
	bytes          []byte
	paused, closed bool
}

func (s *sent) Send(head, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes = append(append(s.bytes, head...), body...)
	return nil
}
func (s *sent) Hold() *netio.Lease   { return nil }
func (s *sent) Pause()               { s.paused = true }
func (s *sent) Resume()              { s.paused = false }
func (s *sent) Finish()              { s.closed = true }
func (s *sent) Close(error)          { s.closed = true }
func (s *sent) LocalAddr() net.Addr  { return memnet.Addr("10.0.0.1:1") }
func (s *sent) RemoteAddr() net.Addr { return memnet.Addr("10.0.0.2:2") }

// Whatever a caller sends, in whatever pieces: no panic; a handler sees whole structs only; each call has one answer, in order, or the
// connection is closed; and what is allocated is bounded by what came.
func FuzzReceive(f *testing.F) {
	for _, text := range []string{
		"80010001 00000003 676574 00000007 0b0001 00000001 61 00", "00000003 676574 01 00000007 00", "00000010 80010001 00000003 676574 00000007 00",
		"80010001 00000003 676574 00000007 63", "00000010 80010001 00000003 676574 00000007 63", "00000004 ffffffff", "80010004 00000001 61 00000000 00",
		"80010002 00000001 61 00000001 00 80010001 00000001 62 00000002 00", "7fffffff 80010001", "80010001 00000001 61 00000001 0f0001 0c 7fffffff",
		"47455420 2f", "160301", "82210003", "00000000", "80010001 00100000",
		"80010001 00000022 5f5f7468726966747079 5f74726163696e67 5f6d6574686f64 5f6e616d65 5f5f7632 00000000 080002 00000002 00", // handshake
		"0b0001 00000003 524944 0b0002 00000001 31 00 80010001 00000003 676574 00000007 00", "0b0001 7fffffff", "80010001 00000003 613a62 00000007 00",
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint8(1))
		f.Add(bytes.Repeat(b, 3), uint8(7))
	}
	f.Fuzz(func(t *testing.T, stream []byte, step uint8) {
		limits := wire.Limits{MessageBytes: 1 << 16}
		calls, noisy := 0, false
		s := New(Config{Limits: limits, Ordered: true, Route: func(_ *wire.Head, _ *rpc.Call) (rpc.Handler, *rpc.Error) {
			return rpc.HandlerFunc(func(_ context.Context, call *rpc.Call) (*rpc.Reply, error) {
				calls++ // one at a time: the listener is ordered
				skip := binary.Skip
				if call.Protocol == wire.Compact {
					skip = compact.Skip
				}
				if n, err := skip(call.Body, wire.Struct, limits); err != nil || n != len(call.Body) {
					noisy = true
				}
				return &rpc.Reply{Protocol: call.Protocol, Body: []byte{0}}, nil
			}), nil
		}})
		var c *conn
		var n *sent
		play := func() {
			n, calls = &sent{}, 0
			c = newConn(context.Background(), s, n, transport.NewDetector(limits, nil))
			var buf []byte
			for rest := stream; len(rest) > 0 && !n.closed; {
				size := min(len(rest), 1+int(step))
				buf, rest = append(buf[:len(buf):len(buf)], rest[:size]...), rest[size:]
				for len(buf) > 0 && !n.closed {
					used, _ := c.Receive(buf)
					s.workers.end()
					if buf = buf[used:]; used == 0 {
						break
					}
				}
			}
			c.Ended()
			s.workers.end()
			c.Closed(nil)
		}
		play()
		if noisy {
			t.Fatal("a handler was given what is no struct")
		}
		if step > 200 { // pieces are put together anew each time: only large ones tell what the server takes
			allocs.Bound(t, 4+1000, len(stream), play)
		}
		if w := c.split.Wire(); w != (transport.Wire{}) {
			answers(t, n.bytes, w, calls)
		} else if len(n.bytes) > 0 {
			t.Fatalf("%x was sent to who has said nothing", n.bytes)
		}
	})
}

// answers checks that what was sent is whole messages, as many at least as calls were answered.
func answers(t *testing.T, b []byte, w transport.Wire, calls int) {
	split, err := transport.NewSplitter(w, wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	replies := 0
	for len(b) > 0 {
		m, used, _, err := split.Split(b)
		if err != nil || used == 0 {
			t.Fatalf("%x is no answer: %v", b, err)
		}
		if m.Head.Type == wire.Reply && m.Head.Name != tracking.Method { // the handshake is nobody's call
			replies++
		}
		b = b[used:]
	}
	if replies > calls {
		t.Fatalf("%d replies to %d calls", replies, calls)
	}
}
