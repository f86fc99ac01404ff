package faults

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/layer/match"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

var get = schema.MustParse(`
exception Denied { 1: string why }
exception NotFound { 1: i64 id, 2: string message = "nobody", 3: list<string> near }
service Users { string get(1: i64 id) throws (1: Denied denied, 2: NotFound missing) }`).Service("Users").Method("get")

// numbers returns the given ones in turn.
func numbers(list ...float64) func() float64 {
	return func() float64 {
		n := list[0]
		list = list[1:]
		return n
	}
}

// run makes a call through the layer, and returns what became of it, and whether it went on.
func run(ctx context.Context, p Policy, call *rpc.Call, random func() float64) (reply *rpc.Reply, e *rpc.Error, went bool) {
	h := Layer(rpc.PerMethod[Policy]{Other: p}, random).Wrap(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		went = true
		return &rpc.Reply{}, nil
	}))
	reply, err := h.Handle(ctx, call)
	return reply, rpc.AsError(err, ""), went
}

// A call waits for a time between the two that are given; one that is not drawn does not.
func TestDelay(t *testing.T) {
	for _, tt := range []struct {
		name   string
		drawn  []float64
		want   time.Duration
		counts int64
	}{
		{"not drawn", []float64{0.25}, 0, 0}, {"the least", []float64{0.24, 0}, time.Second, 1}, {"half way", []float64{0, 0.5}, 2 * time.Second, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, start := &Counts{}, time.Now()
			p := Policy{Delay: Delay{Min: time.Second, Max: 3 * time.Second, Percent: 25}, Counts: c}
			_, e, went := run(t.Context(), p, &rpc.Call{Deadline: start.Add(time.Minute)}, numbers(tt.drawn...))
			if took := time.Since(start); took != tt.want || e != nil || !went || c.Delayed.Load() != tt.counts {
				t.Errorf("%s: took %v, %v, went on: %v, %d counted", tt.name, took, e, went, c.Delayed.Load())
			}
		})
	}
}

// A delay ends with the deadline of the call, and when its caller goes: in neither case does the call go on.
func TestDelayEnds(t *testing.T) {
	p := Policy{Delay: Delay{Min: time.Minute, Max: time.Minute, Percent: 100}}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, e, went := run(t.Context(), p, &rpc.Call{Service: "Users", Name: "get", Deadline: start.Add(time.Second)}, numbers(0, 0))
		if took := time.Since(start); took != time.Second || e == nil || e.Code != rpc.DeadlineExceeded || e.Reach != rpc.NotSent || went {
			t.Errorf("took %v, %v, went on: %v", took, e, went)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		_, e, went := run(ctx, p, &rpc.Call{}, numbers(0, 0))
		if took := time.Since(start); took != 2*time.Second || e == nil || e.Code != rpc.Cancelled || went {
			t.Errorf("took %v, %v, went on: %v", took, e, went)
		}
	})
}

// Of the calls so many fail with the code, so many others with the exception, and the rest goes on. None of these may be tried again.
func TestShares(t *testing.T) {
	x, err := NewException(get, get.Throws[1], nil, 20)
	if err != nil {
		t.Fatal(err)
	}
	c := &Counts{}
	p := Policy{Abort: Abort{Code: rpc.Unavailable, Percent: 10}, Exception: x, Counts: c}
	for _, tt := range []struct {
		drawn   float64
		code    rpc.Code
		id      int16
		wentOn  bool
		aborted int64
	}{{0, rpc.Unavailable, 0, false, 1}, {0.099, rpc.Unavailable, 0, false, 2}, {0.1, 0, 2, false, 2}, {0.299, 0, 2, false, 2}, {0.3, 0, 0, true, 2}} {
		reply, e, went := run(t.Context(), p, &rpc.Call{Service: "Users", Name: "get", Method: get, Protocol: wire.Binary}, numbers(tt.drawn))
		var code rpc.Code
		if e != nil {
			code = e.Code
			if e.Retryable(true) || !strings.Contains(e.Public(1).Message, "on purpose") {
				t.Errorf("%v: %v", tt.drawn, e)
			}
		}
		if code != tt.code || went != tt.wentOn || e == nil && reply.Exception != tt.id || c.Aborted.Load() != tt.aborted {
			t.Errorf("%v: %v, %+v, went on: %v, %d aborted", tt.drawn, e, reply, went, c.Aborted.Load())
		}
	}
	if n := c.Excepted.Load(); n != 2 {
		t.Errorf("%d exceptions are counted, want 2", n)
	}
}

// The exception has the fields that are given and the IDL's defaults, and is written in the protocol of the call.
func TestException(t *testing.T) {
	x, err := NewException(get, get.Throws[1], []byte(`{"id": 7, "near": ["Ada"]}`), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []wire.Protocol{wire.Binary, wire.Compact, wire.JSON, wire.ApacheJSON} {
		reply, e, _ := run(t.Context(), Policy{Exception: x}, &rpc.Call{Method: get, Protocol: p}, numbers(0))
		if e != nil || reply.Protocol != p || reply.ExceptionType(get) != "NotFound" {
			t.Fatalf("%s: %+v, %v", p, reply, e)
		}
		v, _, err := codec.DecodeStruct(p, get.Result, reply.Body, wire.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		text, err := codec.AppendJSON(nil, codec.TypeOf(get.Result), v)
		if want := `{"missing":{"id":7,"message":"nobody","near":["Ada"]}}`; err != nil || string(text) != want {
			t.Errorf("%s: %s, %v; want %s", p, text, err, want)
		}
	}
	if _, err := NewException(get, get.Throws[1], []byte(`{"id": "seven", "age": 7}`), 100); err == nil || !strings.Contains(err.Error(), "$.id") || !strings.Contains(err.Error(), "age") {
		t.Errorf("a value that does not fit: %v", err)
	}
}

// Where only some calls are meant, the others go on, and nothing is drawn for them.
func TestOnly(t *testing.T) {
	p := Policy{Abort: Abort{Code: rpc.HandlerFailed, Percent: 100}, Only: match.Match{match.Caller("test")}}
	if _, e, went := run(t.Context(), p, &rpc.Call{Caller: rpc.Caller{Name: "shop"}}, numbers()); e != nil || !went {
		t.Errorf("another caller's call: %v, went on: %v", e, went)
	}
	if _, e, went := run(t.Context(), p, &rpc.Call{Caller: rpc.Caller{Name: "test"}}, numbers(0.99)); e == nil || e.Code != rpc.HandlerFailed || went {
		t.Errorf("its own call: %v, went on: %v", e, went)
	}
}

// Where no method has faults the layer is not there, and a call of one that has none allocates nothing.
func TestNoFaults(t *testing.T) {
	next := new(handler)
	if Layer(rpc.PerMethod[Policy]{Methods: make([]Policy, 2)}, nil).Wrap(next) != rpc.Handler(next) {
		t.Error("a layer without faults stands in the way")
	}
	h := Layer(rpc.PerMethod[Policy]{Methods: make([]Policy, 1), Other: Policy{Abort: Abort{Code: rpc.Unavailable, Percent: 100}}}, nil).Wrap(next)
	call := &rpc.Call{Method: get}
	if n := testing.AllocsPerRun(100, func() { _, _ = h.Handle(context.Background(), call) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type handler struct{}

func (*handler) Handle(context.Context, *rpc.Call) (*rpc.Reply, error) { return nil, nil }
