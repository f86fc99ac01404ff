package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"sync"
	"time"

	"apachego/kinds"
)

// serve serves every place until it is killed.
func serve(places []place) {
	h := &handler{}
	for _, p := range places {
		run, err := p.listen(h)
		if err != nil {
			log.Fatal(err)
		}
		go func() { log.Fatal(run()) }()
	}
	fmt.Println("ready")
	select {}
}

// handler serves Kinds.
type handler struct {
	mu    sync.Mutex
	words []string
}

func (*handler) Ping(context.Context) error                                        { return nil }
func (*handler) EchoBool(_ context.Context, v bool) (bool, error)                  { return v, nil }
func (*handler) EchoByte(_ context.Context, v int8) (int8, error)                  { return v, nil }
func (*handler) EchoI16(_ context.Context, v int16) (int16, error)                 { return v, nil }
func (*handler) EchoI32(_ context.Context, v int32) (int32, error)                 { return v, nil }
func (*handler) EchoI64(_ context.Context, v int64) (int64, error)                 { return v, nil }
func (*handler) EchoDouble(_ context.Context, v float64) (float64, error)          { return v, nil }
func (*handler) EchoString(_ context.Context, v string) (string, error)            { return v, nil }
func (*handler) EchoBinary(_ context.Context, v []byte) ([]byte, error)            { return v, nil }
func (*handler) EchoColor(_ context.Context, v kinds.Color) (kinds.Color, error)   { return v, nil }
func (*handler) EchoBases(_ context.Context, v *kinds.Bases) (*kinds.Bases, error) { return v, nil }
func (*handler) EchoShape(_ context.Context, v *kinds.Shape) (*kinds.Shape, error) { return v, nil }
func (*handler) EchoValue(_ context.Context, v *kinds.Value) (*kinds.Value, error) { return v, nil }
func (*handler) EchoNested(_ context.Context, v nested) (nested, error)            { return v, nil }
func (*handler) EchoShapes(_ context.Context, v shapes) (shapes, error)            { return v, nil }
func (*handler) Pid(context.Context) (int32, error)                                { return int32(os.Getpid()), nil }
func (*handler) Crash(_ context.Context, reason string) (string, error) {
	return "", errors.New(reason)
}
func (*handler) Refuse(_ context.Context, reason string, code int32) (string, error) {
	return "", &kinds.Refused{Reason: reason, Code: code}
}

func (*handler) Big(_ context.Context, bytes int32) (string, error) {
	return strings.Repeat("x", int(bytes)), nil
}

func (*handler) Sleep(_ context.Context, millis int32) (int32, error) {
	time.Sleep(time.Duration(millis) * time.Millisecond)
	return millis, nil
}

func (h *handler) Remember(ctx context.Context, word string, millis int32) error {
	_, _ = h.Sleep(ctx, millis)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.words = append(h.words, word)
	return nil
}

func (h *handler) Stumble(ctx context.Context, word string) error {
	_ = h.Remember(ctx, word, 0)
	return errors.New(word)
}

func (h *handler) Remembered(_ context.Context, prefix string) ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	words := []string{}
	for _, w := range h.words {
		if strings.HasPrefix(w, prefix) {
			words = append(words, w)
		}
	}
	return words, nil
}
