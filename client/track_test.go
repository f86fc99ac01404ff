package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/tracking"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// tracked runs f in a bubble, over a connection that has asked the peer for tracking; err is Track's.
func tracked(t *testing.T, script func(*talk), f func(t *testing.T, c *client.Conn, o *owner, err error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		network := memnet.New()
		l, err := network.Listen("peer:1")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			split, _ := transport.NewSplitter(unframed, wire.Limits{})
			script(&talk{T: t, Conn: c, split: split})
		})
		engine := netio.NewPortable()
		wg.Go(func() { _ = engine.Run(ctx) })
		conn, err := client.Dial(ctx, engine, "peer:1", client.Config{Wire: unframed, Dialer: network.Dial, Greets: true})
		if err != nil {
			t.Fatal(err)
		}
		o := new(owner)
		f(t, conn, o, conn.Track(ctx, time.Now().Add(time.Second), "shop", o))
		conn.Close()
		cancel()
		l.Close()
		wg.Wait()
	})
}

// grants is a script that grants tracking, as a peer does that says its version, or does not (0), and then hands on.
func grants(version int32, then func(*talk)) func(*talk) {
	return func(p *talk) {
		m, ok := p.read()
		h, err := tracking.ParseHandshake(wire.Binary, m.Body)
		if want := (tracking.Handshake{AppID: "shop", Version: 2}); !ok || m.Head.Name != tracking.Method || m.Tracking != nil || err != nil || h != want {
			p.Errorf("the connection began with %+v % x behind % x", m.Head, m.Body, m.Tracking)
		}
		p.answer(m, wire.Reply, nil, tracking.AppendGrant(nil, wire.Binary, tracking.Handshake{Version: version}))
		then(p)
	}
}

func (p *talk) answer(m transport.Message, typ wire.MessageType, header, body []byte) {
	m.Head.Type, m.Tracking, m.Body = typ, header, body
	_, _ = p.Conn.Write(transport.Append(nil, m))
}

var unknownMethod = binary.AppendApplication(nil, 1, "")

// A peer of either level gets a header before each call, and before the fence behind a oneway. Before replies one may stand at level 2;
// before exceptions it may be missing, as ThriftPy has it.
func TestTrackedCalls(t *testing.T) {
	for _, level := range []int32{1, 2} {
		t.Run(fmt.Sprint("level ", level), func(t *testing.T) {
			var seen []string
			version := level - level%2 // level 1 says none
			script := grants(version, func(p *talk) {
				for m, ok := p.read(); ok; m, ok = p.read() {
					h, err := tracking.ParseRequest(wire.Binary, m.Tracking)
					if err != nil {
						p.Errorf("%s came behind % x: %v", m.Head.Name, m.Tracking, err)
						return
					}
					seen = append(seen, fmt.Sprint(m.Head.Name, " ", h.RequestID, " ", h.Seq, " ", h.Meta))
					switch {
					case m.Head.Type == wire.Oneway:
					case m.Head.Name != "get":
						p.answer(m, wire.Exception, nil, unknownMethod)
					case level == 2:
						p.answer(m, wire.Reply, tracking.AppendResponse(nil, wire.Binary, map[string]string{"by": "peer"}), []byte{0})
					default:
						p.answer(m, wire.Reply, nil, []byte{0})
					}
				}
			})
			tracked(t, script, func(t *testing.T, c *client.Conn, o *owner, err error) {
				if err != nil {
					t.Fatal(err)
				}
				get := call("get", time.Second)
				get.Tracking = &tracking.Header{RequestID: "rid", Seq: "1.2", Meta: map[string]string{"k": "v"}}
				reply, err := c.Handle(t.Context(), get)
				if err != nil || (reply.Meta["by"] == "peer") != (level == 2) {
					t.Fatalf("%+v, %v", reply, err)
				}
				plain := call("unknown", time.Second)
				plain.Headers = []transport.KV{{Key: "Traceparent", Value: "00-1"}, {Key: "other", Value: "x"}}
				_, err = c.Handle(t.Context(), plain)
				expect(t, err, rpc.UnknownMethod, rpc.Answered, rpc.AppException)
				oneway := call("note", time.Second)
				oneway.Oneway = true
				if _, err := c.Handle(t.Context(), oneway); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				expectOwner(t, o, 0, true, true, true)
				id := oneway.ID.String()
				want := []string{
					"get rid 1.2 map[k:v]", "unknown " + plain.ID.String() + " 1 map[traceparent:00-1]",
					"note " + id + " 1 map[]", client.FenceMethod + " " + id + " 1 map[]",
				}
				if d := cmp.Diff(want, seen); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

// A peer that does not know the handshake is called as ever.
func TestTrackingUnknown(t *testing.T) {
	script := func(p *talk) {
		for m, ok := p.read(); ok; m, ok = p.read() {
			if m.Tracking != nil {
				p.Errorf("%s came behind % x", m.Head.Name, m.Tracking)
			}
			if m.Head.Name == "get" {
				p.answer(m, wire.Reply, nil, []byte{0})
				continue
			}
			p.answer(m, wire.Exception, nil, unknownMethod)
		}
	}
	tracked(t, script, func(t *testing.T, c *client.Conn, o *owner, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Handle(t.Context(), call("get", time.Second)); err != nil {
			t.Error(err)
		}
		expectOwner(t, o, 0, true)
	})
}

// What may become of the handshake: a close, and what is no answer to it, say that the peer does not track; silence fails the call that was
// to follow, which was not sent.
func TestTrackingHandshakeFails(t *testing.T) {
	for name, script := range map[string]func(*talk){
		"close": func(p *talk) { p.read() },
		"a lie": func(p *talk) {
			m, _ := p.read()
			p.answer(m, wire.Reply, nil, []byte("\x08\x00\x01\x00\x00\x00\x02\x00\x00"))
		},
		"header": func(p *talk) { m, _ := p.read(); p.answer(m, wire.Reply, []byte{0}, []byte{0}) },
	} {
		t.Run(name, func(t *testing.T) {
			tracked(t, script, func(t *testing.T, _ *client.Conn, o *owner, err error) {
				if !errors.Is(err, client.ErrPlain) {
					t.Errorf("the error is %v", err)
				}
				expectOwner(t, o, 0)
			})
		})
	}
	silence := func(p *talk) { p.read(); p.read() }
	tracked(t, silence, func(t *testing.T, _ *client.Conn, o *owner, err error) {
		expect(t, err, rpc.DeadlineExceeded, rpc.NotSent, rpc.ReplyTimeout)
		expectOwner(t, o, 0)
	})
}

// A header before a reply that was not agreed on is no reply.
func TestTrackingHeaderUnasked(t *testing.T) {
	script := grants(0, func(p *talk) { m, _ := p.read(); p.answer(m, wire.Reply, []byte{0}, []byte{0}) })
	tracked(t, script, func(t *testing.T, c *client.Conn, _ *owner, err error) {
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Handle(t.Context(), call("get", time.Second))
		expect(t, err, rpc.Unavailable, rpc.Unknown, rpc.BadReply)
	})
}
