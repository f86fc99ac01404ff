package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var unframed = transport.Wire{Kind: transport.Buffered, Protocol: wire.Binary}

// owner remembers what a connection told its owner.
type owner struct {
	mu    sync.Mutex
	freed []bool
	gone  int
}

func (o *owner) Freed(reusable bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.freed = append(o.freed, reusable)
}

func (o *owner) Gone() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gone++
}

func (o *owner) seen() ([]bool, int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]bool(nil), o.freed...), o.gone
}

// fixture is a connection to a scripted peer.
type fixture struct {
	peer  *fakepeer.Peer
	conn  *client.Conn
	owner *owner
}

// with runs f in a bubble of virtual time, over a connection to a peer with that script.
func with(t *testing.T, peer *fakepeer.Peer, f func(t *testing.T, x fixture)) {
	t.Helper()
	within(t, nil, peer, f)
}

// within is with where the connection's bytes are counted.
func within(t *testing.T, b *netio.Budget, peer *fakepeer.Peer, f func(t *testing.T, x fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		network := memnet.New()
		l, err := network.Listen("peer:1")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { peer.Serve(l) })
		engine := netio.NewPortable()
		wg.Go(func() { _ = engine.Run(ctx) })
		o := new(owner)
		conn, err := client.Dial(ctx, engine, "peer:1", client.Config{Wire: unframed, Owner: o, Dialer: network.Dial, Budget: b})
		if err != nil {
			t.Fatal(err)
		}
		f(t, fixture{peer, conn, o})
		cancel()
		l.Close()
		wg.Wait()
	})
}

func call(name string, timeout time.Duration) *rpc.Call {
	now := time.Now()
	c := &rpc.Call{ID: rpc.NewID(), Service: "Users", Name: name, Protocol: wire.Binary, Body: []byte{0}, Start: now}
	if timeout > 0 {
		c.Deadline = now.Add(timeout)
	}
	return c
}

func always(a fakepeer.Answer) *fakepeer.Peer {
	return &fakepeer.Peer{Script: func(transport.Message) fakepeer.Answer { return a }}
}

func expect(t *testing.T, err error, code rpc.Code, reach rpc.Reach, outcome rpc.Outcome) *rpc.Error {
	t.Helper()
	var e *rpc.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, want an *rpc.Error", err)
	}
	if e.Code != code || e.Reach != reach || e.Outcome != outcome {
		t.Errorf("error is %v (outcome %v), want %v, %v, %v", e, e.Outcome, code, reach, outcome)
	}
	return e
}

func expectOwner(t *testing.T, o *owner, gone int, freed ...bool) {
	t.Helper()
	gotFreed, gotGone := o.seen()
	if gotGone != gone || len(gotFreed) != len(freed) {
		t.Fatalf("freed %v, gone %d; want %v, %d", gotFreed, gotGone, freed, gone)
	}
	for i := range freed {
		if gotFreed[i] != freed[i] {
			t.Errorf("freed %v, want %v", gotFreed, freed)
		}
	}
}

// Calls follow each other on one connection, each with a sequence id of its own.
func TestCallsFollowEachOther(t *testing.T) {
	var seqs []int32
	peer := &fakepeer.Peer{Script: func(m transport.Message) fakepeer.Answer {
		seqs = append(seqs, m.Head.Seq)
		return fakepeer.Answer{}
	}}
	with(t, peer, func(t *testing.T, x fixture) {
		for range 3 {
			if _, err := x.conn.Handle(t.Context(), call("ping", time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		if seqs[0] == seqs[1] || seqs[1] == seqs[2] {
			t.Errorf("sequence ids %v are not unique", seqs)
		}
		expectOwner(t, x.owner, 0, true, true, true)
	})
}

// A close without a reply on a connection that has served calls is a class of its own: the server may have ended it for idleness.
func TestCloseOfAReusedConnection(t *testing.T) {
	peer := &fakepeer.Peer{Script: func(m transport.Message) fakepeer.Answer {
		return fakepeer.Answer{Close: m.Head.Name == "crash"}
	}}
	with(t, peer, func(t *testing.T, x fixture) {
		if _, err := x.conn.Handle(t.Context(), call("ping", time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err := x.conn.Handle(t.Context(), call("crash", time.Second))
		expect(t, err, rpc.HandlerFailed, rpc.Unknown, rpc.ClosedReused)
		expectOwner(t, x.owner, 0, true, false)
	})
}

// What a peer may answer, and what a caller makes of it: code, how far the request got, class, and whether the connection is used again.
func TestAnswers(t *testing.T) {
	tests := []struct {
		name    string
		answer  fakepeer.Answer
		code    rpc.Code
		reach   rpc.Reach
		outcome rpc.Outcome
		reused  bool
	}{
		{"unknown method is a sign of life", fakepeer.Answer{Unknown: true}, rpc.UnknownMethod, rpc.Answered, rpc.AppException, true},
		{"close without a reply is a failed handler", fakepeer.Answer{Close: true}, rpc.HandlerFailed, rpc.Unknown, rpc.ClosedNoReply, false},
		{"another sequence id is no reply", fakepeer.Answer{Seq: 1}, rpc.Unavailable, rpc.Unknown, rpc.BadReply, false},
		{"another method is no reply", fakepeer.Answer{Name: "pong"}, rpc.Unavailable, rpc.Unknown, rpc.BadReply, false},
		{"a call is no reply", fakepeer.Answer{Type: wire.Call}, rpc.Unavailable, rpc.Unknown, rpc.BadReply, false},
		{"a reply cut short is no reply", fakepeer.Answer{Cut: 7}, rpc.Unavailable, rpc.Unknown, rpc.BadReply, false},
		{"a body that is no struct is no reply", fakepeer.Answer{Body: []byte{99}}, rpc.Unavailable, rpc.Unknown, rpc.BadReply, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			with(t, always(tt.answer), func(t *testing.T, x fixture) {
				_, err := x.conn.Handle(t.Context(), call("ping", time.Second))
				expect(t, err, tt.code, tt.reach, tt.outcome)
				expectOwner(t, x.owner, 0, tt.reused)
			})
		})
	}
}

// What comes behind a reply, nobody asked for: it never becomes the answer of the next call, nor is it in that call's way, and the
// connection takes no further call.
func TestBytesBehindTheReply(t *testing.T) {
	answer := func(m transport.Message, body ...byte) []byte {
		return append(binary.AppendHead(nil, wire.Head{Name: m.Head.Name, Seq: m.Head.Seq, Type: wire.Reply}), body...)
	}
	wrong := []byte{8, 0, 0, 0, 0, 0, 9, 0} // i32 field 0 is 9, stop
	for name, extra := range map[string]func(transport.Message) []byte{
		"garbage":          func(transport.Message) []byte { return []byte("HTTP/1.1 200 OK") },
		"part of a head":   func(transport.Message) []byte { return []byte{0x80, 1} },
		"a second reply":   func(m transport.Message) []byte { return answer(m, wrong...) },
		"two more replies": func(m transport.Message) []byte { return append(answer(m, wrong...), answer(m, wrong...)...) },
		"half a reply":     func(m transport.Message) []byte { return answer(m, wrong[:3]...) },
	} {
		t.Run(name, func(t *testing.T) {
			peer := &fakepeer.Peer{Script: func(m transport.Message) fakepeer.Answer { return fakepeer.Answer{Extra: extra(m)} }}
			with(t, peer, func(t *testing.T, x fixture) {
				reply, err := x.conn.Handle(t.Context(), call("ping", time.Second))
				if err != nil || len(reply.Body) != 1 {
					t.Fatalf("reply %+v, error %v", reply, err)
				}
				synctest.Wait()
				_, err = x.conn.Handle(t.Context(), call("ping", time.Second))
				expect(t, err, rpc.Unavailable, rpc.NotSent, rpc.WriteCut)
				if n := peer.Calls.Load(); n != 1 {
					t.Errorf("the peer was asked %d times", n)
				}
			})
		})
	}
}

// A reply that comes before the request is written counts, and the connection, on which the rest of the request would stand in the way of
// the next call, is closed.
func TestReplyBeforeTheRequestEnds(t *testing.T) {
	peer := &fakepeer.Peer{Take: func(c net.Conn) bool {
		buf := make([]byte, 12)
		if _, err := io.ReadFull(c, buf); err != nil {
			return true
		}
		_, _ = c.Write(append(binary.AppendHead(nil, wire.Head{Name: "ping", Seq: 1, Type: wire.Reply}), 0))
		time.Sleep(time.Hour) // reads no more
		return true
	}}
	with(t, peer, func(t *testing.T, x fixture) {
		big := call("ping", time.Minute)
		big.Body = append(binary.AppendString(binary.AppendField(nil, wire.String, 1), strings.Repeat("x", 1<<20)), 0)
		if _, err := x.conn.Handle(t.Context(), big); err != nil {
			t.Fatal(err)
		}
		expectOwner(t, x.owner, 0, false)
		_, err := x.conn.Handle(t.Context(), call("ping", time.Minute))
		expect(t, err, rpc.Unavailable, rpc.NotSent, rpc.WriteCut)
	})
}

// A declared exception is a reply.
func TestDeclaredExceptionIsAReply(t *testing.T) {
	body := []byte{12, 0, 1, 0, 0} // struct field 1, empty struct, stop
	with(t, always(fakepeer.Answer{Body: body}), func(t *testing.T, x fixture) {
		reply, err := x.conn.Handle(t.Context(), call("getUser", time.Second))
		if err != nil || reply.Exception != 1 {
			t.Fatalf("reply %+v, error %v", reply, err)
		}
	})
}

// A call that outlives its deadline ends at the deadline; its connection is retired, and its slot is free when the late reply has come.
func TestDeadlineRetiresTheConnection(t *testing.T) {
	with(t, always(fakepeer.Answer{After: 900 * time.Millisecond}), func(t *testing.T, x fixture) {
		start := time.Now()
		_, err := x.conn.Handle(t.Context(), call("slow", 200*time.Millisecond))
		expect(t, err, rpc.DeadlineExceeded, rpc.Unknown, rpc.ReplyTimeout)
		if took := time.Since(start); took != 200*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if !x.conn.Waiting() {
			t.Error("the connection does not wait for the late reply")
		}
		expectOwner(t, x.owner, 0)
		time.Sleep(699 * time.Millisecond)
		expectOwner(t, x.owner, 0)
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		expectOwner(t, x.owner, 0, false)
	})
}

// A retired connection is given up after the linger time, though no reply has come.
func TestRetiredConnectionIsGivenUp(t *testing.T) {
	with(t, always(fakepeer.Answer{After: time.Hour}), func(t *testing.T, x fixture) {
		_, err := x.conn.Handle(t.Context(), call("stuck", 10*time.Millisecond))
		expect(t, err, rpc.DeadlineExceeded, rpc.Unknown, rpc.ReplyTimeout)
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait()
		expectOwner(t, x.owner, 0, false)
	})
}

// A caller that goes away ends its call at once; the peer's slot stays taken.
func TestCancelledCall(t *testing.T) {
	with(t, always(fakepeer.Answer{After: 500 * time.Millisecond}), func(t *testing.T, x fixture) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		_, err := x.conn.Handle(ctx, call("slow", time.Minute))
		expect(t, err, rpc.Cancelled, rpc.Unknown, rpc.Abandoned)
		expectOwner(t, x.owner, 0)
	})
}

// A oneway call is over once it is written; its slot is free when the handler behind it has ended, and a stray answer reaches nobody.
func TestFenceFreesTheSlotWhenTheHandlerEnds(t *testing.T) {
	for _, stray := range []bool{false, true} {
		var n int
		peer := &fakepeer.Peer{Script: func(transport.Message) fakepeer.Answer {
			if n++; n == 1 {
				return fakepeer.Answer{After: 200 * time.Millisecond, Oneway: true, Stray: stray}
			}
			return fakepeer.Answer{}
		}}
		with(t, peer, func(t *testing.T, x fixture) {
			c := call("track", time.Second)
			c.Oneway = true
			start := time.Now()
			if _, err := x.conn.Handle(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took != 0 {
				t.Errorf("the oneway took %v", took)
			}
			time.Sleep(199 * time.Millisecond)
			expectOwner(t, x.owner, 0)
			time.Sleep(2 * time.Millisecond)
			synctest.Wait()
			expectOwner(t, x.owner, 0, true)
			if _, err := x.conn.Handle(t.Context(), call("ping", time.Second)); err != nil {
				t.Errorf("the call behind the oneway: %v (stray answer: %v)", err, stray)
			}
		})
	}
}

// A oneway whose handler never ends holds its slot for its deadline and no longer.
func TestFenceIsBounded(t *testing.T) {
	with(t, always(fakepeer.Answer{After: time.Hour, Oneway: true}), func(t *testing.T, x fixture) {
		c := call("track", 2*time.Second)
		c.Oneway = true
		if _, err := x.conn.Handle(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*time.Second + time.Millisecond)
		synctest.Wait()
		expectOwner(t, x.owner, 0, false)
	})
}

// A connection that the peer closes while it is idle is reported, and takes no call.
func TestIdleClose(t *testing.T) {
	peer := always(fakepeer.Answer{})
	peer.IdleEnd = 3 * time.Second
	with(t, peer, func(t *testing.T, x fixture) {
		if _, err := x.conn.Handle(t.Context(), call("ping", time.Second)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3*time.Second + time.Millisecond)
		synctest.Wait()
		expectOwner(t, x.owner, 1, true)
		_, err := x.conn.Handle(t.Context(), call("ping", time.Second))
		expect(t, err, rpc.Unavailable, rpc.NotSent, rpc.WriteCut)
	})
}

// An address where nobody listens is refused, and nothing was sent.
func TestDialRefused(t *testing.T) {
	refuse := func(context.Context, string) (net.Conn, error) { return nil, errors.New("connection refused") }
	_, err := client.Dial(t.Context(), netio.NewPortable(), "10.0.0.1:1", client.Config{Wire: unframed, Dialer: refuse})
	e := expect(t, err, rpc.Unavailable, rpc.NotSent, rpc.Refused)
	if text := e.Public(1).Message; text != "UNAVAILABLE: client: connection refused; call 0000000000000001" {
		t.Errorf("public text %q", text)
	}
}
