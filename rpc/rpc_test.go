package rpc

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/schema"
)

// A stack wraps outermost first.
func TestStackOrder(t *testing.T) {
	var order []string
	layer := func(name string) Layer {
		return Layer{Name: name, Wrap: func(next Handler) Handler {
			return HandlerFunc(func(ctx context.Context, c *Call) (*Reply, error) {
				order = append(order, name)
				return next.Handle(ctx, c)
			})
		}}
	}
	h := Stack{layer("outer"), layer("inner")}.Over(HandlerFunc(func(context.Context, *Call) (*Reply, error) {
		order = append(order, "handler")
		return &Reply{}, nil
	}))
	if _, err := h.Handle(t.Context(), &Call{}); err != nil || strings.Join(order, " ") != "outer inner handler" {
		t.Errorf("%v, %v", order, err)
	}
}

// What callers are told has the code, configured names and the call's id, and never the cause; a peer's exception goes out as it came.
func TestPublicText(t *testing.T) {
	e := &Error{Code: Unavailable, Op: "upstream Users", Text: "connection refused", Err: errors.New("dial 10.0.0.7:9090")}
	if got := e.Public(0xab); got != (Application{6, "UNAVAILABLE: upstream Users: connection refused; call 00000000000000ab"}) {
		t.Errorf("%+v", got)
	}
	if got := e.Error(); got != "upstream Users: connection refused: dial 10.0.0.7:9090 [UNAVAILABLE, not sent]" {
		t.Errorf("for logs: %q", got)
	}
	peer := Application{Type: 1}
	if got := (&Error{Code: UnknownMethod, Peer: &peer}).Public(1); got != peer {
		t.Errorf("%+v", got)
	}
}

// Every code has a name, and a TApplicationException type that leads back to it or is 6.
func TestCodes(t *testing.T) {
	for c := DeadlineExceeded; c <= OtherException; c++ {
		if strings.HasPrefix(c.String(), "CODE_") {
			t.Errorf("code %d has no name", c)
		}
		if typ := c.ExceptionType(); typ != 6 && CodeOfException(typ) != c {
			t.Errorf("%v is type %d, which is %v", c, typ, CodeOfException(typ))
		}
	}
	if CodeOfException(0) != Internal || CodeOfException(99) != OtherException {
		t.Error("types beyond Thrift's")
	}
}

// Any error becomes an *Error; one that is one stays itself.
func TestAsError(t *testing.T) {
	own := &Error{Code: HandlerFailed}
	if AsError(own, "x") != own || AsError(nil, "x") != nil {
		t.Error("an *Error and nil stay what they are")
	}
	for err, want := range map[error]Code{context.Canceled: Cancelled, context.DeadlineExceeded: DeadlineExceeded, errors.New("x"): Internal} {
		if got := AsError(err, "op"); got.Code != want || !errors.Is(got, err) {
			t.Errorf("%v became %v", err, got)
		}
	}
}

// An attempt that ends after its call is an event of its own.
func TestLateAttempts(t *testing.T) {
	var late []Attempt
	var r Record
	r.Begin(&Call{}, func(_ *Call, a Attempt) { late = append(late, a) })
	r.Add(Attempt{Endpoint: "a"})
	r.Finish(time.Second, nil, &Error{Code: DeadlineExceeded})
	r.Add(Attempt{Endpoint: "b"})
	if len(r.Attempts()) != 1 || len(late) != 1 || late[0].Endpoint != "b" || r.Code() != "DEADLINE_EXCEEDED" {
		t.Errorf("attempts %v, late %v, code %s", r.Attempts(), late, r.Code())
	}
	var none *Record
	none.Add(Attempt{}) // nobody observes
}

// Ids do not repeat, whoever makes them.
func TestIDsAreUnique(t *testing.T) {
	var seen sync.Map
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10_000 {
				if _, twice := seen.LoadOrStore(NewID(), true); twice {
					t.Error("an id came twice")
				}
			}
		})
	}
	wg.Wait()
}

// A value by method is found by the method's index; methods that the IDL does not have share one.
func TestPerMethod(t *testing.T) {
	p := PerMethod[string]{Methods: []string{"a", "b"}, Other: "other"}
	for want, m := range map[string]*schema.Method{"b": {Index: 1}, "other": nil} {
		if got := *p.For(&Call{Method: m}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
