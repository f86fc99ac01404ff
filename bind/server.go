package bind

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"sync"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// Server returns a Handler that answers the service's calls by the methods of impl:
//
//	getUser(1: i64 id) throws (…)   GetUser(ctx context.Context, id int64) (*User, error)
//	void ping()                     Ping(ctx context.Context) error
//	oneway void track(1: string e)  Track(ctx context.Context, e string) error
//
// An error whose type is named as a declared exception of the method is that exception, also where it is wrapped; an *rpc.Error goes out as
// it is, but as answered; the context's error, once the call's time is over, is that; any other error, and a panic, is a failed handler. A nil slice or map is an empty one; a nil pointer is a missing result. The
// context has the call's deadline. Further methods of impl are ignored. The error is Mismatches.
func Server(svc *schema.Service, impl any, opts ...Option) (rpc.Handler, error) {
	methods, err := serverBindings(svc, impl, collect(opts))
	if err != nil {
		return nil, err
	}
	return &server{service: svc, methods: methods}, nil
}

type server struct {
	service    *schema.Service
	methods    []*served // by index
	exceptions sync.Map  // exceptionKey to *thrown
}

// served is a method with the function that answers it.
type served struct {
	*binding
	call reflect.Value
}

func serverBindings(svc *schema.Service, impl any, o *options) ([]*served, error) {
	v := reflect.ValueOf(impl)
	if !v.IsValid() {
		return nil, Mismatches{{svc.Name, "a value with methods", "nil"}}
	}
	bad := o.check(svc)
	var all []*served
	for _, m := range svc.Methods {
		gm, ok := methodNamed(v.Type(), m.Name)
		if !ok {
			returns := m.Return.Kind != schema.Void && !m.Oneway
			bad = append(bad, Mismatch{svc.Name + "." + m.Name, "a method " + wanted(m, returns), "none on " + v.Type().String()})
			continue
		}
		b, wrong := signature(m, gm.Type, 1)
		bad = append(bad, wrong...)
		all = append(all, &served{b, v.Method(gm.Index)})
	}
	if len(bad) > 0 {
		return nil, bad
	}
	return all, nil
}

func methodNamed(t reflect.Type, name string) (reflect.Method, bool) {
	for i := range t.NumMethod() {
		if m := t.Method(i); codec.SameName(m.Name, name) {
			return m, true
		}
	}
	return reflect.Method{}, false
}

// Handle answers one call.
func (s *server) Handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	m := s.method(call)
	if m == nil {
		return nil, &rpc.Error{Code: rpc.UnknownMethod, Reach: rpc.Answered, Op: s.service.Name, Text: fmt.Sprintf("no method %q", call.Name)}
	}
	args := reflect.New(m.goArgs)
	if _, err := m.args.Decode(call.Protocol, call.Body, args.Interface(), wire.Limits{}); err != nil {
		return nil, &rpc.Error{Code: rpc.Malformed, Reach: rpc.Answered, Op: m.where, Text: "the arguments cannot be read", Err: err}
	}
	if !call.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, call.Deadline)
		defer cancel()
	}
	ctx = tracked(ctx, call)
	in := make([]reflect.Value, 1, 1+args.Elem().NumField())
	in[0] = reflect.ValueOf(ctx)
	for i := range args.Elem().NumField() {
		in = append(in, args.Elem().Field(i))
	}
	out, failed := m.run(in)
	if failed != nil {
		return nil, failed
	}
	if err, _ := out[len(out)-1].Interface().(error); err != nil {
		reply, err := s.failure(ctx, m, call, err)
		return withMeta(ctx, reply, err)
	}
	reply, err := m.reply(call, out)
	return withMeta(ctx, reply, err)
}

// method returns what answers the call, nil if nothing does. A caller in the same process may have loaded the IDL on its own: its methods
// are known by their names.
func (s *server) method(call *rpc.Call) *served {
	if call.Method == nil {
		return nil
	}
	if i := call.Method.Index; i < len(s.methods) && s.methods[i].method == call.Method {
		return s.methods[i]
	}
	if m := s.service.Method(call.Method.Name); m != nil {
		return s.methods[m.Index]
	}
	return nil
}

// run calls the Go method. A panic is a failed handler.
func (m *served) run(in []reflect.Value) (out []reflect.Value, failed *rpc.Error) {
	defer func() {
		if p := recover(); p != nil {
			failed = &rpc.Error{Code: rpc.HandlerFailed, Reach: rpc.Answered, Op: m.where, Text: "the handler panicked", Err: fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
		}
	}()
	return m.call.Call(in), nil
}

// reply encodes the result.
func (m *served) reply(call *rpc.Call, out []reflect.Value) (*rpc.Reply, error) {
	if m.ret == nil {
		body, err := codec.AppendStruct(nil, call.Protocol, &schema.StructValue{Type: m.method.Result, Fields: make([]schema.Value, len(m.method.Result.Fields))})
		if err != nil {
			return nil, m.unwritten(err)
		}
		return &rpc.Reply{Protocol: call.Protocol, Body: body}, nil
	}
	result := reflect.New(m.goRes)
	result.Elem().Field(0).Set(out[0])
	switch v := result.Elem().Field(0); {
	case v.Kind() == reflect.Pointer && v.IsNil():
		return nil, &rpc.Error{Code: rpc.MissingResult, Reach: rpc.Answered, Op: m.where, Text: "the handler returned no result"}
	case v.Kind() == reflect.Slice && v.IsNil():
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	case v.Kind() == reflect.Map && v.IsNil():
		v.Set(reflect.MakeMap(v.Type()))
	}
	body, err := m.result.Append(nil, call.Protocol, result.Interface())
	if err != nil {
		return nil, m.unwritten(err)
	}
	return &rpc.Reply{Protocol: call.Protocol, Body: body}, nil
}

func (m *served) unwritten(err error) *rpc.Error {
	return &rpc.Error{Code: rpc.HandlerFailed, Reach: rpc.Answered, Op: m.where, Text: "the result cannot be written", Err: err}
}

// thrown is the plan for one Go type of a declared exception of one method.
type thrown struct {
	field *schema.Field
	plan  *codec.Plan
	typ   reflect.Type // struct with one field, a pointer to the exception
	err   error        // the Go type does not fit

	byValue bool // callers get the exception as a value
}

type exceptionKey struct {
	method *schema.Method
	typ    reflect.Type
}

// failure makes a reply of a declared exception, and an error of any other: of what err wraps, the outermost that is one of the two.
func (s *server) failure(ctx context.Context, m *served, call *rpc.Call, err error) (*rpc.Reply, error) {
	for _, at := range chain(err) {
		if e, ok := at.(*rpc.Error); ok && e != nil {
			answered := *e // whatever became of a call that the handler made: this one reached it
			answered.Reach = rpc.Answered
			return nil, &answered
		}
		if t, v := s.declared(m, at); t != nil {
			return m.exception(call, t, v)
		}
	}
	if over := ctx.Err(); over != nil && errors.Is(err, over) {
		e := rpc.AsError(over, m.where)
		e.Reach, e.Err = rpc.Answered, err
		return nil, e
	}
	return nil, &rpc.Error{Code: rpc.HandlerFailed, Reach: rpc.Answered, Op: m.where, Text: "the handler failed", Err: err}
}

// declared returns err as a pointer to a declared exception's Go type, with its plan; nil where it is none.
func (s *server) declared(m *served, err error) (*thrown, reflect.Value) {
	v := reflect.ValueOf(err)
	if v.Kind() != reflect.Pointer {
		p := reflect.New(v.Type())
		p.Elem().Set(v)
		v = p
	}
	if v.IsNil() {
		return nil, v
	}
	return s.exception(m.method, v.Type().Elem()), v
}

// exception encodes a declared exception.
func (m *served) exception(call *rpc.Call, t *thrown, v reflect.Value) (*rpc.Reply, error) {
	if t.err != nil {
		return nil, &rpc.Error{Code: rpc.Internal, Reach: rpc.Answered, Op: m.where, Text: "an exception's Go type does not fit", Err: t.err}
	}
	result := reflect.New(t.typ)
	result.Elem().Field(0).Set(v)
	body, err := t.plan.Append(nil, call.Protocol, result.Interface())
	if err != nil {
		return nil, m.unwritten(err)
	}
	return &rpc.Reply{Protocol: call.Protocol, Body: body, Exception: t.field.ID}, nil
}

// chain returns err and all that it wraps, outermost first.
func chain(err error) (all []error) {
	for queue := []error{err}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		all = append(all, at)
		switch w := at.(type) {
		case interface{ Unwrap() error }:
			if inner := w.Unwrap(); inner != nil {
				queue = append(queue, inner)
			}
		case interface{ Unwrap() []error }:
			for _, inner := range w.Unwrap() {
				if inner != nil {
					queue = append(queue, inner)
				}
			}
		}
	}
	return all
}

// exception returns the plan for a Go type that is named as an exception of the method, nil if none is. Found once for each type.
func (s *server) exception(m *schema.Method, t reflect.Type) *thrown {
	key := exceptionKey{m, t}
	if found, ok := s.exceptions.Load(key); ok {
		return found.(*thrown)
	}
	var found *thrown
	for _, f := range m.Throws {
		if !sameType(t, f.Type.Struct) {
			continue
		}
		found = &thrown{field: f, typ: resultStruct(f.Name, reflect.PointerTo(t))}
		if bad := check(f.Type.Struct.Name, f.Type, t); len(bad) > 0 {
			found.err = bad
		} else if plan, wrong := codec.Compile(codec.TypeOf(m.Result), found.typ); len(wrong) > 0 {
			found.err = errors.New(wrong[0].String())
		} else {
			found.plan = plan
		}
		break
	}
	s.exceptions.Store(key, found)
	return found
}
