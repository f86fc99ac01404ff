package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire/message"
)

// tester is what a case needs of a *testing.T: the matrix has cases that a peer's own fault keeps from passing.
type tester interface {
	Helper()
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Context() context.Context
}

// goCases are those of client.py, by the library's own client.
var goCases = []struct {
	name string
	run  func(tester, *goClient)
}{
	{"void", void}, {"ascii", ascii}, {"utf8", utf8}, {"big", big}, {"binary", binaries}, {"bases", bases}, {"all_bases", allBases},
	{"nested_struct", structs}, {"containers", containers}, {"union", unions}, {"declared_exception", declared},
	{"undeclared_exception", undeclared}, {"unknown_method", unknown}, {"oneway", oneway}, {"oneway_that_raises", onewayThatRaises},
	{"slow", func(t tester, c *goClient) { comes(t, c.Sleep, 200) }}, {"concurrent_clients", concurrent},
}

// goClient is the library's client of Kinds.
type goClient struct {
	caller
	client *thriftloom.Client
	zeroes bool // of a server whose code has no unset fields: they come back as zero
}

// dialGo returns a client, to be closed.
func dialGo(t testing.TB, cfg thriftloom.ClientConfig) *goClient {
	t.Helper()
	client, err := cfg.Dial(document(t).Service("Kinds"))
	if err != nil {
		t.Fatal(err)
	}
	c := &goClient{client: client}
	if err := thriftloom.Bind(client, &c.caller, thriftloom.Exceptions((*Refused)(nil))); err != nil {
		t.Fatal(err)
	}
	return c
}

// callGo checks a server with all the cases.
func callGo(t *testing.T, s server, kind transport.Kind) {
	c := dialGo(t, thriftloom.ClientConfig{Addresses: []string{s.address}, Framed: kind == transport.Framed, Connections: 16})
	defer c.client.Close()
	for _, one := range goCases {
		t.Run(one.name, func(t *testing.T) { one.run(t, c) })
	}
}

// comes checks that a value comes back as it went.
func comes[T any](t tester, echo func(context.Context, T) (T, error), values ...T) {
	t.Helper()
	for _, v := range values {
		got, err := echo(t.Context(), v)
		if err != nil {
			t.Errorf("%.100s: %v", fmt.Sprint(v), err)
		} else if reflect.DeepEqual(v, got) {
			continue // a hundred times faster than what comes next, which knows of NaN and of empty
		} else if diff := cmp.Diff(v, got, cmpopts.EquateEmpty(), cmpopts.EquateNaNs()); diff != "" {
			t.Error(diff[:min(len(diff), 2000)])
		}
	}
}

func void(t tester, c *goClient) {
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func ascii(t tester, c *goClient) {
	comes(t, c.EchoString, "", "a", "plain text", strings.Repeat("x", 4095), strings.Repeat("x", 4096), strings.Repeat("x", 4097))
}

func utf8(t tester, c *goClient) {
	comes(t, c.EchoString, "é", "naïve façade", "日本語", "👩‍🚀 𝒳", "nul \x00 within", "line\nends\r\n")
}

func big(t tester, c *goClient) {
	if got, err := c.Big(t.Context(), 500_000); err != nil || got != strings.Repeat("x", 500_000) {
		t.Errorf("big: %d bytes, %v", len(got), err)
	}
	comes(t, c.EchoString, strings.Repeat("0123456789", 50_000))
}

func binaries(t tester, c *goClient) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	comes(t, c.EchoBinary, []byte{}, []byte{0}, []byte("plain"), every, []byte{0x80, 1, 0, 1}, bytes.Repeat([]byte{0xff}, 70_000))
}

func bases(t tester, c *goClient) {
	comes(t, c.EchoBool, true, false)
	comes(t, c.EchoByte, math.MinInt8, -1, 0, math.MaxInt8)
	comes(t, c.EchoI16, math.MinInt16, -1, 0, math.MaxInt16)
	comes(t, c.EchoI32, math.MinInt32, -1, 0, math.MaxInt32)
	comes(t, c.EchoI64, math.MinInt64, -1, 0, math.MaxInt64)
	comes(t, c.EchoDouble, 0, 1.5, -1e-300, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), math.NaN())
	comes(t, c.EchoColor, 1, 5, 77) // 77 is no member of the enum
	if got, err := c.EchoDouble(t.Context(), math.Copysign(0, -1)); err != nil || !math.Signbit(got) {
		t.Errorf("-0.0 came back as %v, %v", got, err)
	}
}

func allBases(t tester, c *goClient) {
	comes(t, c.EchoBases,
		&Bases{new(false), new(int8(math.MinInt8)), new(int16(math.MinInt16)), new(int32(math.MinInt32)), new(int64(math.MinInt64)), new(-0.5), new(""), []byte{0xfe, 0xff}},
		&Bases{new(true), new(int8(math.MaxInt8)), new(int16(math.MaxInt16)), new(int32(math.MaxInt32)), new(int64(math.MaxInt64)), new(1e300), new("é"), []byte{0, 0xff}})
	if c.zeroes {
		return
	}
	comes(t, c.EchoBases, &Bases{Medium: new(int32(1))}) // what is unset stays unset
}

func shape(name string, corners int) *Shape {
	s := &Shape{
		Name: name, Origin: &Point{1, -2}, Color: new(int32(2)), Marks: map[string]Point{"top": {0, 9}, "é": {-1, 0}}, Closed: new(false),
	}
	for n := range int32(corners) {
		s.Corners = append(s.Corners, Point{n, n * n})
	}
	return s
}

func structs(t tester, c *goClient) {
	labelled := shape("n", 1)
	labelled.Label = new("here")
	comes(t, c.EchoShape, shape("n", 0), shape("n", 3), shape("n", 5000), labelled)
	got, err := c.EchoShape(t.Context(), &Shape{Name: "bare"})
	if err != nil || got.Name != "bare" || got.Label != nil || got.Origin != nil && !c.zeroes {
		t.Errorf("a bare shape came back as %+v, %v", got, err)
	}
}

func containers(t tester, c *goClient) {
	nested := map[string][][]int32{"": {}, "one": {{1}}, "more": {{}, {-1, 2, math.MaxInt32}, {5}}}
	got, err := c.EchoNested(t.Context(), nested)
	for _, lists := range got {
		for _, set := range lists {
			slices.Sort(set) // a set has no order
		}
	}
	if diff := cmp.Diff(nested, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Error(err, diff)
	}
	comes(t, c.EchoNested, map[string][][]int32{})
	comes(t, c.EchoShapes, map[int32]map[int32]Shape{-7: {1: *shape("a", 2), 5: *shape("b", 0)}, 0: {}})
}

func unions(t tester, c *goClient) {
	comes(t, c.EchoValue, &Value{Number: new(int64(1 << 40))}, &Value{Text: new("é")}, &Value{Point: &Point{3, 4}})
}

func declared(t tester, c *goClient) {
	var refused *Refused
	if _, err := c.Refuse(t.Context(), "not today — é", -3); !errors.As(err, &refused) || *refused != (Refused{"not today — é", -3}) {
		t.Errorf("refuse: %v", err)
	}
	void(t, c)
}

func undeclared(t tester, c *goClient) {
	var failed *thriftloom.Error
	if _, err := c.Crash(t.Context(), "on purpose"); !errors.As(err, &failed) {
		t.Errorf("crash: %v", err)
	}
	void(t, c)
}

// unknown calls what the service does not have.
func unknown(t tester, c *goClient) {
	speaks := c.client.Protocol()
	call := &rpc.Call{ID: rpc.NewID(), Service: "Kinds", Name: "missing", Protocol: speaks, Body: message.Empty(speaks), Start: time.Now()}
	_, err := c.client.Handle(t.Context(), call)
	var e *thriftloom.Error
	if !errors.As(err, &e) || e.Code != rpc.UnknownMethod {
		t.Errorf("error %v", err)
	}
	comes(t, c.EchoString, "still here")
}

func newWord() string { return "word-" + rpc.NewID().String() }

// recorded waits until the server has recorded the word, once.
func recorded(t tester, c *goClient, word string) {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		got, err := c.Remembered(t.Context(), word)
		switch {
		case err != nil:
			t.Error(err)
			return
		case len(got) == 1:
			return
		case len(got) > 1 || time.Now().After(end):
			t.Errorf("recorded %d times", len(got))
			return
		}
	}
}

// A oneway runs once, its caller does not wait, and what it leaves behind reaches no other call.
func oneway(t tester, c *goClient) {
	start, word := time.Now(), newWord()
	if err := c.Remember(t.Context(), word, 1000); err != nil {
		t.Error(err)
	}
	if waited := time.Since(start); waited >= 900*time.Millisecond {
		t.Errorf("the oneway waited for its handler")
	}
	comes(t, c.EchoString, word)
	recorded(t, c, word)
}

func onewayThatRaises(t tester, c *goClient) {
	word := newWord()
	if err := c.Stumble(t.Context(), word); err != nil {
		t.Error(err)
	}
	comes(t, c.EchoString, word)
	recorded(t, c, word)
}

// turns is how often each of a hundred callers calls.
const turns = 4

// A hundred callers at once each get their own answers.
func concurrent(t tester, c *goClient) {
	var all sync.WaitGroup
	for n := range 100 {
		all.Go(func() {
			for turn := range turns {
				comes(t, c.EchoString, fmt.Sprintf("caller %d, call %d", n, turn))
			}
		})
	}
	all.Wait()
}
