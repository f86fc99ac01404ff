package server

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// aCall is a call of a connection of s that h answers.
func aCall(s *Server, h rpc.HandlerFunc) *exchange {
	c := newConn(context.Background(), s, &sent{}, transport.NewDetector(wire.Limits{}, nil))
	return &exchange{conn: c, call: rpc.Call{Oneway: true}, handler: h}
}

// A worker that is through takes the next call; calls that run at one time have a worker each; what waits is bounded, and ends with end.
func TestWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		w := &s.workers
		waiting := func() int {
			w.mu.Lock()
			defer w.mu.Unlock()
			return len(w.idle)
		}
		var mu sync.Mutex
		ran := map[string]int{} // by goroutine
		note := func(context.Context, *rpc.Call) (*rpc.Reply, error) {
			buf := make([]byte, 64)
			mu.Lock()
			ran[string(buf[:runtime.Stack(buf, false)])[:13]]++
			mu.Unlock()
			return &rpc.Reply{}, nil
		}
		for range 10 {
			w.run(aCall(s, note))
			synctest.Wait()
		}
		if n := waiting(); len(ran) != 1 || n != 1 {
			t.Errorf("ten calls in a row ran on %d goroutines, and %d wait; want one", len(ran), n)
		}

		hold := make(chan struct{})
		for range 2 * maxIdle {
			w.run(aCall(s, func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) { <-hold; return note(ctx, c) }))
		}
		synctest.Wait()
		if n := waiting(); n != 0 {
			t.Errorf("%d workers wait while all have a call", n)
		}
		close(hold)
		synctest.Wait()
		if n := waiting(); n != maxIdle {
			t.Errorf("%d workers wait, want %d", n, maxIdle)
		}

		for range 25 {
			time.Sleep(trimming / 10)
			w.run(aCall(s, note))
			synctest.Wait()
		}
		if n := waiting(); n != 1 {
			t.Errorf("%d workers wait after some time of calls one by one, want one", n)
		}
		time.Sleep(2 * trimming)
		if n := waiting(); n != 0 {
			t.Errorf("%d workers wait after some time without a call, want none", n)
		}
		w.run(aCall(s, note))
		synctest.Wait()
		w.end() // the bubble ends only if all goroutines have
	})
}

// A call that ends its goroutine takes no other call with it.
func TestWorkersGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		ran := false
		s.workers.run(aCall(s, func(context.Context, *rpc.Call) (*rpc.Reply, error) { runtime.Goexit(); return nil, nil }))
		synctest.Wait()
		s.workers.run(aCall(s, func(context.Context, *rpc.Call) (*rpc.Reply, error) { ran = true; return nil, nil }))
		synctest.Wait()
		if !ran {
			t.Error("the next call did not run")
		}
		s.workers.end()
	})
}
