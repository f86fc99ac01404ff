package client_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// text is a struct with a string of n bytes as its field id.
func text(id int16, n int) []byte {
	return binary.AppendStop(binary.AppendString(binary.AppendField(nil, wire.String, id), strings.Repeat("x", n)))
}

// replying is a peer that answers every call with n bytes.
func replying(n int) *fakepeer.Peer {
	return &fakepeer.Peer{Kind: transport.Buffered, Script: func(transport.Message) fakepeer.Answer { return fakepeer.Answer{Body: text(0, n)} }}
}

// A request that there is no room for is not sent: the peer is not blamed, and the connection takes the next call.
func TestNoRoomForTheRequest(t *testing.T) {
	b := netio.NewBudget(1 << 20)
	within(t, b, replying(10), func(t *testing.T, x fixture) {
		b.Force(1 << 20)
		for _, oneway := range []bool{false, true} {
			c := call("getUser", time.Second)
			c.Oneway, c.Body = oneway, text(1, 100_000)
			_, err := x.conn.Handle(t.Context(), c)
			if e := rpc.AsError(err, ""); e == nil || e.Code != rpc.ResourceExhausted || e.Reach != rpc.NotSent || e.Outcome != rpc.LocalLimit {
				t.Fatalf("oneway %t: %v", oneway, err)
			}
		}
		if _, err := x.conn.Handle(t.Context(), call("getUser", time.Second)); err != nil {
			t.Errorf("a short call: %v", err)
		}
		b.Give(1 << 20)
		c := call("getUser", time.Second)
		c.Body = text(1, 100_000)
		if _, err := x.conn.Handle(t.Context(), c); err != nil {
			t.Errorf("with room again: %v", err)
		}
		if freed, _ := x.owner.seen(); len(freed) != 4 || !freed[0] || !freed[1] || !freed[2] || !freed[3] {
			t.Errorf("freed %v, want four reusable connections", freed)
		}
		if n := x.peer.Calls.Load(); n != 2 {
			t.Errorf("the peer was called %d times, want 2", n)
		}
		x.conn.Close()
		synctest.Wait()
		if b.Held() != 0 {
			t.Errorf("%d bytes are held by nobody", b.Held())
		}
	})
}

// A reply that there is no room for fails its call as one that was answered: it is not tried again, and the connection is closed.
func TestNoRoomForTheReply(t *testing.T) {
	b := netio.NewBudget(1 << 20)
	within(t, b, replying(2<<20), func(t *testing.T, x fixture) {
		_, err := x.conn.Handle(t.Context(), call("getUser", time.Minute))
		e := rpc.AsError(err, "")
		if e == nil || e.Code != rpc.ResourceExhausted || e.Reach != rpc.Answered || e.Retryable(true) {
			t.Fatalf("%v", err)
		}
		synctest.Wait()
		if freed, _ := x.owner.seen(); len(freed) != 1 || freed[0] {
			t.Errorf("freed %v", freed)
		}
		if b.Held() != 0 || b.Refused() != 1 {
			t.Errorf("%d bytes are held by nobody, %d refusals", b.Held(), b.Refused())
		}
	})
}
