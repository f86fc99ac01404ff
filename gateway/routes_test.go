package gateway

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/service"
	"github.com/thriftloom/thriftloom/wire"
)

const twoIDLs = `
service Users { string ping(), string getUser(), oneway void track() }
service Orders { string ping(), string getOrder() }
`

// twoTargets are two services whose upstreams answer nothing: Users forwards methods that it does not know, Orders refuses them.
func twoTargets() []*target {
	doc, nowhere := schema.MustParse(twoIDLs), rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		return nil, &rpc.Error{Code: rpc.Unavailable, Op: "upstream nowhere"}
	})
	make := func(name string, forward bool) *target {
		svc := doc.Service(name)
		policies := rpc.PerMethod[service.Policy]{Other: service.Policy{Upstream: nowhere}}
		for range svc.Methods {
			policies.Methods = append(policies.Methods, service.Policy{Upstream: nowhere})
		}
		return &target{Service: service.New(service.Config{Name: name, Schema: svc, Policies: policies}), forward: forward}
	}
	return []*target{make("Users", true), make("Orders", false)}
}

// A message leads to one service and one name there, or to a refusal that says why and is counted by its reason.
func TestRoutes(t *testing.T) {
	both := twoTargets()
	users, orders := both[:1], both[1:]
	long := strings.Repeat("x", 100)
	for _, tt := range []struct {
		name     string
		targets  []*target
		fallback string
		message  string
		typ      wire.MessageType
		want     string // service, method, "unknown" where the IDL does not have it, "oneway"; or the refusal
		reason   string
	}{
		{"multiplexed", both, "", "Orders:ping", wire.Call, "Orders ping", ""},
		{"multiplexed, for the only service", users, "", "Users:getUser", wire.Call, "Users getUser", ""},
		{"multiplexed, for nobody", both, "", "Bills:ping", wire.Call, `gateway: no service is named "Bills" here`, "unknown_service"},
		{"multiplexed, for nobody beside a default", both, "Users", "Bills:ping", wire.Call, `gateway: no service is named "Bills" here`, "unknown_service"},
		{"multiplexed, for a service of another listener", users, "", "Orders:ping", wire.Call, `gateway: no service is named "Orders" here`, "unknown_service"},
		{"bare", both, "", "getOrder", wire.Call, "Orders getOrder", ""},
		{"bare, and another is the default", both, "Users", "getOrder", wire.Call, "Orders getOrder", ""},
		{"bare, fits two", both, "", "ping", wire.Call, `gateway: "ping" fits Users and Orders; call it by service:method`, "ambiguous"},
		{"bare, fits two and the default", both, "Orders", "ping", wire.Call, "Orders ping", ""},
		{"bare, fits two and one of them is here", orders, "", "ping", wire.Call, "Orders ping", ""},
		{"bare, fits none", both, "", "pong", wire.Call, `gateway: no service here has a method "pong"`, "unknown_method"},
		{"unknown, forwarded to the default", both, "Users", "pong", wire.Call, "Users pong unknown", ""},
		{"unknown, forwarded to the only service", users, "", "pong", wire.Call, "Users pong unknown", ""},
		{"unknown, multiplexed, forwarded", both, "", "Users:pong", wire.Call, "Users pong unknown", ""},
		{"unknown oneway", users, "", "pong", wire.Oneway, "Users pong unknown oneway", ""},
		{"unknown, refused by the only service", orders, "", "pong", wire.Call, `Orders: no method "pong"`, ""},
		{"unknown, multiplexed, refused", both, "", "Orders:pong", wire.Call, `Orders: no method "pong"`, ""},
		{"oneway by the IDL, sent as a call", both, "", "track", wire.Call, "Users track oneway", ""},
		{"a call by the IDL, sent as a oneway", both, "", "getUser", wire.Oneway, "Users getUser", ""},
		{"no service at all", nil, "", "ping", wire.Call, `gateway: no service here has a method "ping"`, "unknown_method"},
		{"a default that is not here", users, "Orders", "pong", wire.Call, "Users pong unknown", ""},
		{"a name without end", both, "", long, wire.Call, `gateway: no service here has a method "` + long[:64] + `…"`, "unknown_method"},
		{"a service without end", both, "", long + ":ping", wire.Call, `gateway: no service is named "` + long[:64] + `…" here`, "unknown_service"},
		{"no name", both, "", "", wire.Call, `gateway: no service here has a method ""`, "unknown_method"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var reasons []string
			r := newRoutes(tt.targets, tt.fallback, func(reason string) { reasons = append(reasons, reason) })
			got := routed(r, &wire.Head{Name: tt.message, Type: tt.typ})
			if got != tt.want {
				t.Errorf("%s\nwant %s", got, tt.want)
			}
			if want := strings.Fields(tt.reason); !slices.Equal(reasons, want) {
				t.Errorf("counted as %v, want %v", reasons, want)
			}
		})
	}
}

// routed says where a message leads, or why it is refused: by the routes, or by the service.
func routed(r *routes, head *wire.Head) string {
	call := &rpc.Call{}
	h, refused := r.route(head, call)
	if refused != nil {
		return refusal(refused)
	}
	if _, forwarded := h.(*service.Service); !forwarded {
		_, err := h.Handle(context.Background(), call)
		return refusal(rpc.AsError(err, ""))
	}
	words := []string{call.Service, call.Name}
	if call.Method == nil {
		words = append(words, "unknown")
	}
	if call.Oneway {
		words = append(words, "oneway")
	}
	return strings.Join(words, " ")
}

func refusal(e *rpc.Error) string {
	if e.Code != rpc.UnknownMethod || e.Reach == rpc.Unknown {
		return "refused as " + e.Code.String()
	}
	return e.Op + ": " + e.Text
}
