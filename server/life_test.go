package server_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/server"
	"github.com/thriftloom/thriftloom/wire"
)

// A half-closed caller gets its answers; then its connection is closed.
func TestHalfClosedCallerIsAnswered(t *testing.T) {
	eachWire(t, server.Config{}, func(c *caller) {
		c.call("sleep2", 1)
		c.call("echo", 2)
		_ = c.conn.CloseWrite()
		c.reply("sleep2", 1)
		c.reply("echo", 2)
		c.end()
	})
}

// A half-closed caller with more calls than may be in flight gets every answer.
func TestHalfClosedCallerBehindThePipelineBound(t *testing.T) {
	eachWire(t, server.Config{MaxPipelined: 2}, func(c *caller) {
		for i := range 9 {
			c.call("sleep1", i)
		}
		_ = c.conn.CloseWrite()
		for i := range 9 {
			c.reply("sleep1", i)
		}
		c.end()
	})
}

// A reset cancels the calls of its connection and of no other; calls that wait for their turn are not started any more.
func TestResetCancelsTheCallsOfItsConnection(t *testing.T) {
	serve(t, server.Config{Ordered: true}, func(r *rig) {
		gone, other := r.dial(buffered), r.dial(buffered)
		gone.call("sleep8", 1)
		gone.call("sleep7", 2)
		other.call("sleep9", 3)
		synctest.Wait()
		gone.conn.Reset()
		if got := <-r.ended; got != "sleep8 cancelled" {
			t.Errorf("ended: %s", got)
		}
		other.reply("sleep9", 3)
		for _, name := range r.called() {
			if name == "sleep7" {
				t.Error("a call whose caller has gone was started")
			}
		}
	})
}

// Nobody waits for a oneway, so it does not end with its caller: neither one that runs nor one that waits for its turn.
func TestOnewayOutlivesItsCaller(t *testing.T) {
	serve(t, server.Config{Ordered: true}, func(r *rig) {
		c := r.dial(buffered)
		c.write(c.message(wire.Oneway, "notify3", 1))
		c.call("sleep1", 2)
		c.write(c.message(wire.Oneway, "notify4", 3))
		synctest.Wait()
		c.conn.Reset()
		for _, want := range []string{"notify3", "notify4"} {
			if got := <-r.ended; got != want {
				t.Errorf("ended: %s, want %s", got, want)
			}
		}
	})
}

// Past MaxConnections a new connection is closed at once and counted; when one has gone there is room again.
func TestConnectionsAreBounded(t *testing.T) {
	serve(t, server.Config{MaxConnections: 2}, func(r *rig) {
		a, b := r.dial(buffered), r.dial(buffered)
		a.call("echo", 1)
		a.reply("echo", 1)
		b.call("echo", 1)
		b.reply("echo", 1)
		r.dial(buffered).end()
		if s := r.Snapshot(); s.Connections != 2 || s.Rejected != 1 || s.Accepted != 2 {
			t.Errorf("%+v", s)
		}
		_ = a.conn.Close()
		synctest.Wait()
		c := r.dial(buffered)
		c.call("echo", 1)
		c.reply("echo", 1)
	})
}

// A silent caller is left alone for as long as it likes.
func TestIdleCallersStay(t *testing.T) {
	serve(t, server.Config{}, func(r *rig) {
		c := r.dial(buffered)
		for range 3 {
			c.call("echo", 1)
			c.reply("echo", 1)
			time.Sleep(24 * time.Hour)
		}
	})
}

// Drain closes idle connections at once, answers what was read whole, oneways included, gives up what is not whole, and takes no new
// connection. Then Serve returns.
func TestDrain(t *testing.T) {
	serve(t, server.Config{}, func(r *rig) {
		idle, busy, half, oneway := r.dial(buffered), r.dial(buffered), r.dial(buffered), r.dial(buffered)
		idle.call("echo", 1)
		idle.reply("echo", 1)
		busy.call("sleep3", 2)
		busy.call("sleep2", 3)
		half.write(half.message(wire.Call, "echo", 4)[:9])
		oneway.write(oneway.message(wire.Oneway, "notify5", 5))
		synctest.Wait()
		oneway.conn.Reset()
		synctest.Wait()

		start := time.Now()
		drained := make(chan error, 1)
		go func() { drained <- r.Drain(r.Context()) }()
		idle.end()
		half.end()
		if d := time.Since(start); d != 0 {
			t.Errorf("idle connections were closed after %v", d)
		}
		if _, err := r.network.Dial(r.Context(), address); err == nil {
			t.Error("a new connection was taken")
		}
		busy.call("echo", 6) // too late: never answered
		busy.reply("sleep3", 2)
		busy.reply("sleep2", 3)
		busy.end()
		_ = busy.conn.Close()
		if err := <-drained; err != nil || time.Since(start) != 5*time.Second {
			t.Errorf("Drain: %v after %v, want the 5s of the oneway", err, time.Since(start))
		}
		if err := <-r.served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if d := cmp.Diff([]string{"echo", "notify5", "sleep2", "sleep3"}, slices.Sorted(slices.Values(r.called()))); d != "" {
			t.Error(d)
		}
	})
}

// What came whole and waits behind the pipeline bound was read, and is answered.
func TestDrainAnswersWhatWaitsBehindThePipelineBound(t *testing.T) {
	eachWire(t, server.Config{MaxPipelined: 2}, func(c *caller) {
		var all []byte
		for i := range 9 {
			all = append(all, c.message(wire.Call, "sleep1", i)...)
		}
		c.write(append(all, "\x80\x01"...))
		synctest.Wait()
		drained := make(chan error, 1)
		go func() { drained <- c.Drain(c.Context()) }()
		for i := range 9 {
			c.reply("sleep1", i)
		}
		c.end()
		_ = c.conn.Close()
		if err := <-drained; err != nil {
			c.Error(err)
		}
	})
}

// A request that is being taken when the drain begins has come whole, and is answered.
func TestDrainInTheMiddleOfAnArrival(t *testing.T) {
	var r *rig
	drained := make(chan error, 1)
	cfg := server.Config{Route: func(head *wire.Head, call *rpc.Call) (rpc.Handler, *rpc.Error) {
		go func() { drained <- r.Drain(r.Context()) }()
		synctest.Wait()
		return r.route(head, call)
	}}
	serve(t, cfg, func(made *rig) {
		r, drained = made, make(chan error, 1)
		c := r.dial(buffered)
		c.call("sleep1", 1)
		c.reply("sleep1", 1)
		c.end()
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}

// A caller that goes on sending while its connection is drained does not lose the answer that it waits for.
func TestDrainOfACallerThatDoesNotStop(t *testing.T) {
	serve(t, server.Config{Limits: wire.Limits{MessageBytes: 1000}}, func(r *rig) {
		c := r.dial(buffered)
		c.call("sleep3", 1)
		synctest.Wait()
		go func() { _ = r.Drain(r.Context()) }()
		synctest.Wait()
		go func() {
			for range 100_000 {
				if _, err := c.conn.Write(c.message(wire.Call, "late", 2)); err != nil {
					return
				}
			}
		}()
		c.reply("sleep3", 1)
		c.end()
		if got := r.called(); len(got) != 1 {
			t.Errorf("called %d times", len(got))
		}
	})
}

// A request that the drain did not wait for is not held against its caller.
func TestDrainInTheMiddleOfARequest(t *testing.T) {
	serve(t, server.Config{}, func(r *rig) {
		c := r.dial(buffered)
		c.write(append(c.message(wire.Call, "sleep1", 1), 0x80, 0x01))
		synctest.Wait()
		go func() { _ = r.Drain(r.Context()) }()
		synctest.Wait()
		_ = c.conn.CloseWrite()
		c.reply("sleep1", 1)
		c.end()
		if got := r.Snapshot().Malformed; len(got) != 0 {
			t.Errorf("counted %v", got)
		}
	})
}

// A drain that is cut short says what is left.
func TestDrainCutShort(t *testing.T) {
	serve(t, server.Config{}, func(r *rig) {
		c := r.dial(buffered)
		c.call("sleep9", 1)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		err := r.Drain(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 connections and 1 calls left") {
			t.Errorf("Drain: %v", err)
		}
		if !r.Snapshot().Draining {
			t.Error("not draining any more")
		}
	})
}

// When its context ends, Serve closes every connection, cancels every call, oneways too, and waits for them.
func TestServeEndsWithItsContext(t *testing.T) {
	serve(t, server.Config{}, func(r *rig) {
		c := r.dial(buffered)
		c.call("sleep9", 1)
		c.write(c.message(wire.Oneway, "notify9", 2))
		synctest.Wait()
		r.stop()
		if err := <-r.served; err != nil || r.running.Load() != 0 || len(r.ended) != 2 {
			t.Errorf("Serve: %v, with %d handlers running and %d ended", err, r.running.Load(), len(r.ended))
		}
	})
}

// An engine from outside is not run, and not ended, by the server.
func TestEngineFromOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := netio.NewPortable()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- engine.Run(ctx) }()
		own, _ := memnet.Pipe()
		closed := make(chan error, 1)
		engine.Start(own, netio.Options{}, func(netio.Conn) netio.Receiver { return receiver(closed) })
		synctestServe(t, engine)
		synctest.Wait()
		if len(closed) > 0 {
			t.Error("a connection that is not the server's was closed")
		}
		cancel()
		<-ended
		<-closed
	})
}

// synctestServe serves one call on engine and ends.
func synctestServe(t *testing.T, engine netio.Engine) {
	r := &rig{T: t, network: memnet.New(), served: make(chan error, 1), begun: make(chan rpc.Call, 9), ended: make(chan string, 9)}
	r.Server = server.New(server.Config{Engine: engine, Route: r.route})
	l, _ := r.network.Listen(address)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { r.served <- r.Serve(ctx, l) }()
	c := r.dial(buffered)
	c.call("echo", 1)
	c.reply("echo", 1)
	cancel()
	if err := <-r.served; err != nil {
		t.Error(err)
	}
}

type receiver chan error

func (receiver) Receive(buf []byte) (int, int) { return len(buf), 0 }
func (receiver) Ended()                        {}
func (c receiver) Closed(err error)            { c <- err }
