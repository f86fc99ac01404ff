package server_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/server"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// successor starts a second server of the same bubble, which ends with the test's first.
func (r *rig) successor(cfg server.Config) *rig {
	r.Helper()
	next := &rig{T: r.T, network: r.network, served: make(chan error, 1), begun: make(chan rpc.Call, 1000), ended: make(chan string, 1000)}
	cfg.Route = next.route
	next.Server = server.New(cfg)
	l, err := r.network.Listen("10.0.0.2:6100")
	if err != nil {
		r.Fatal(err)
	}
	var ctx context.Context
	ctx, next.stop = context.WithCancel(r.Context())
	go func() { next.served <- next.Serve(ctx, l) }()
	synctest.Wait()
	return next
}

// end stops a successor.
func (r *rig) end() {
	r.Helper()
	r.stop()
	if err := <-r.served; err != nil {
		r.Error(err)
	}
}

// Idle connections move at once and are answered by the next server, in the wire that they spoke before; the first owns nothing of them.
func TestIdleConnectionsMove(t *testing.T) {
	eachWire(t, server.Config{}, func(c *caller) {
		next := c.successor(server.Config{})
		defer next.end()
		c.call("echo", 1)
		c.reply("echo", 1)
		fresh := c.dial(c.wire) // no byte has told how it speaks
		fresh.old = c.old
		synctest.Wait()
		if err := c.HandOver(c.Context(), next.Take); err != nil {
			c.Fatal(err)
		}
		if s := c.Snapshot(); s.Connections != 0 {
			c.Errorf("%d connections are left", s.Connections)
		}
		for i := range 3 {
			c.call("echo", 10+i)
			c.reply("echo", 10+i)
			fresh.call("echo", 20+i)
			fresh.reply("echo", 20+i)
		}
		if d := cmp.Diff([]string{"echo"}, c.called()); d != "" {
			c.Error(d)
		}
		if n := len(next.called()); n != 6 {
			c.Errorf("the next server was called %d times, want 6", n)
		}
	})
}

// A connection moves behind its last answer. What came meanwhile goes along, whole requests and a piece of one, and is answered once.
func TestBusyConnectionsMoveBehindTheirAnswers(t *testing.T) {
	eachWire(t, server.Config{}, func(c *caller) {
		next := c.successor(server.Config{})
		defer next.end()
		c.call("sleep3", 1)
		c.call("sleep1", 2)
		synctest.Wait()
		moved := make(chan error, 1)
		go func() { moved <- c.HandOver(c.Context(), next.Take) }()
		synctest.Wait()
		third, fourth := c.message(wire.Call, "echo", 3), c.message(wire.Call, "echo", 4)
		c.write(append(append([]byte{}, third...), fourth[:7]...))
		c.reply("sleep3", 1)
		c.reply("sleep1", 2)
		if err := <-moved; err != nil {
			c.Fatal(err)
		}
		c.reply("echo", 3)
		c.write(fourth[7:])
		c.reply("echo", 4)
		if d := cmp.Diff([]string{"echo", "echo"}, next.called()); d != "" {
			c.Error(d)
		}
	})
}

// A oneway that still runs holds no connection; it goes on, and Drain waits for it.
func TestOnewayDoesNotHoldItsConnection(t *testing.T) {
	eachWire(t, server.Config{}, func(c *caller) {
		next := c.successor(server.Config{})
		defer next.end()
		start := time.Now()
		c.write(c.message(wire.Oneway, "notify9", 1))
		synctest.Wait()
		if err := c.HandOver(c.Context(), next.Take); err != nil || time.Since(start) != 0 {
			c.Errorf("%v after %v", err, time.Since(start))
		}
		c.call("echo", 2)
		c.reply("echo", 2)
		if err := c.Drain(c.Context()); err != nil || time.Since(start) != 9*time.Second {
			c.Errorf("Drain: %v after %v", err, time.Since(start))
		}
		if got := <-c.rig.ended; got != "notify9" {
			c.Errorf("ended: %s", got)
		}
	})
}

// Ordered: a connection whose oneway runs waits for it, since the next server could not keep the order.
func TestOrderedOnewayHoldsItsConnection(t *testing.T) {
	serve(t, server.Config{Ordered: true}, func(r *rig) {
		c, next := r.dial(buffered), r.successor(server.Config{Ordered: true})
		defer next.end()
		start := time.Now()
		c.write(c.message(wire.Oneway, "notify9", 1))
		synctest.Wait()
		if err := c.HandOver(c.Context(), next.Take); err != nil || time.Since(start) != 9*time.Second {
			c.Errorf("%v after %v", err, time.Since(start))
		}
		c.call("echo", 2)
		c.reply("echo", 2)
	})
}

// Where giving fails, that connection and all others stay, and are served as before.
func TestConnectionsThatAreNotTakenStay(t *testing.T) {
	serve(t, server.Config{}, func(r *rig) {
		broken := errors.New("the next process has died")
		var callers []*caller
		for range 3 {
			c := r.dial(buffered)
			c.call("echo", 1)
			c.reply("echo", 1)
			callers = append(callers, c)
		}
		busy := r.dial(buffered)
		busy.call("sleep3", 1)
		callers[0].write(callers[0].message(wire.Call, "echo", 5)[:6])
		synctest.Wait()
		given := 0
		err := r.HandOver(r.Context(), func(h server.Handed) error {
			if given++; given == 2 {
				return broken
			}
			return r.Take(h)
		})
		if !errors.Is(err, broken) {
			t.Errorf("HandOver: %v", err)
		}
		callers[0].write(callers[0].message(wire.Call, "echo", 5)[6:])
		callers[0].reply("echo", 5)
		for _, c := range callers {
			c.call("echo", 2)
			c.reply("echo", 2)
		}
		busy.reply("sleep3", 1)
		busy.call("echo", 2)
		busy.reply("echo", 2)
		if s := r.Snapshot(); s.Connections != 4 {
			t.Errorf("%d connections, want 4", s.Connections)
		}
	})
}

// A connection that is busy until ctx ends stays, and reads on.
func TestConnectionThatStaysBusyStays(t *testing.T) {
	serve(t, server.Config{}, func(r *rig) {
		c, next := r.dial(buffered), r.successor(server.Config{})
		defer next.end()
		c.call("sleep9", 1)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if err := r.HandOver(ctx, next.Take); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("HandOver: %v", err)
		}
		c.call("echo", 2)
		c.reply("sleep9", 1)
		c.reply("echo", 2)
		if n := len(next.called()); n != 0 {
			t.Errorf("the next server was called %d times", n)
		}
	})
}

// A peer that reads its answers late is not handed over before it has the last of them, and loses none.
func TestSlowReaderMovesBehindItsAnswers(t *testing.T) {
	serve(t, server.Config{}, func(r *rig) {
		c, next := r.dial(buffered), r.successor(server.Config{})
		defer next.end()
		c.conn.SetFaults(memnet.Faults{ReadEvery: time.Second, ReadBytes: 10})
		for i := range 5 {
			c.call("echo", i)
		}
		synctest.Wait()
		moved := make(chan error, 1)
		go func() { moved <- r.HandOver(r.Context(), next.Take) }()
		for i := range 5 {
			c.reply("echo", i)
		}
		if err := <-moved; err != nil {
			t.Fatal(err)
		}
		c.call("echo", 6)
		c.reply("echo", 6)
	})
}

// wrapped is a connection over another one, as TLS is.
type wrapped struct{ net.Conn }

func (w wrapped) NetConn() net.Conn { return w.Conn }

type wrapping struct{ net.Listener }

func (l wrapping) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return wrapped{c}, nil
}

// A connection that is more than a socket cannot move; Drain closes it behind its last answer.
func TestConnectionsOverTLSAreDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, network: memnet.New(), served: make(chan error, 1), begun: make(chan rpc.Call, 9), ended: make(chan string, 9)}
		r.Server = server.New(server.Config{Route: r.route})
		l, _ := r.network.Listen(address)
		go func() { r.served <- r.Serve(t.Context(), wrapping{l}) }()
		c := r.dial(buffered)
		c.call("sleep2", 1)
		synctest.Wait()
		if err := r.HandOver(t.Context(), func(server.Handed) error { return errors.New("given") }); err != nil {
			t.Error(err)
		}
		go func() { _ = r.Drain(t.Context()) }()
		c.reply("sleep2", 1)
		c.end()
		if err := <-r.served; err != nil {
			t.Error(err)
		}
	})
}

// A connection that comes too late, or speaks what is not spoken here, is closed, not leaked.
func TestTakeRefused(t *testing.T) {
	serve(t, server.Config{}, func(r *rig) {
		for _, tt := range []struct {
			name string
			to   *server.Server
			wire transport.Wire
		}{
			{"a server that does not serve", server.New(server.Config{}), buffered},
			{"a wire that nobody speaks", r.Server, transport.Wire{Kind: transport.Buffered, Protocol: wire.Protocol(99)}},
		} {
			synctest.Wait() // r serves
			own, peer := memnet.Pipe()
			if err := tt.to.Take(server.Handed{Conn: own, Wire: tt.wire}); err == nil {
				t.Errorf("%s: no error", tt.name)
			}
			if _, err := peer.Read(make([]byte, 1)); err == nil {
				t.Errorf("%s: the connection is open", tt.name)
			}
		}
	})
}

// What goes along with a connection is counted where it goes to, and given back by the first server.
func TestBytesOfAConnectionThatMovesAreCounted(t *testing.T) {
	from, to := netio.NewBudget(1<<20), netio.NewBudget(1<<20)
	serve(t, server.Config{Budget: from}, func(r *rig) {
		c, next := r.dial(buffered), r.successor(server.Config{Budget: to})
		defer next.end()
		whole := c.long("echo", 1, 100_000)
		c.write(whole[:60_000])
		synctest.Wait()
		if err := r.HandOver(r.Context(), next.Take); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if from.Held() != 0 || to.Held() < 60_000 {
			t.Errorf("%d bytes are held by the first, %d by the next, and 60000 came", from.Held(), to.Held())
		}
		c.write(whole[60_000:])
		if m := c.read(); m.Head.Seq != 1 || m.Head.Type != wire.Reply {
			t.Errorf("the answer is %+v", m.Head)
		}
		_ = c.conn.Close()
		synctest.Wait()
		if to.Held() != 0 {
			t.Errorf("%d bytes are held by nobody", to.Held())
		}
	})
}

// A connection in the middle of a refused request moves behind it: the next server would not know that the rest is to be dropped.
func TestConnectionMovesBehindARefusedRequest(t *testing.T) {
	_, cfg := crowded(64 << 10)
	serve(t, cfg, func(r *rig) {
		c, next := r.dial(buffered), r.successor(server.Config{})
		defer next.end()
		whole := c.long("echo", 1, 500_000)
		c.write(whole[:300_000])
		c.exception("echo", 1, 6)
		moved := make(chan error, 1)
		go func() { moved <- r.HandOver(r.Context(), next.Take) }()
		time.Sleep(time.Second)
		if len(moved) > 0 {
			t.Error("moved in the middle of a request")
		}
		c.write(whole[300_000:])
		if err := <-moved; err != nil {
			t.Fatal(err)
		}
		c.call("echo", 2)
		c.reply("echo", 2)
	})
}
