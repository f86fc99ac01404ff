package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/thrift/lib/go/thrift"

	"apachego/kinds"
)

type (
	nested = map[string][][]int32
	shapes = map[int32]map[kinds.Color]*kinds.Shape
)

var ctx = context.Background()

// cases are those of client.py.
var cases = []struct {
	name string
	run  func(*connection, place) error
}{
	{"void", func(c *connection, _ place) error { return c.Ping(ctx) }},
	{"ascii", func(c *connection, _ place) error {
		return comes(c.EchoString, "", "a", "plain text", strings.Repeat("x", 4095), strings.Repeat("x", 4096), strings.Repeat("x", 4097))
	}},
	{"utf8", func(c *connection, _ place) error {
		return comes(c.EchoString, "é", "naïve façade", "日本語", "👩‍🚀 𝒳", "nul \x00 within", "line\nends\r\n")
	}},
	{"big", big}, {"binary", binaries}, {"bases", bases}, {"all_bases", allBases}, {"nested_struct", nestedStruct},
	{"containers", containers}, {"union", union}, {"declared_exception", declared}, {"undeclared_exception", undeclared},
	{"unknown_method", unknownMethod}, {"oneway", oneway}, {"oneway_that_raises", onewayThatRaises},
	{"slow", func(c *connection, _ place) error { return comes(c.Sleep, 200) }},
	{"concurrent_clients", concurrentClients},
}

// run runs a case on a connection of its own.
func (p place) run(f func(*connection, place) error) error {
	c, err := p.dial()
	if err != nil {
		return err
	}
	defer c.transport.Close()
	return f(c, p)
}

// comes checks that values come back as they went.
func comes[T any](echo func(context.Context, T) (T, error), values ...T) error {
	for _, v := range values {
		got, err := echo(ctx, v)
		if err != nil {
			return fmt.Errorf("%.100v: %w", v, err)
		}
		if !reflect.DeepEqual(got, v) {
			return fmt.Errorf("got %.200v, want %.200v", got, v)
		}
	}
	return nil
}

func big(c *connection, _ place) error {
	const size = 500 * 1000
	got, err := c.Big(ctx, size)
	if err != nil || got != strings.Repeat("x", size) {
		return fmt.Errorf("got %d bytes, %w", len(got), err)
	}
	return errors.Join(comes(c.EchoString, strings.Repeat("0123456789", size/10)), c.Ping(ctx))
}

func binaries(c *connection, _ place) error {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	return comes(c.EchoBinary, []byte{}, []byte{0}, []byte("plain"), every, []byte{0x80, 1, 0, 1}, bytes.Repeat([]byte{0xff}, 70000))
}

func bases(c *connection, _ place) error {
	nan, err := c.EchoDouble(ctx, math.NaN())
	if err == nil && !math.IsNaN(nan) {
		err = fmt.Errorf("NaN came back as %v", nan)
	}
	zero, err2 := c.EchoDouble(ctx, math.Copysign(0, -1))
	if err2 == nil && !math.Signbit(zero) {
		err2 = fmt.Errorf("-0.0 came back as %v", zero)
	}
	return errors.Join(err, err2,
		comes(c.EchoBool, true, false), comes(c.EchoByte, math.MinInt8, -1, 0, 1, math.MaxInt8),
		comes(c.EchoI16, math.MinInt16, -1, 0, 1, math.MaxInt16), comes(c.EchoI32, math.MinInt32, -1, 0, 1, math.MaxInt32),
		comes(c.EchoI64, math.MinInt64, -1, 0, 1, math.MaxInt64),
		comes(c.EchoDouble, 0, 1.5, -1e-300, math.MaxFloat64, 2.2250738585072014e-308, 5e-324, math.Inf(1), math.Inf(-1)),
		comes(c.EchoColor, kinds.Color_RED, kinds.Color_BLUE, 77)) // a number that the enum does not have
}

func allBases(c *connection, _ place) error {
	return comes(c.EchoBases,
		&kinds.Bases{false, math.MinInt8, math.MinInt16, math.MinInt32, math.MinInt64, -0.5, "", []byte{0xfe, 0xff}},
		&kinds.Bases{true, math.MaxInt8, math.MaxInt16, math.MaxInt32, math.MaxInt64, 1e300, "é", []byte{0, 0xff}},
		&kinds.Bases{Medium: 1, Raw: []byte{}})
}

func shape(name string, corners int) *kinds.Shape {
	s := &kinds.Shape{
		Name: name, Origin: &kinds.Point{X: 1, Y: -2}, Corners: []*kinds.Point{}, Color: kinds.Color_GREEN,
		Marks: map[string]*kinds.Point{"top": {X: 0, Y: 9}, "é": {X: -1, Y: 0}},
	}
	for n := range int32(corners) {
		s.Corners = append(s.Corners, &kinds.Point{X: n, Y: n * n})
	}
	return s
}

func nestedStruct(c *connection, _ place) error {
	labelled, bare, here := shape("n", 1), shape("bare", 0), "here"
	labelled.Label = &here
	bare.Closed, bare.Marks = true, map[string]*kinds.Point{}
	return comes(c.EchoShape, shape("n", 0), shape("n", 3), shape("n", 5000), labelled, bare)
}

func containers(c *connection, _ place) error {
	want := nested{"": {}, "one": {{1}}, "more": {{}, {-1, 2, math.MaxInt32}, {5}}}
	got, err := c.EchoNested(ctx, want)
	for _, sets := range got {
		for _, set := range sets {
			slices.Sort(set)
		}
	}
	if err == nil && !reflect.DeepEqual(got, want) {
		err = fmt.Errorf("got %v, want %v", got, want)
	}
	return errors.Join(err, comes(c.EchoNested, nested{}),
		comes(c.EchoShapes, shapes{-7: {kinds.Color_RED: shape("a", 2), kinds.Color_BLUE: shape("b", 0)}, 0: {}}))
}

func union(c *connection, _ place) error {
	number, text := int64(1<<40), "é"
	return comes(c.EchoValue, &kinds.Value{Number: &number}, &kinds.Value{Text: &text}, &kinds.Value{Point: &kinds.Point{X: 3, Y: 4}})
}

func declared(c *connection, _ place) error {
	_, err := c.Refuse(ctx, "not today — é", -3)
	var refused *kinds.Refused
	if !errors.As(err, &refused) || refused.Reason != "not today — é" || refused.Code != -3 {
		return fmt.Errorf("got %w", err)
	}
	return c.Ping(ctx)
}

// fails checks that a call ends in a TApplicationException of that type.
func fails(err error, kind int32) error {
	var e thrift.TApplicationException
	if !errors.As(err, &e) || e.TypeId() != kind {
		return fmt.Errorf("got %v, want an application exception of type %d", err, kind)
	}
	return nil
}

func undeclared(c *connection, p place) error {
	_ = c.Ping(ctx)
	_, err := c.Crash(ctx, "on purpose")
	return errors.Join(fails(err, thrift.INTERNAL_ERROR), comes(c.EchoString, "still here"),
		p.run(func(c *connection, _ place) error { return c.Ping(ctx) }))
}

func unknownMethod(c *connection, _ place) error {
	_, err := c.raw.Call(ctx, "missing", &kinds.KindsCrashArgs{Reason: "word"}, &kinds.KindsCrashResult{})
	return errors.Join(fails(err, thrift.UNKNOWN_METHOD), comes(c.EchoString, "still here"))
}

func newWord() string { return fmt.Sprintf("word-%016x", rand.Uint64()) }

// recorded waits until the server has recorded the word, once.
func (p place) recorded(word string) error {
	return p.run(func(c *connection, _ place) error {
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			words, err := c.Remembered(ctx, word)
			if err != nil || len(words) == 1 {
				return err
			}
			if len(words) > 1 || time.Now().After(end) {
				return fmt.Errorf("recorded %d times", len(words))
			}
		}
	})
}

func oneway(c *connection, p place) error {
	var waited time.Duration
	for range 3 { // a machine may stand still for as long as the handler takes; not three times
		word, start := newWord(), time.Now()
		err := c.Remember(ctx, word, 1000)
		waited = time.Since(start)
		if err = errors.Join(err, comes(c.EchoString, word), comes(c.EchoI32, 4711), p.recorded(word)); err != nil || waited < 900*time.Millisecond {
			return err
		}
	}
	return fmt.Errorf("the oneway waited for its handler: %v", waited)
}

func onewayThatRaises(c *connection, p place) error {
	word := newWord()
	return errors.Join(c.Stumble(ctx, word), comes(c.EchoString, "still here"), p.recorded(word))
}

func concurrentClients(_ *connection, p place) error {
	failures := make([]error, 100)
	var all sync.WaitGroup
	for n := range failures {
		all.Add(1)
		go func() {
			defer all.Done()
			failures[n] = p.run(func(c *connection, _ place) error {
				for turn := range 2 {
					text := fmt.Sprintf("client %d, call %d", n, turn)
					if err := errors.Join(comes(c.EchoString, text), comes(c.EchoI32, int32(n*1000+turn))); err != nil {
						return err
					}
				}
				return nil
			})
		}()
	}
	all.Wait()
	return errors.Join(failures...)
}
