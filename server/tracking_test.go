package server_test

import (
	"testing"
	"testing/synctest"

	"github.com/thriftloom/thriftloom/server"
	"github.com/thriftloom/thriftloom/tracking"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/message"
)

// shake says the handshake, and expects the grant.
func (c *caller) shake(h tracking.Handshake, want string) {
	c.Helper()
	head := wire.Head{Name: tracking.Method, Type: wire.Call, NonStrict: c.old}
	c.write(transport.Append(nil, transport.Message{Wire: c.wire, Head: head, Body: tracking.AppendHandshake(nil, c.wire.Protocol, h)}))
	m := c.read()
	if head.Type = wire.Reply; m.Head != head || string(m.Body) != want || m.Tracking != nil {
		c.Fatalf("read %+v, % x behind % x, want % x", m.Head, m.Body, m.Tracking, want)
	}
}

// tracked sends a call behind a header.
func (c *caller) tracked(name string, seq int, header []byte) {
	c.Helper()
	head := wire.Head{Name: name, Seq: int32(seq), Type: wire.Call, NonStrict: c.old}
	c.write(transport.Append(nil, transport.Message{Wire: c.wire, Head: head, Tracking: header, Body: body(seq)}))
}

func (c *caller) header() []byte {
	return tracking.AppendRequest(nil, c.wire.Protocol, &tracking.Header{RequestID: "rid", Seq: "1", Meta: map[string]string{"k": "v"}})
}

func (c *caller) granted() string {
	return string(tracking.AppendGrant(nil, c.wire.Protocol, tracking.Handshake{Version: 2}))
}

// A caller of level 2 gets a header before each reply and each exception; the handshake is nobody's call.
func TestTrackingLevel2(t *testing.T) {
	eachWire(t, server.Config{}, func(c *caller) {
		c.shake(tracking.Handshake{AppID: "shop", Version: 2}, c.granted())
		for i, name := range []string{"echo", "unknown", "crash"} {
			c.tracked(name, i, c.header())
			m := c.read()
			if (m.Head.Type == wire.Reply) != (name == "echo") || m.Head.Seq != int32(i) {
				c.Fatalf("read %+v", m.Head)
			}
			if _, err := tracking.ParseResponse(c.wire.Protocol, m.Tracking); m.Tracking == nil || err != nil {
				c.Errorf("%s is answered behind % x: %v", name, m.Tracking, err)
			}
		}
		if call := <-c.begun; call.Caller.Name != "shop" || call.Tracking.RequestID != "rid" || call.Tracking.Meta["k"] != "v" {
			c.Errorf("the handler was called with %+v by %q", call.Tracking, call.Caller.Name)
		}
		if s := c.Snapshot(); s.Calls != 3 {
			c.Errorf("%d calls are counted, want 3", s.Calls)
		}
	})
}

// A caller that does not say its version is not told ours, and gets no headers; nor does one that sends headers without a handshake.
func TestTrackingLevel1(t *testing.T) {
	for _, shakes := range []bool{true, false} {
		eachWire(t, server.Config{}, func(c *caller) {
			if shakes {
				c.shake(tracking.Handshake{}, "\x00")
			}
			c.tracked("echo", 1, c.header())
			c.reply("echo", 1)
			c.tracked("unknown", 2, c.header())
			c.exception("unknown", 2, 1)
			c.call("echo", 3)
			c.reply("echo", 3)
		})
	}
}

// Where the wire cannot carry headers the handshake is an unknown method, whatever the routes would take, and calls go on without.
func TestTrackingRefused(t *testing.T) {
	for _, w := range []transport.Wire{
		{Kind: transport.Header, Protocol: wire.Binary}, {Kind: transport.Header, Protocol: wire.Compact}, overHTTP,
		{Kind: transport.Buffered, Protocol: wire.JSON}, {Kind: transport.Framed, Protocol: wire.JSON}, {Kind: transport.Buffered, Protocol: wire.ApacheJSON},
	} {
		t.Run(w.Kind.String()+"/"+w.Protocol.String(), func(t *testing.T) {
			serve(t, server.Config{}, func(r *rig) {
				c := r.dial(w)
				args := message.Empty(w.Protocol)
				if tracking.Known(w.Protocol) {
					args = tracking.AppendHandshake(nil, w.Protocol, tracking.Handshake{AppID: "shop", Version: 2})
				}
				for i, name := range []string{tracking.Method, "echo"} {
					c.write(transport.Append(nil, transport.Message{Wire: w, Head: wire.Head{Name: name, Seq: int32(i), Type: wire.Call}, Body: args}))
					m := c.read()
					typ, text, _ := message.ParseApplication(w.Protocol, m.Body, wire.Limits{})
					if refused := m.Head.Type == wire.Exception && typ == 1; refused != (name == tracking.Method) || m.Tracking != nil || m.Head.Name != name {
						t.Errorf("%s: %+v, %d %q behind % x", name, m.Head, typ, text, m.Tracking)
					}
				}
				if call := <-r.begun; call.Name != "echo" || call.Caller.Name != "" {
					t.Errorf("%s was called by %q", call.Name, call.Caller.Name)
				}
			})
		})
	}
}

// A header that cannot be read is bytes that are no message: they are counted, and the connection ends.
func TestTrackingHeaderMalformed(t *testing.T) {
	var reasons []wire.Reason
	serve(t, server.Config{OnMalformed: func(r wire.Reason, _ error) { reasons = append(reasons, r) }}, func(r *rig) {
		c := r.dial(buffered)
		c.write([]byte("\x0b\x00\x01\xff\xff\xff\xff"))
		c.end()
		if len(reasons) != 1 || reasons[0] != wire.NegativeSize {
			t.Errorf("counted %v", reasons)
		}
	})
}

// What was agreed on goes along when a connection is handed over.
func TestTrackedConnectionsMove(t *testing.T) {
	eachWire(t, server.Config{}, func(c *caller) {
		next := c.successor(server.Config{})
		defer next.end()
		c.shake(tracking.Handshake{AppID: "shop", Version: 2}, c.granted())
		synctest.Wait()
		if err := c.HandOver(c.Context(), next.Take); err != nil {
			c.Fatal(err)
		}
		c.tracked("unknown", 3, c.header())
		if m := c.read(); m.Head.Type != wire.Exception || m.Tracking == nil {
			c.Errorf("read %+v behind % x", m.Head, m.Tracking)
		}
	})
}
