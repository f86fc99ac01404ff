package bind_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/thriftloom/thriftloom/bind"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// answer is a handler that gives one reply to everything.
func answer(exception int16, body ...byte) rpc.Handler {
	return rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		return &rpc.Reply{Protocol: wire.Binary, Body: body, Exception: exception}, nil
	})
}

// A reply without what it should have is an *rpc.Error, never a zero value and never a nil error with a type.
func TestBadReplies(t *testing.T) {
	const (
		stop  = 0
		text  = 11
		class = 12
	)
	tests := []struct {
		name   string
		reply  rpc.Handler
		method string
		want   rpc.Code
	}{
		{"nothing for a number", answer(0, stop), "add", rpc.MissingResult},
		{"nothing for a struct", answer(0, stop), "getUser", rpc.MissingResult},
		{"nothing for a list", answer(0, stop), "listUsers", rpc.MissingResult},
		{"a string for a number", answer(0, text, 0, 0, 0, 0, 0, 0, stop), "add", rpc.MissingResult},
		{"cut off", answer(0, text, 0), "add", rpc.Malformed},
		{"an exception that is not declared", answer(9, class, 0, 9, stop, stop), "getUser", rpc.OtherException},
		{"an exception from a void method", answer(9, class, 0, 9, stop, stop), "ping", rpc.OtherException},
		{"a string for an exception", answer(1, text, 0, 1, 0, 0, 0, 0, stop), "getUser", rpc.OtherException},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var c calls
			if err := bind.Client(doc.Service("Users"), test.reply, &c, bind.Exceptions((*NotFound)(nil))); err != nil {
				t.Fatal(err)
			}
			var typed error
			switch test.method {
			case "add":
				_, typed = c.Sum(t.Context(), 1, 2)
			case "getUser":
				_, typed = c.GetUser(t.Context(), 1)
			case "listUsers":
				_, typed = c.ListUsers(t.Context(), 1)
			case "ping":
				typed = c.Ping(t.Context())
			}
			m := doc.Service("Users").Method(test.method)
			args := &schema.StructValue{Type: m.Args, Fields: make([]schema.Value, len(m.Args.Fields))}
			_, exc, dynamic := bind.Call(t.Context(), test.reply, m, args)
			for mode, err := range map[string]error{"typed": typed, "dynamic": dynamic} {
				var e *rpc.Error
				if !errors.As(err, &e) || e.Code != test.want || e.Reach != rpc.Answered || exc != nil {
					t.Errorf("%s: %v, exception %v, want %v", mode, err, exc, test.want)
				}
			}
		})
	}
}

// thrower is a service whose getUser ends with err.
type thrower struct {
	users
	err error
}

func (s *thrower) GetUser(context.Context, int64) (*User, error) { return nil, s.err }

// What a handler returns decides what the caller gets: the outermost declared exception or *rpc.Error, else a failed handler.
func TestWhatHandlersReturn(t *testing.T) {
	downstream := &rpc.Error{Code: rpc.Unavailable, Reach: rpc.NotSent, Op: "cluster Mail"}
	var nobody *NotFound
	tests := []struct {
		name      string
		err       error
		exception string
		code      rpc.Code
	}{
		{"an exception", &NotFound{ID: 1}, "NotFound", 0},
		{"by value", Refused{"no"}, "Refused", 0},
		{"wrapped", fmt.Errorf("looking: %w", &NotFound{}), "NotFound", 0},
		{"one of several", errors.Join(errors.New("first"), Refused{"no"}), "Refused", 0},
		{"another call's failure", fmt.Errorf("mail: %w", downstream), "", rpc.Unavailable},
		{"an exception because of another call's failure", errors.Join(Refused{"no"}, downstream), "Refused", 0},
		{"an exception that is not declared", errNobody{}, "", rpc.HandlerFailed},
		{"a nil exception", nobody, "", rpc.HandlerFailed},
		{"anything else", errors.New("disk"), "", rpc.HandlerFailed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h, err := bind.Server(doc.Service("Users"), &thrower{err: test.err})
			if err != nil {
				t.Fatal(err)
			}
			m := doc.Service("Users").Method("getUser")
			_, exc, err := bind.Call(t.Context(), h, m, &schema.StructValue{Type: m.Args, Fields: []schema.Value{int64(1)}})
			if test.exception != "" {
				if err != nil || exc == nil || exc.Type != test.exception {
					t.Fatalf("exception %v, error %v", exc, err)
				}
				return
			}
			var e *rpc.Error
			if !errors.As(err, &e) || e.Code != test.code || e.Reach != rpc.Answered {
				t.Errorf("got %v, want %v, answered", err, test.code)
			}
		})
	}
	if downstream.Reach != rpc.NotSent {
		t.Error("the handler's own error was changed")
	}
}

// An exception's Go type that does not fit is an internal error that says why, when it is thrown; and one of Check where it is named.
func TestExceptionTypeThatDoesNotFit(t *testing.T) {
	h, err := bind.Server(doc.Service("Users"), &thrower{err: misfit()})
	if err != nil {
		t.Fatal(err)
	}
	m := doc.Service("Users").Method("getUser")
	_, _, err = bind.Call(t.Context(), h, m, &schema.StructValue{Type: m.Args, Fields: []schema.Value{int64(1)}})
	const want = "NotFound.id: expected int64 (i64), found string"
	var e *rpc.Error
	if !errors.As(err, &e) || e.Code != rpc.Internal || e.Err == nil || e.Err.Error() != "NotFound: "+want {
		t.Errorf("got %v", err)
	}
	err = bind.Check(doc.Service("Users"), &users{}, bind.Exceptions(misfit()))
	if err == nil || err.Error() != "Users: exception NotFound: "+want {
		t.Errorf("check: %v", err)
	}
}

// A caller in the same process that loaded the IDL on its own is served by the names of methods.
func TestMethodsOfAnotherDocument(t *testing.T) {
	h, err := bind.Server(doc.Service("Users"), &users{})
	if err != nil {
		t.Fatal(err)
	}
	other := schema.MustParse(`service Users { void other(), i64 add(1: i64 a, 2: i64 b), void gone() }`).Service("Users")
	var c struct {
		Add  func(context.Context, int64, int64) (int64, error)
		Gone func(context.Context) error
	}
	if err := bind.Client(other, h, &c); err != nil {
		t.Fatal(err)
	}
	if sum, err := c.Add(t.Context(), 1, 2); sum != 3 || err != nil {
		t.Errorf("add: %d, %v", sum, err)
	}
	if e := rpc.AsError(c.Gone(t.Context()), ""); e == nil || e.Code != rpc.UnknownMethod {
		t.Errorf("gone: %v", e)
	}
}

// A union is checked before anything is sent, and oneway calls give only errors.
func TestArgumentsThatCannotBeWritten(t *testing.T) {
	_, c := pair(t)
	_, err := c.Find(t.Context(), &Key{})
	const want = "Users.find: the arguments cannot be written: find_args.key: union Key takes exactly one field, found none [PROTOCOL_ERROR, not sent]"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// A target that is no struct of functions is a mismatch.
func TestTargets(t *testing.T) {
	for _, target := range []any{nil, calls{}, (*calls)(nil), reflect.ValueOf} {
		var bad bind.Mismatches
		if err := bind.Client(doc.Service("Users"), answer(0, 0), target); !errors.As(err, &bad) {
			t.Errorf("%T: %v", target, err)
		}
	}
	if err := bind.Check(doc.Service("Users"), nil); err == nil {
		t.Error("nil serves nothing")
	}
}
