// Package bind joins Go values and Handlers: a value whose methods serve an IDL's service, and a struct of functions that call one.
//
// Everything is matched by name when the program starts, without generated code: getUser is GetUser, user_id is UserID. Whatever does not
// fit is reported at once. Types are matched as package codec describes.
package bind

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/schema"
)

// Mismatch is one way in which Go code does not fit the IDL.
type Mismatch struct {
	Where    string // "Users.getUser: argument 1 (id)"
	Expected string // "int64 (i64)"
	Found    string // "string"
}

// String returns where: expected …, found ….
func (m Mismatch) String() string {
	return fmt.Sprintf("%s: expected %s, found %s", m.Where, m.Expected, m.Found)
}

// Mismatches is every mismatch of a service, in the IDL's order. It is the error of Server, Client and Check.
type Mismatches []Mismatch

// Error returns all of them, a line each.
func (m Mismatches) Error() string {
	lines := make([]string, len(m))
	for i, x := range m {
		lines[i] = x.String()
	}
	return strings.Join(lines, "\n")
}

// Option changes how a value is bound.
type Option func(*options)

type options struct {
	exceptions []exceptionType
}

// exceptionType is the Go type of a declared exception.
type exceptionType struct {
	typ     reflect.Type // the struct
	byValue bool         // named as a value: callers get it as one
}

// Exceptions names the Go types of declared exceptions, as values or nil pointers: Exceptions((*NotFound)(nil)). Each is a struct that
// is an error and is named as the exception is. A server finds them by itself when they are returned; named here they are checked at
// start. A client returns these types instead of *Exception: pointers, or values where a value is given here.
func Exceptions(types ...error) Option {
	return func(o *options) {
		for _, e := range types {
			switch t := reflect.TypeOf(e); {
			case t == nil:
			case t.Kind() == reflect.Pointer:
				o.exceptions = append(o.exceptions, exceptionType{t.Elem(), false})
			default:
				o.exceptions = append(o.exceptions, exceptionType{t, true})
			}
		}
	}
}

func collect(opts []Option) *options {
	o := new(options)
	for _, f := range opts {
		f(o)
	}
	return o
}

// exception returns the Go type named as the exception s is; ok is false where there is none.
func (o *options) exception(s *schema.StructType) (t exceptionType, ok bool) {
	for _, t := range o.exceptions {
		if sameType(t.typ, s) {
			return t, true
		}
	}
	return exceptionType{}, false
}

// sameType reports whether t is named as s is; the name of an included file is left out.
func sameType(t reflect.Type, s *schema.StructType) bool {
	name := s.Name[strings.LastIndexByte(s.Name, '.')+1:]
	return t.Kind() == reflect.Struct && codec.SameName(t.Name(), name)
}

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
)

// binding is one method with the plans for its Go signature.
type binding struct {
	method *schema.Method
	args   *codec.Plan  // of argsType
	goArgs reflect.Type // struct with a field for each argument
	result *codec.Plan  // nil for void and oneway
	goRes  reflect.Type // struct with the result as its one field; a caller's is a pointer, slice or map, so that nil says "none"
	ret    reflect.Type // nil for void and oneway
	where  string
}

// signature matches a function type to a method. receiver is how many parameters stand before the context.
func signature(m *schema.Method, ft reflect.Type, receiver int) (*binding, Mismatches) {
	b := &binding{method: m, where: m.Service.Name + "." + m.Name}
	returns := m.Return.Kind != schema.Void && !m.Oneway
	var bad Mismatches
	if found := shape(ft, receiver); !fits(ft, receiver, len(m.Args.Fields), returns) {
		return nil, Mismatches{{b.where, wanted(m, returns), found}}
	}
	var fields []reflect.StructField
	for i, f := range m.Args.Fields {
		t := ft.In(receiver + 1 + i)
		bad = append(bad, check(fmt.Sprintf("%s: argument %d (%s)", b.where, i+1, f.Name), f.Type, t)...)
		fields = append(fields, field(fmt.Sprint("A", i), f.Name, t))
	}
	if returns {
		b.ret = ft.Out(0)
		bad = append(bad, check(b.where+": result", m.Return, b.ret)...)
	}
	if len(bad) > 0 {
		return nil, bad
	}
	var more []codec.Mismatch
	b.goArgs = reflect.StructOf(fields)
	b.args, more = codec.Compile(codec.TypeOf(m.Args), b.goArgs)
	if returns && len(more) == 0 {
		t := b.ret
		if caller := receiver == 0; caller && !nilable(t) {
			t = reflect.PointerTo(t)
		}
		b.goRes = resultStruct("success", t)
		b.result, more = codec.Compile(codec.TypeOf(m.Result), b.goRes)
	}
	for _, x := range more {
		bad = append(bad, Mismatch{b.where + ": " + x.Path, x.Expected, x.Found})
	}
	return b, bad
}

func nilable(t reflect.Type) bool {
	return t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map
}

// resultStruct is a result struct with one of its fields, as Go.
func resultStruct(name string, t reflect.Type) reflect.Type {
	return reflect.StructOf([]reflect.StructField{field("V", name, t)})
}

func field(goName, name string, t reflect.Type) reflect.StructField {
	return reflect.StructField{Name: goName, Type: t, Tag: reflect.StructTag(fmt.Sprintf(`thrift:%q`, name))}
}

func check(where string, t *schema.Type, rt reflect.Type) (bad Mismatches) {
	_, found := codec.Compile(t, rt)
	for _, m := range found {
		at := where
		if m.Path != "" && m.Path != t.String() {
			at += ": " + m.Path
		}
		bad = append(bad, Mismatch{at, m.Expected, m.Found})
	}
	return bad
}

func fits(ft reflect.Type, receiver, args int, returns bool) bool {
	outs := 1
	if returns {
		outs = 2
	}
	return !ft.IsVariadic() && ft.NumIn() == receiver+1+args && ft.In(receiver) == contextType &&
		ft.NumOut() == outs && ft.Out(outs-1) == errorType
}

// wanted is the signature that a method asks for.
func wanted(m *schema.Method, returns bool) string {
	params := []string{"context.Context"}
	for _, f := range m.Args.Fields {
		params = append(params, f.Name+" "+f.Type.String())
	}
	if returns {
		return fmt.Sprintf("func(%s) (%s, error)", strings.Join(params, ", "), m.Return)
	}
	return fmt.Sprintf("func(%s) error", strings.Join(params, ", "))
}

// shape prints a function type without its receiver.
func shape(ft reflect.Type, receiver int) string {
	var in, out []string
	for i := receiver; i < ft.NumIn(); i++ {
		in = append(in, ft.In(i).String())
	}
	for i := range ft.NumOut() {
		out = append(out, ft.Out(i).String())
	}
	results := strings.Join(out, ", ")
	if len(out) > 1 {
		results = "(" + results + ")"
	}
	return strings.TrimSpace(fmt.Sprintf("func(%s) %s", strings.Join(in, ", "), results))
}

// check matches the Go types that options name to the exceptions that the service declares.
func (o *options) check(svc *schema.Service) (bad Mismatches) {
	used := map[reflect.Type]bool{}
	seen := map[*schema.StructType]bool{}
	for _, m := range svc.Methods {
		for _, f := range m.Throws {
			t, ok := o.exception(f.Type.Struct)
			if !ok {
				continue
			}
			used[t.typ] = true
			if seen[f.Type.Struct] {
				continue
			}
			seen[f.Type.Struct] = true
			bad = append(bad, check(svc.Name+": exception "+f.Type.Struct.Name, f.Type, t.typ)...)
		}
	}
	for _, t := range o.exceptions {
		if !used[t.typ] {
			bad = append(bad, Mismatch{svc.Name + ": exceptions", "a type named as a declared exception is", t.typ.String()})
		}
	}
	return bad
}

// Check reports how value, which is what Server or Client would be given, does not fit the service: nil, or Mismatches. For tests.
func Check(svc *schema.Service, value any, opts ...Option) error {
	if t := reflect.TypeOf(value); t != nil && t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct && hasFuncs(t.Elem()) && t.NumMethod() == 0 {
		_, err := clientBindings(svc, reflect.ValueOf(value).Elem(), collect(opts))
		return err
	}
	_, err := serverBindings(svc, value, collect(opts))
	return err
}

func hasFuncs(t reflect.Type) bool {
	for i := range t.NumField() {
		if t.Field(i).Type.Kind() == reflect.Func {
			return true
		}
	}
	return false
}
