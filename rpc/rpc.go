// Package rpc is the vocabulary of calls: Handler, Call, Reply, Layer, Stack, Record, Error, Endpoint.
//
// Everything that answers calls is a Handler: a connection, a pool, a cluster, a route, a user's service, a test double. The parts of
// Thriftloom know this package and not each other.
package rpc

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/tracking"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// A Handler answers one call.
//
// Handle returns a reply or an error, never both; a oneway call gets an empty reply once its bytes are written. An exception declared in
// the IDL is a reply; an error means that there is no reply, and is always an *Error. ctx carries cancellation only: the deadline is
// call.Deadline. call.Body and the reply's are immutable from birth: whoever holds them may keep them for ever. A handler that must
// change a call changes a copy. Safe for concurrent use.
type Handler interface {
	Handle(ctx context.Context, call *Call) (*Reply, error)
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, call *Call) (*Reply, error)

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, call *Call) (*Reply, error) { return f(ctx, call) }

// Call is one request.
type Call struct {
	ID       ID
	Service  string         // the service's configured name, by which policies, logs and errors know it
	Name     string         // the method as the caller wrote it, without a multiplexed prefix
	Method   *schema.Method // nil: not in the IDL
	Oneway   bool           // no reply is written; by the IDL where the method is known, else by the message's type
	Protocol wire.Protocol  // of Body
	Body     []byte         // the args struct alone
	Headers  []transport.KV // transport headers, where the caller's transport has them
	// Tracking is ThriftPy's tracking header of a call that came with one, and goes on unchanged to who tracks; nil: none.
	Tracking *tracking.Header
	Caller   Caller
	Start    time.Time // when the whole request had come
	Deadline time.Time // zero: none
	Avoid    string    // name of the endpoint that failed the attempt before; another one is taken where one is free
	Affinity uint64    // calls with the same one had better go to the same endpoint; 0: to any
	Subset   Subset    // of the endpoints, that it may go to
	Priority Priority  // who goes first where there is not room for all
	Record   *Record   // of this call; nil where nobody observes
	// Hedge says that this attempt is made beside another one, at the endpoint to avoid. It never waits: it is refused where no other endpoint has
	// a slot to spare.
	Hedge bool
	// Whereabouts are told where the attempt is made; nil: nobody asks.
	Whereabouts *Whereabouts
}

// Whereabouts tell at which endpoint an attempt is under way. The zero value is of one that waits. Safe for concurrent use.
type Whereabouts struct{ endpoint atomic.Pointer[string] }

// Set says that the attempt has a slot at the endpoint of that name, which is not changed. It does nothing on nil.
func (w *Whereabouts) Set(endpoint *string) {
	if w != nil {
		w.endpoint.Store(endpoint)
	}
}

// Endpoint returns the endpoint's name, "" while the attempt has no slot.
func (w *Whereabouts) Endpoint() string {
	if name := w.endpoint.Load(); name != nil {
		return *name
	}
	return ""
}

// MethodKey is a service's label and a method's name, "_OTHER" for all methods that the IDL does not have: of bounded cardinality.
type MethodKey struct{ Service, Method string }

// String returns "Users/getUser".
func (k MethodKey) String() string { return k.Service + "/" + k.Method }

// MethodKey returns what the call is counted under.
func (c *Call) MethodKey() MethodKey {
	if c.Method == nil {
		return MethodKey{c.Service, "_OTHER"}
	}
	return MethodKey{c.Service, c.Method.Name}
}

// MethodName returns MethodKey's text.
func (c *Call) MethodName() string { return c.MethodKey().String() }

// Remaining returns how long the call may still take; ok is false where it has no deadline.
func (c *Call) Remaining(now time.Time) (d time.Duration, ok bool) {
	if c.Deadline.IsZero() {
		return 0, false
	}
	return c.Deadline.Sub(now), true
}

// Caller says who calls: the name under which limits, logs and metrics know the peer, and its address.
type Caller struct {
	Name    string // TLS identity, THeader's identity or tracking app id; "" if the caller did not say
	Address string // of the peer's socket
	Group   string // those who wait in one turn with others for a slot: the callers of one address, or one connection of this machine
	// Identities are what the caller's certificate, which has been verified, says that it is: URIs (a SPIFFE id is one), then host names,
	// or the subject's common name where it has neither. The first is Name. nil without a certificate: what a caller merely says of
	// itself never stands here.
	Identities []string
	// Verified says that the listener has verified who calls, by a certificate or a login, even where nothing of that can be shown in Identities.
	Verified bool
}

// Share names who shares one turn with this caller where calls wait: those of the same name, or of the same group.
func (c *Caller) Share() string {
	if c.Name != "" {
		return c.Name
	}
	return c.Group
}

// Reply is an answer: a result, or an exception that the IDL declares.
type Reply struct {
	Protocol wire.Protocol
	Body     []byte // the result struct alone
	Headers  []transport.KV
	// Meta is what goes back in ThriftPy's tracking header to a caller that takes one. It is not changed.
	Meta map[string]string
	// Exception is the id of the declared exception's field in the result struct; zero for a result.
	Exception int16
	// Memory counts the memory that a long body lies in against what the process may hold, until it is released: by the server, when
	// the answer is counted there. One that nobody releases is released when it is collected. nil: not counted.
	Memory Memory
}

// Memory is memory that is counted until Release, which is called once.
type Memory interface{ Release() }

// ExceptionType returns the name of the declared exception that the reply carries, "" for a result.
func (r *Reply) ExceptionType(m *schema.Method) string {
	if r.Exception == 0 {
		return ""
	}
	if m != nil {
		if f := m.Result.Field(r.Exception); f != nil && f.Type.Struct != nil {
			return f.Type.Struct.Name
		}
	}
	return "unknown"
}

// Layer is a behaviour around a Handler.
type Layer struct {
	Name string // of its folder: "retry"
	Why  string // why it stands where it stands; the admin API shows it
	Wrap func(Handler) Handler
}

// Stack is layers, outermost first.
type Stack []Layer

// Over returns h with the stack around it.
func (s Stack) Over(h Handler) Handler {
	for i := len(s) - 1; i >= 0; i-- {
		h = s[i].Wrap(h)
	}
	return h
}

// Through returns the outer part of the stack, down to the named layer; all of it where there is none of that name.
func (s Stack) Through(name string) Stack {
	for i, l := range s {
		if l.Name == name {
			return s[:i+1]
		}
	}
	return s
}

// Endpoint is one address of a cluster.
type Endpoint struct {
	Address string // "host:port" or "unix:/path"
	Name    string // under which people know it: "users-2"; the address where nothing better is known
	Slots   int    // calls in flight at most; zero: the cluster's
	Auto    bool   // how many of Slots are used is learned
	Weight  int    // zero: 1
	Drained bool   // it takes no new call; those that it works at go on
	Zone    string // where it stands; "": not known
	Labels  Labels // that it has, for calls that go to some endpoints only
}
