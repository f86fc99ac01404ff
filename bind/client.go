package bind

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// Exception is a declared exception for which the program has named no Go type.
type Exception struct {
	Type  string // its name in the IDL
	Value *schema.StructValue
}

// Error returns the name and the value.
func (e *Exception) Error() string {
	text, err := codec.AppendJSON(nil, codec.TypeOf(e.Value.Type), e.Value)
	if err != nil {
		return e.Type
	}
	return e.Type + " " + string(text)
}

// Client fills the functions of *target, a struct, with calls to h:
//
//	GetUser func(ctx context.Context, id int64) (*User, error)
//
// A field is matched to a method by its name, or by the tag thrift:"getUser"; methods without a field are left out. A declared exception
// comes back as its Go type where Exceptions names it, else as *Exception; everything else that goes wrong is an *rpc.Error. A deadline
// of the context is the call's. Calls are made in the protocol of h where it is a Speaker, else in binary. The functions are safe for
// concurrent use. The error is Mismatches.
func Client(svc *schema.Service, h rpc.Handler, target any, opts ...Option) error {
	v := reflect.ValueOf(target)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return Mismatches{{svc.Name, "a pointer to a struct of functions", fmt.Sprintf("%T", target)}}
	}
	o := collect(opts)
	bindings, err := clientBindings(svc, v.Elem(), o)
	if err != nil {
		return err
	}
	for i, b := range bindings {
		if b == nil {
			continue
		}
		c := &caller{binding: b, handler: h}
		for _, f := range b.method.Throws {
			if t, ok := o.exception(f.Type.Struct); ok {
				c.throws = append(c.throws, declared(b.method, f, t))
			}
		}
		v.Elem().Field(i).Set(reflect.MakeFunc(v.Elem().Field(i).Type(), c.invoke))
	}
	return nil
}

// clientBindings matches the fields of a struct; the slice has an entry for each field, nil where it is no function.
func clientBindings(svc *schema.Service, v reflect.Value, o *options) ([]*binding, error) {
	bad := o.check(svc)
	all := make([]*binding, v.NumField())
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Type.Kind() != reflect.Func || !f.IsExported() || f.Tag.Get("thrift") == "-" {
			continue
		}
		m := methodFor(svc, f)
		if m == nil {
			var names []string
			for _, m := range svc.Methods {
				names = append(names, m.Name)
			}
			bad = append(bad, Mismatch{svc.Name, "a method of the service", "field " + f.Name + codec.DidYouMean(f.Name, names)})
			continue
		}
		b, wrong := signature(m, f.Type, 0)
		bad = append(bad, wrong...)
		all[i] = b
	}
	if len(bad) > 0 {
		return nil, bad
	}
	return all, nil
}

func methodFor(svc *schema.Service, f reflect.StructField) *schema.Method {
	if name, ok := f.Tag.Lookup("thrift"); ok {
		return svc.Method(name)
	}
	for _, m := range svc.Methods {
		if codec.SameName(m.Name, f.Name) {
			return m
		}
	}
	return nil
}

// caller is one bound function.
type caller struct {
	*binding
	handler rpc.Handler
	throws  []*thrown
}

// declared is how an exception is decoded for which the program has named a Go type. That it fits has been checked.
func declared(m *schema.Method, f *schema.Field, t exceptionType) *thrown {
	typ := resultStruct(f.Name, reflect.PointerTo(t.typ))
	plan, _ := codec.Compile(codec.TypeOf(m.Result), typ)
	return &thrown{field: f, typ: typ, plan: plan, byValue: t.byValue}
}

// invoke makes one call.
func (c *caller) invoke(in []reflect.Value) []reflect.Value {
	result, err := c.call(in)
	e := reflect.Zero(errorType)
	if err != nil {
		e = reflect.ValueOf(&err).Elem()
	}
	if c.ret == nil {
		return []reflect.Value{e}
	}
	if !result.IsValid() {
		result = reflect.Zero(c.ret)
	}
	return []reflect.Value{result, e}
}

func (c *caller) call(in []reflect.Value) (result reflect.Value, err error) {
	ctx, _ := in[0].Interface().(context.Context)
	if ctx == nil {
		ctx = context.Background()
	}
	args := reflect.New(c.goArgs)
	for i, v := range in[1:] {
		args.Elem().Field(i).Set(v)
	}
	proto := protocolOf(c.handler)
	body, err := c.args.Append(nil, proto, args.Interface())
	if err != nil {
		return result, &rpc.Error{Code: rpc.Malformed, Reach: rpc.NotSent, Op: c.where, Text: "the arguments cannot be written", Err: err}
	}
	reply, err := c.handler.Handle(ctx, newCall(ctx, c.method, proto, body))
	if err != nil || c.method.Oneway {
		return result, err
	}
	if reply.Exception != 0 {
		return result, c.exception(reply)
	}
	if c.ret == nil {
		return result, nil
	}
	out := reflect.New(c.goRes)
	if _, err := c.result.Decode(reply.Protocol, reply.Body, out.Interface(), wire.Limits{}); err != nil {
		return result, unreadable(c.where, err)
	}
	switch v := out.Elem().Field(0); {
	case v.IsNil():
		return result, missing(c.where)
	case v.Type() != c.ret:
		return v.Elem(), nil
	default:
		return v, nil
	}
}

// Speaker is a Handler that has a protocol of its own: calls in it need no translation.
type Speaker interface{ Protocol() wire.Protocol }

// protocolOf is the protocol in which calls to h are made: its own, or binary.
func protocolOf(h rpc.Handler) wire.Protocol {
	if s, ok := h.(Speaker); ok {
		return s.Protocol()
	}
	return wire.Binary
}

// newCall makes a call of the method; a deadline of ctx becomes the call's.
func newCall(ctx context.Context, m *schema.Method, proto wire.Protocol, body []byte) *rpc.Call {
	call := &rpc.Call{
		ID: rpc.NewID(), Service: m.Service.Name, Name: m.Name, Method: m, Oneway: m.Oneway, Protocol: proto, Body: body, Start: time.Now(),
	}
	if at, ok := ctx.Deadline(); ok {
		call.Deadline = at
	}
	track(ctx, call)
	return call
}

func missing(where string) error {
	return &rpc.Error{Code: rpc.MissingResult, Reach: rpc.Answered, Op: where, Text: "the reply has no result"}
}

func unreadable(where string, err error) error {
	return &rpc.Error{Code: rpc.Malformed, Reach: rpc.Answered, Op: where, Text: "the reply cannot be read", Err: err}
}

// exception makes an error of a declared exception.
func (c *caller) exception(reply *rpc.Reply) error {
	for _, t := range c.throws {
		if t.field.ID != reply.Exception {
			continue
		}
		out := reflect.New(t.typ)
		if _, err := t.plan.Decode(reply.Protocol, reply.Body, out.Interface(), wire.Limits{}); err != nil {
			return unreadable(c.where, err)
		}
		v := out.Elem().Field(0)
		if v.IsNil() { // the field is not of the exception's type
			break
		}
		if t.byValue {
			v = v.Elem()
		}
		return v.Interface().(error)
	}
	_, exc, err := decode(c.method, reply)
	if err != nil {
		return err
	}
	return exc
}

// Call makes one call with dynamic values. exc is the declared exception that the service threw, nil if it threw none; result is nil for
// a void and a oneway method. err is an *rpc.Error, or the codec's where args cannot be written.
func Call(ctx context.Context, h rpc.Handler, m *schema.Method, args *schema.StructValue) (result schema.Value, exc *Exception, err error) {
	proto := protocolOf(h)
	body, err := codec.AppendStruct(nil, proto, args)
	if err != nil {
		return nil, nil, err
	}
	reply, err := h.Handle(ctx, newCall(ctx, m, proto, body))
	if err != nil || m.Oneway {
		return nil, nil, err
	}
	return decode(m, reply)
}

func decode(m *schema.Method, reply *rpc.Reply) (schema.Value, *Exception, error) {
	where := m.Service.Name + "." + m.Name
	v, _, err := codec.DecodeStruct(reply.Protocol, m.Result, reply.Body, wire.Limits{})
	if err != nil {
		return nil, nil, unreadable(where, err)
	}
	for _, f := range m.Throws {
		if s, ok := v.Fields[f.Index].(*schema.StructValue); ok {
			return nil, &Exception{Type: f.Type.Struct.Name, Value: s}, nil
		}
	}
	if reply.Exception != 0 {
		text := fmt.Sprintf("the reply has an exception that the IDL does not declare (field %d)", reply.Exception)
		return nil, nil, &rpc.Error{Code: rpc.OtherException, Reach: rpc.Answered, Op: where, Text: text}
	}
	if m.Return.Kind == schema.Void {
		return nil, nil, nil
	}
	result := v.Get("success")
	if result == nil {
		return nil, nil, missing(where)
	}
	return result, nil, nil
}

// IsException reports whether err is a declared exception of that name for which no Go type was named.
func IsException(err error, name string) bool {
	var e *Exception
	return errors.As(err, &e) && e.Type == name
}
