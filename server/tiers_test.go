package server_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/layer/deadline"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/server"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/message"
)

var overHeader = transport.Wire{Kind: transport.Header, Protocol: wire.Binary}

// A caller over THeader says how long it waits, oneways included, and the call has that deadline from when it came. What is no time says nothing, nor
// does a header of the same name over HTTP.
func TestCallerSaysHowLongItWaits(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		wire        transport.Wire
		want        time.Duration // 0: none
	}{
		{"echo", "250", overHeader, 250 * time.Millisecond},
		{"notify", "250", overHeader, 250 * time.Millisecond},
		{"echo", "-250", overHeader, 0},
		{"notify", "soon", overHeader, 0},
		{"echo", "250", overHTTP, 0},
	} {
		serve(t, server.Config{}, func(r *rig) {
			c := r.dial(tt.wire)
			c.write(transport.Append(nil, transport.Message{
				Wire: tt.wire, Head: wire.Head{Name: tt.name, Seq: 1, Type: wire.Call}, Headers: []transport.KV{{Key: rpc.TimeoutHeader, Value: tt.value}},
				Envelope: transport.Envelope{Host: "users", Path: "/"}, Body: message.Empty(wire.Binary),
			}))
			call := <-r.begun
			switch {
			case tt.want == 0 && !call.Deadline.IsZero():
				r.Errorf("%s, %q: it has a deadline in %v", tt.wire.Kind, tt.value, call.Deadline.Sub(call.Start))
			case tt.want > 0 && call.Deadline.Sub(call.Start) != tt.want:
				r.Errorf("%s, %q: its deadline is in %v", tt.wire.Kind, tt.value, call.Deadline.Sub(call.Start))
			}
			<-r.ended
		})
	}
}

// Through two tiers the time that a call has gets shorter by what each takes, and is never more than the tier's own timeout allows; over a transport
// without headers the next tier knows nothing of it. A oneway takes its time along like others.
func TestTimeGoesThroughTiers(t *testing.T) {
	const own = 2 * time.Second // the timeout of the first tier
	for _, tt := range []struct {
		name   string
		wire   transport.Wire
		caller time.Duration // 0: it does not say
		want   time.Duration // that the last one has; 0: it does not know
	}{
		{"a short one", overHeader, 800 * time.Millisecond, 500 * time.Millisecond},
		{"a long one", overHeader, time.Hour, own - 300*time.Millisecond},
		{"none", overHeader, 0, own - 300*time.Millisecond},
		{"a transport without headers", buffered, 800 * time.Millisecond, 0},
	} {
		for _, method := range []string{"echo", "notify"} {
			serve(t, server.Config{}, func(r *rig) {
				ctx, cancel := context.WithCancel(r.Context())
				engine := netio.NewPortable()
				ran := make(chan struct{})
				go func() { defer close(ran); _ = engine.Run(ctx) }()
				dial := func(to string) *client.Conn {
					c, err := client.Dial(ctx, engine, to, client.Config{Wire: tt.wire, Dialer: r.network.Dial, Owner: nobody{}})
					if err != nil {
						r.Fatal(err)
					}
					return c
				}
				last := dial(address)
				first := server.New(server.Config{Route: func(_ *wire.Head, call *rpc.Call) (rpc.Handler, *rpc.Error) {
					if call.Name != method { // the fence behind a oneway
						return nil, &rpc.Error{Code: rpc.UnknownMethod, Op: "route"}
					}
					call.Service, call.Oneway = "Users", method == "notify"
					slow := rpc.HandlerFunc(func(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
						time.Sleep(300 * time.Millisecond) // it waits for a slot
						return last.Handle(ctx, call)
					})
					return deadline.Layer(rpc.PerMethod[time.Duration]{Other: own}).Wrap(slow), nil
				}})
				l, err := r.network.Listen("first:1")
				if err != nil {
					r.Fatal(err)
				}
				served := make(chan error)
				go func() { served <- first.Serve(ctx, l) }()
				call := &rpc.Call{ID: rpc.NewID(), Service: "Users", Name: method, Oneway: method == "notify", Protocol: wire.Binary, Body: []byte{0}, Start: time.Now()}
				if tt.caller > 0 {
					call.Deadline = call.Start.Add(tt.caller)
				}
				if _, err := dial("first:1").Handle(ctx, call); err != nil {
					r.Errorf("%s, %s: %v", tt.name, method, err)
				}
				x := <-r.begun
				for x.Name != method { // a oneway has a fence behind it
					x = <-r.begun
				}
				got := time.Duration(0)
				if !x.Deadline.IsZero() {
					got = x.Deadline.Sub(x.Start)
				}
				if got != tt.want {
					r.Errorf("%s, %s: the last one has %v, want %v", tt.name, method, got, tt.want)
				}
				synctest.Wait()
				cancel()
				<-ran
				if err := <-served; err != nil {
					r.Error(err)
				}
			})
		}
	}
}

// That no server has done a call is said over THeader alone, and of no other failure: not of a handler that failed, nor of a method that is not there.
func TestNotServedIsSaid(t *testing.T) {
	for _, tt := range []struct {
		method string
		wire   transport.Wire
		said   bool
	}{
		{"fail", overHeader, true},
		{"fail", transport.Wire{Kind: transport.Header, Protocol: wire.Compact}, true},
		{"crash", overHeader, false},
		{"peer", overHeader, false},
		{"unknown", overHeader, false},
		{"panic", overHeader, false},
		{"fail", overHTTP, false},
		{"echo", overHeader, false},
	} {
		serve(t, server.Config{}, func(r *rig) {
			c := r.dial(tt.wire)
			c.write(transport.Append(nil, transport.Message{
				Wire: tt.wire, Head: wire.Head{Name: tt.method, Seq: 1, Type: wire.Call}, Envelope: transport.Envelope{Host: "users", Path: "/"}, Body: message.Empty(tt.wire.Protocol),
			}))
			if m := c.read(); (rpc.HeaderOf(m.Headers, rpc.UnservedHeader) == rpc.Unserved) != tt.said {
				r.Errorf("%s over %s: headers %v", tt.method, tt.wire.Kind, m.Headers)
			}
		})
	}
}

// nobody owns a connection that takes one call.
type nobody struct{}

func (nobody) Freed(bool) {}
func (nobody) Gone()      {}
