package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/wire"
)

// ErrNotCached is the error for a method whose replies are not kept.
var ErrNotCached = errors.New("its replies are not kept")

// PurgeCache makes replies void: at once here, and elsewhere as soon as gateways are told. An error of a store that does not answer says so; it
// is told as soon as it does. The others are status.ErrUnknownService, status.ErrUnknownMethod and ErrNotCached, and what is wrong with the
// arguments.
func (g *Gateway) PurgeCache(ctx context.Context, what status.Purge) error {
	st := g.current.Load()
	if what.Service == "" {
		if what != (status.Purge{}) {
			return fmt.Errorf("%w: a service is wanted with that", status.ErrUnknownService)
		}
		var err error
		for label := range st.plans {
			err = errors.Join(err, g.cache.Purge(ctx, cache.Place{Service: label}))
		}
		return err
	}
	p, ok := st.plans[what.Service]
	if !ok {
		return status.ErrUnknownService
	}
	place := cache.Place{Service: what.Service}
	switch {
	case what.Tag != "" && what.Method != "":
		return errors.New("a tag is of a service: purge one or the other")
	case what.Tag != "":
		return g.cache.PurgeTag(ctx, place, what.Tag)
	case what.Method == "":
		return g.cache.Purge(ctx, place)
	}
	m, call, err := p.keptCall(what.Method, what.Arguments)
	if err != nil {
		return err
	}
	if what.Arguments == "" {
		return g.cache.PurgeMethod(ctx, place, what.Method)
	}
	return g.cache.PurgeCall(ctx, m.cache, call)
}

// CachedReply returns what is kept of the reply to a call, by the caller of that name where replies are each caller's own; ok is false where
// nothing is. The errors are those of PurgeCache.
func (g *Gateway) CachedReply(ctx context.Context, service, method, arguments, caller string) (r status.CachedReply, ok bool, err error) {
	p, known := g.current.Load().plans[service]
	if !known {
		return r, false, status.ErrUnknownService
	}
	if arguments == "" {
		arguments = "{}"
	}
	m, call, err := p.keptCall(method, arguments)
	if err != nil {
		return r, false, err
	}
	if caller != "" {
		call.Caller = rpc.Caller{Name: caller, Identities: []string{caller}, Verified: g.verifies(service)}
	}
	f, ok, err := g.cache.Look(ctx, m.cache, call)
	if err != nil || !ok {
		return r, false, err
	}
	r = status.CachedReply{
		Where: f.Where, AgeSeconds: f.Age.Seconds(), FreshSeconds: f.Left.Seconds(), Bytes: len(f.Entry.Reply.Body), Exception: f.Entry.Reply.ExceptionType(call.Method),
	}
	v, _, err := codec.DecodeStruct(f.Entry.Reply.Protocol, call.Method.Result, f.Entry.Reply.Body, wire.Limits{MessageBytes: 2 * len(f.Entry.Reply.Body)})
	if err != nil {
		return r, true, nil // as it is kept for callers, who may read it otherwise
	}
	for i, f := range call.Method.Result.Fields {
		if v.Fields[i] != nil {
			r.Value, err = codec.AppendJSON(nil, f.Type, v.Fields[i])
		}
	}
	return r, true, err
}

// verifies reports whether a listener of the service verifies who calls.
func (g *Gateway) verifies(label string) bool {
	return authenticates(g.config().Resolved.listeners, label)
}

// keptCall is a call of a method whose replies are kept, with arguments in JSON; "" is for none.
func (p *servicePlan) keptCall(method, arguments string) (*methodPlan, *rpc.Call, error) {
	m := p.schema.Method(method)
	if m == nil {
		return nil, nil, fmt.Errorf("%w: %s", status.ErrUnknownMethod, method)
	}
	of := &p.methods[m.Index]
	if !of.cache.Keeps() {
		return nil, nil, fmt.Errorf("%s.%s: %w", p.label, method, ErrNotCached)
	}
	call := &rpc.Call{Service: p.label, Name: method, Method: m, Protocol: wire.Binary, Body: []byte{0}}
	if arguments == "" {
		return of, call, nil
	}
	v, err := codec.ParseJSON(codec.TypeOf(m.Args), []byte(arguments))
	if err != nil {
		return nil, nil, err
	}
	call.Body, err = codec.AppendValue(nil, wire.Binary, codec.TypeOf(m.Args), v)
	return of, call, err
}
