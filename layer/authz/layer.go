// Package authz refuses calls of callers who may not make them.
package authz

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/thriftloom/thriftloom/rpc"
)

// Layer lets through the callers that the list of their method has in it, and refuses the others with PermissionDenied: a call with an
// answer, a oneway in silence. A nil list is for anyone, an empty one for nobody. The entries have passed Check.
//
// An identity is one that the caller's certificate says and that was verified; what a caller says of itself, in a header or otherwise,
// lets nobody in. An address is that of the socket: behind a proxy it is the proxy's.
func Layer(lists rpc.PerMethod[[]string]) rpc.Layer {
	return rpc.Layer{
		Name: "authz",
		Why:  "under observe: refused calls are counted; above all else: who may not call takes no time, no slot and no cached reply",
		Wrap: func(next rpc.Handler) rpc.Handler { return wrap(lists, next) },
	}
}

func wrap(lists rpc.PerMethod[[]string], next rpc.Handler) rpc.Handler {
	open := func(list []string) bool { return list == nil }
	if open(lists.Other) && !slices.ContainsFunc(lists.Methods, func(l []string) bool { return !open(l) }) {
		return next
	}
	h := &handler{next: next, who: rpc.PerMethod[*callers]{Other: compile(lists.Other)}}
	for _, l := range lists.Methods {
		h.who.Methods = append(h.who.Methods, compile(l))
	}
	return h
}

type handler struct {
	next rpc.Handler
	who  rpc.PerMethod[*callers]
}

// Handle refuses, or hands the call on.
func (h *handler) Handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	if (*h.who.For(call)).allow(&call.Caller) {
		return h.next.Handle(ctx, call)
	}
	what := "a method that its IDL does not have" // the name is the caller's own
	if call.Method != nil {
		what = call.Method.Name
	}
	return nil, &rpc.Error{
		Code: rpc.PermissionDenied, Reach: rpc.NotSent, Op: call.Service, Text: fmt.Sprintf("this caller may not call %s", what),
	}
}

// callers is a list, ready to be asked. Immutable.
type callers struct {
	anyone     bool
	unix       bool
	networks   []netip.Prefix
	identities map[string]bool
	below      []string
}

func compile(list []string) *callers {
	c := &callers{anyone: list == nil, identities: map[string]bool{}}
	for _, text := range list {
		e, err := parse(text)
		switch {
		case err != nil: // it was to be checked before; nobody gets in by it
		case e.anyone:
			c.anyone = true
		case e.unix:
			c.unix = true
		case e.identity != "":
			c.identities[e.identity] = true
		case e.below != "":
			c.below = append(c.below, e.below)
		default:
			c.networks = append(c.networks, e.network)
		}
	}
	return c
}

// allow reports whether the caller is on the list.
func (c *callers) allow(caller *rpc.Caller) bool {
	if c.anyone {
		return true
	}
	for _, id := range caller.Identities {
		if c.identities[id] || slices.ContainsFunc(c.below, func(prefix string) bool { return len(id) > len(prefix) && strings.HasPrefix(id, prefix) }) {
			return true
		}
	}
	at, err := netip.ParseAddrPort(caller.Address)
	if err != nil { // a unix socket has no port
		return c.unix && isUnix(caller.Address)
	}
	ip := at.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(c.networks, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// isUnix reports whether an address is that of a peer on a unix socket: none, a path, or an abstract name.
func isUnix(address string) bool {
	return address == "" || address == "@" || strings.HasPrefix(address, "/") || strings.HasPrefix(address, "@")
}
