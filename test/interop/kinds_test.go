package interop

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// The Go side of kinds.thrift: what a user of the library writes.

type Point struct{ X, Y int32 }

type Shape struct {
	Name    string
	Label   *string
	Origin  *Point
	Corners []Point
	Color   *int32
	Marks   map[string]Point
	Closed  *bool
}

type Bases struct {
	Flag   *bool
	Tiny   *int8
	Small  *int16
	Medium *int32
	Large  *int64
	Real   *float64
	Text   *string
	Raw    []byte
}

type Value struct {
	Number *int64
	Text   *string
	Point  *Point
}

type Refused struct {
	Reason string
	Code   int32
}

func (r *Refused) Error() string { return "refused: " + r.Reason }

// kinds serves Kinds.
type kinds struct {
	mu    sync.Mutex
	words []string
}

func (*kinds) Ping(context.Context) error                               { return nil }
func (*kinds) EchoBool(_ context.Context, v bool) (bool, error)         { return v, nil }
func (*kinds) EchoByte(_ context.Context, v int8) (int8, error)         { return v, nil }
func (*kinds) EchoI16(_ context.Context, v int16) (int16, error)        { return v, nil }
func (*kinds) EchoI32(_ context.Context, v int32) (int32, error)        { return v, nil }
func (*kinds) EchoI64(_ context.Context, v int64) (int64, error)        { return v, nil }
func (*kinds) EchoDouble(_ context.Context, v float64) (float64, error) { return v, nil }
func (*kinds) EchoString(_ context.Context, v string) (string, error)   { return v, nil }
func (*kinds) EchoBinary(_ context.Context, v []byte) ([]byte, error)   { return v, nil }
func (*kinds) EchoColor(_ context.Context, v int32) (int32, error)      { return v, nil }
func (*kinds) EchoBases(_ context.Context, v *Bases) (*Bases, error)    { return v, nil }
func (*kinds) EchoShape(_ context.Context, v *Shape) (*Shape, error)    { return v, nil }
func (*kinds) EchoValue(_ context.Context, v *Value) (*Value, error)    { return v, nil }
func (*kinds) Pid(context.Context) (int32, error)                       { return int32(os.Getpid()), nil }
func (*kinds) Crash(_ context.Context, reason string) (string, error)   { return "", errors.New(reason) }
func (*kinds) Refuse(_ context.Context, why string, c int32) (string, error) {
	return "", &Refused{why, c}
}
func (*kinds) Big(_ context.Context, bytes int32) (string, error) {
	return strings.Repeat("x", int(bytes)), nil
}
func (*kinds) EchoNested(_ context.Context, v map[string][][]int32) (map[string][][]int32, error) {
	return v, nil
}
func (*kinds) EchoShapes(_ context.Context, v map[int32]map[int32]Shape) (map[int32]map[int32]Shape, error) {
	return v, nil
}

func (*kinds) Sleep(_ context.Context, millis int32) (int32, error) {
	time.Sleep(time.Duration(millis) * time.Millisecond)
	return millis, nil
}

func (k *kinds) Remember(ctx context.Context, word string, millis int32) error {
	_, _ = k.Sleep(ctx, millis)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.words = append(k.words, word)
	return nil
}

func (k *kinds) Stumble(ctx context.Context, word string) error {
	_ = k.Remember(ctx, word, 0)
	panic(word)
}

func (k *kinds) Remembered(_ context.Context, prefix string) ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(k.words), func(w string) bool { return !strings.HasPrefix(w, prefix) }), nil
}

// caller calls Kinds.
type caller struct {
	Ping       func(context.Context) error
	EchoBool   func(context.Context, bool) (bool, error)
	EchoByte   func(context.Context, int8) (int8, error)
	EchoI16    func(context.Context, int16) (int16, error)
	EchoI32    func(context.Context, int32) (int32, error)
	EchoI64    func(context.Context, int64) (int64, error)
	EchoDouble func(context.Context, float64) (float64, error)
	EchoString func(context.Context, string) (string, error)
	EchoBinary func(context.Context, []byte) ([]byte, error)
	EchoColor  func(context.Context, int32) (int32, error)
	EchoBases  func(context.Context, *Bases) (*Bases, error)
	EchoShape  func(context.Context, *Shape) (*Shape, error)
	EchoValue  func(context.Context, *Value) (*Value, error)
	EchoNested func(context.Context, map[string][][]int32) (map[string][][]int32, error)
	EchoShapes func(context.Context, map[int32]map[int32]Shape) (map[int32]map[int32]Shape, error)
	Big        func(context.Context, int32) (string, error)
	Sleep      func(context.Context, int32) (int32, error)
	Pid        func(context.Context) (int32, error)
	Refuse     func(context.Context, string, int32) (string, error)
	Crash      func(context.Context, string) (string, error)
	Remember   func(context.Context, string, int32) error
	Stumble    func(context.Context, string) error
	Remembered func(context.Context, string) ([]string, error)
}
