package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// PurgeCache makes replies void: at once here, and elsewhere as soon as gateways are told. The errors are status.ErrUnknownService,
// status.ErrUnknownMethod, status.ErrNotCached and status.ErrArguments, or say what does not go together; nothing is void then.
func (g *Gateway) PurgeCache(ctx context.Context, what status.Purge) (status.Purged, error) {
	of, untold, err := g.purge(ctx, what)
	if err != nil {
		return status.Purged{}, err
	}
	done := status.Purged{Purged: of, Service: what.Service, Method: what.Method, Untold: []string{}}
	if untold != nil {
		for name, s := range g.cache.Stores() {
			if s.Owed > 0 {
				done.Untold = append(done.Untold, name)
			}
		}
		slices.Sort(done.Untold)
	}
	return done, nil
}

// purge returns of what the replies are void. untold is the error of a store that could not be told yet.
func (g *Gateway) purge(ctx context.Context, what status.Purge) (of string, untold, err error) {
	plans, at := g.current.Load().plans, cache.Place{Service: what.Service}
	p, known := plans[what.Service]
	switch {
	case what.Service == "" && (what.Method != "" || what.Tag != "" || what.Arguments != nil):
		return "", nil, fmt.Errorf("%w: a service is wanted with that", status.ErrUnknownService)
	case what.Service == "":
		for label := range plans {
			untold = errors.Join(untold, g.cache.Purge(ctx, cache.Place{Service: label}))
		}
		return "all", untold, nil
	case !known:
		return "", nil, fmt.Errorf("%w: %s", status.ErrUnknownService, what.Service)
	case what.Tag != "" && (what.Method != "" || what.Arguments != nil):
		return "", nil, errors.New("a tag is of a service: purge one or the other")
	case what.Tag != "":
		return "tag", g.cache.PurgeTag(ctx, at, what.Tag), nil
	case what.Method == "" && what.Arguments != nil:
		return "", nil, errors.New("arguments are a method's, and none is named")
	case what.Method == "":
		return "service", g.cache.Purge(ctx, at), nil
	}
	m, call, err := p.keptCall(what.Method, what.Arguments)
	if err != nil {
		return "", nil, err
	}
	if what.Arguments == nil {
		return "method", g.cache.PurgeMethod(ctx, at, what.Method), nil
	}
	untold = g.cache.PurgeCall(ctx, m.cache, call)
	if errors.Is(untold, cache.ErrUnnamed) {
		return "", nil, untold
	}
	return "call", untold, nil
}

// CachedReply returns what is kept of the reply to a call; ok is false where nothing is. The errors are those of PurgeCache, and
// status.ErrStore where the store might have it.
func (g *Gateway) CachedReply(ctx context.Context, of status.CachedCall) (r status.CachedReply, ok bool, err error) {
	p, known := g.current.Load().plans[of.Service]
	if !known {
		return r, false, fmt.Errorf("%w: %s", status.ErrUnknownService, of.Service)
	}
	if of.Arguments == nil {
		of.Arguments = []byte("{}")
	}
	m, call, err := p.keptCall(of.Method, of.Arguments)
	if err != nil {
		return r, false, err
	}
	for name, value := range of.Headers {
		call.Headers = append(call.Headers, transport.KV{Key: name, Value: value})
	}
	if len(of.Caller) > 0 {
		call.Caller = rpc.Caller{Name: of.Caller[0], Identities: of.Caller, Verified: authenticates(g.config().Resolved.listeners, of.Service)}
	}
	f, ok, err := g.cache.Look(ctx, m.cache, call)
	if err != nil && !errors.Is(err, cache.ErrUnnamed) {
		err = fmt.Errorf("%w: %w", status.ErrStore, err)
	}
	if err != nil || !ok {
		return r, false, err
	}
	return shown(call, f), true, nil
}

// shown is a reply that was found, for people.
func shown(call *rpc.Call, f cache.Found) status.CachedReply {
	reply, of := f.Entry.Reply, call.Method.Result
	r := status.CachedReply{
		Where: f.Where, AgeSeconds: f.Age.Seconds(), FreshSeconds: f.Left.Seconds(), Bytes: len(reply.Body), Exception: reply.ExceptionType(call.Method),
	}
	v, _, err := codec.DecodeStruct(reply.Protocol, of, reply.Body, wire.Limits{MessageBytes: 2 * len(reply.Body)})
	if err != nil {
		return r
	}
	for i, field := range of.Fields {
		if v.Fields[i] == nil {
			continue
		}
		if text, err := codec.AppendJSON(nil, field.Type, v.Fields[i]); err == nil {
			r.Value = text
		}
	}
	return r
}

// keptCall is a call of a method whose replies are kept, with arguments in JSON; nil is for none.
func (p *servicePlan) keptCall(method string, arguments []byte) (*methodPlan, *rpc.Call, error) {
	m := p.schema.Method(method)
	if m == nil {
		return nil, nil, fmt.Errorf("%w: %s.%s", status.ErrUnknownMethod, p.label, method)
	}
	of := &p.methods[m.Index]
	if !of.cache.Keeps() {
		return nil, nil, fmt.Errorf("%s.%s: %w", p.label, method, status.ErrNotCached)
	}
	call := &rpc.Call{Service: p.label, Name: method, Method: m, Protocol: wire.Binary}
	if arguments == nil {
		return of, call, nil
	}
	v, err := codec.ParseJSON(codec.TypeOf(m.Args), arguments)
	if err == nil {
		call.Body, err = codec.AppendValue(nil, wire.Binary, codec.TypeOf(m.Args), v)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w %s.%s:\n%w", status.ErrArguments, p.label, method, err)
	}
	return of, call, nil
}
