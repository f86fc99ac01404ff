package client

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/tracking"
	"github.com/thriftloom/thriftloom/transport"
)

// ErrPlain is the error of Track where the peer has closed the connection instead of an answer: it does not track, on another one.
var ErrPlain = errors.New("the peer ends a connection that begins with ThriftPy's tracking handshake")

// Track asks the peer whether it takes ThriftPy's tracking headers. It is the first call on the connection, made before anybody owns it,
// under the name that this program is to be known by. From then on the connection is owner's, whether the peer tracks or not; each call
// goes out behind a header where it does.
//
// On an error the connection is closed: ErrPlain, or an *rpc.Error with Reach NotSent. The Config must have Greets set. In a protocol that package
// tracking does not know the peer is not asked.
func (c *Conn) Track(ctx context.Context, until time.Time, app string, owner Owner) error {
	p := c.cfg.Wire.Protocol
	if !tracking.Known(p) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.state != idle {
			return ErrPlain
		}
		c.cfg.Owner = owner
		return nil
	}
	reply, err := c.Handle(ctx, &rpc.Call{
		ID: rpc.NewID(), Name: tracking.Method, Protocol: p, Start: time.Now(), Deadline: until,
		Body: tracking.AppendHandshake(nil, p, tracking.Handshake{AppID: app, Version: tracking.Version}),
	})
	e := rpc.AsError(err, "client")
	if e != nil && e.Reach != rpc.Answered {
		c.net.Close(nil)
		if errors.Is(greetError(e), ErrSerial) {
			return ErrPlain
		}
		return e
	}
	level := 0
	if e == nil {
		if level, err = tracking.ParseGrant(p, reply.Body); err != nil {
			c.net.Close(nil)
			return ErrPlain
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != idle {
		return ErrPlain
	}
	c.cfg.Owner, c.calls, c.level = owner, 0, level // as fresh as before
	return nil
}

// header returns what stands before a call; nil where the peer does not track. A call that came without a header begins a chain of its own.
func (c *Conn) header(call *rpc.Call) []byte {
	if c.level < 1 {
		return nil
	}
	h := call.Tracking
	if h == nil {
		h = &tracking.Header{RequestID: call.ID.String(), Seq: "1", Meta: traceMeta(call.Headers)}
	}
	return tracking.AppendRequest(nil, c.cfg.Wire.Protocol, h)
}

// meta takes the header that stood before a reply; ok is false where there must be none, or it cannot be read. Before exceptions ThriftPy's
// servers leave it out.
func (c *Conn) meta(m *transport.Message) (meta map[string]string, ok bool) {
	if m.Tracking == nil {
		return nil, true
	}
	if c.level < 2 {
		return nil, false
	}
	meta, err := tracking.ParseResponse(c.cfg.Wire.Protocol, m.Tracking)
	return meta, err == nil
}

// traceContext are the headers that tracking's meta and a transport's headers hand to each other, under the same names. Source: W3C Trace
// Context and Baggage.
var traceContext = []string{"traceparent", "tracestate", "baggage"}

// traceMeta is what of the headers goes into meta. None is invented.
func traceMeta(headers []transport.KV) (meta map[string]string) {
	for _, h := range headers {
		for _, name := range traceContext {
			if strings.EqualFold(h.Key, name) {
				if meta == nil {
					meta = map[string]string{}
				}
				meta[name] = h.Value
			}
		}
	}
	return meta
}

// headers are the call's own, and what of its meta is a header too.
func headers(call *rpc.Call) []transport.KV {
	if call.Tracking == nil {
		return call.Headers
	}
	all := call.Headers[:len(call.Headers):len(call.Headers)]
	for _, name := range traceContext {
		value, ok := call.Tracking.Meta[name]
		for _, h := range call.Headers {
			ok = ok && !strings.EqualFold(h.Key, name)
		}
		if ok {
			all = append(all, transport.KV{Key: name, Value: value})
		}
	}
	return all
}

// headers are those that go with the call. What the next tier is told over THeader is behind the others, so that where there is no room for all it
// is left out first.
func (c *Config) headers(call *rpc.Call) []transport.KV {
	if c.Wire.Kind != transport.Header {
		return headers(call)
	}
	return call.TierHeaders(headers(call), time.Now())
}
