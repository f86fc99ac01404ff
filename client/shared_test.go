package client_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// talk is one connection of a peer that says what a test wants to be said, and nothing else.
type talk struct {
	*testing.T
	net.Conn
	split transport.Splitter
	wire  transport.Wire
	buf   []byte
}

// read returns the next message; ok is false at the end.
func (p *talk) read() (m transport.Message, ok bool) {
	for {
		if m, used, _, err := p.split.Split(p.buf); err != nil {
			p.Errorf("the peer reads %v", err)
			return m, false
		} else if used > 0 {
			p.buf = p.buf[used:]
			return m, true
		}
		chunk := make([]byte, 4096)
		n, err := p.Conn.Read(chunk)
		if err != nil {
			return m, false
		}
		p.buf = append(p.buf[:len(p.buf):len(p.buf)], chunk[:n]...)
	}
}

// reply answers a message with an empty result, under that sequence id.
func (p *talk) reply(name string, seq int32) {
	m := transport.Message{Wire: p.wire, Head: wire.Head{Name: name, Seq: seq, Type: wire.Reply}, Body: []byte{0}}
	_, _ = p.Conn.Write(transport.Append(nil, m))
}

func (p *talk) unknown(name string, seq int32) {
	m := transport.Message{Wire: p.wire, Head: wire.Head{Name: name, Seq: seq, Type: wire.Exception}, Body: binary.AppendApplication(nil, 1, "")}
	_, _ = p.Conn.Write(transport.Append(nil, m))
}

// greeted is a shared connection in a bubble.
type greeted struct {
	*testing.T
	conn   *client.Conn
	shared *client.Shared
	err    error
	owner  *owner // of what Greet fell back to
}

// share opens a share with an owner of its own.
func (g *greeted) share() (*client.Share, *owner) {
	g.Helper()
	o := new(owner)
	s := g.shared.Open(o)
	if s == nil {
		g.Fatal("no share is left")
	}
	return s, o
}

// greet runs f in a bubble, over a connection to a peer that is greeted first and then does what the script says.
func greet(t *testing.T, cfg client.Config, script func(*talk), f func(*greeted)) {
	t.Helper()
	if cfg.Wire == (transport.Wire{}) {
		cfg.Wire = unframed
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		network := memnet.New()
		l, err := network.Listen("peer:1")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			split, _ := transport.NewSplitter(cfg.Wire, wire.Limits{})
			script(&talk{T: t, Conn: c, split: split, wire: cfg.Wire})
		})
		engine := netio.NewPortable()
		wg.Go(func() { _ = engine.Run(ctx) })
		cfg.Dialer, cfg.Greets = network.Dial, true
		conn, err := client.Dial(ctx, engine, "peer:1", cfg)
		if err != nil {
			t.Fatal(err)
		}
		g := &greeted{T: t, conn: conn, owner: new(owner)}
		g.shared, g.err = conn.Greet(ctx, time.Now().Add(time.Second), false, g.owner)
		f(g)
		cancel()
		l.Close()
		wg.Wait()
	})
}

// granting is a script that grants the hello and then hands on.
func granting(then func(*talk)) func(*talk) {
	return func(p *talk) {
		if m, ok := p.read(); ok {
			p.reply(m.Head.Name, m.Head.Seq)
			then(p)
		}
	}
}

// echo answers what comes until the end, each call after its time: the digit at the end of its name, in seconds.
func echo(p *talk) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for m, ok := p.read(); ok; m, ok = p.read() {
		if m.Head.Type == wire.Oneway {
			continue
		}
		if m.Head.Name == client.FenceMethod {
			p.unknown(m.Head.Name, m.Head.Seq)
			continue
		}
		wg.Go(func() {
			if d := m.Head.Name[len(m.Head.Name)-1]; d >= '0' && d <= '9' {
				time.Sleep(time.Duration(d-'0') * time.Second)
			}
			p.reply(m.Head.Name, m.Head.Seq)
		})
	}
}

// Calls of one connection end each in its own time, and one that is late is in nobody's way.
func TestSharedCallsEndInTheirOwnTime(t *testing.T) {
	greet(t, client.Config{}, granting(echo), func(g *greeted) {
		start := time.Now()
		var wg sync.WaitGroup
		for _, name := range []string{"sleep5", "sleep1", "sleep3", "none"} {
			s, o := g.share()
			wg.Go(func() {
				_, err := s.Handle(g.Context(), call(name, 10*time.Second))
				want := time.Duration(0)
				if d := name[len(name)-1]; d <= '9' {
					want = time.Duration(d-'0') * time.Second
				}
				if took := time.Since(start); err != nil || took != want {
					g.Errorf("%s: %v after %v", name, err, took)
				}
				expectOwner(g.T, o, 0, true)
			})
		}
		wg.Wait()
	})
}

// There are so many shares and no more; one that is given up makes room. The connection ends behind its last one.
func TestSharesAreBounded(t *testing.T) {
	greet(t, client.Config{}, granting(echo), func(g *greeted) {
		var all []*client.Share
		for range client.MaxShares {
			s, _ := g.share()
			all = append(all, s)
		}
		if g.shared.Open(new(owner)) != nil {
			g.Error("one more share")
		}
		all[0].Close()
		all[0].Close() // twice is once
		s, _ := g.share()
		if _, err := s.Handle(g.Context(), call("none", time.Second)); err != nil {
			g.Error(err)
		}
		s.Close()
		for _, s := range all[1:] {
			s.Close()
		}
		if open, more := g.shared.Load(); open != 0 || more {
			g.Errorf("%d shares are open, more %t; want the end", open, more)
		}
	})
}

// A peer that says no is served as before, by one call at a time; one that closes is to be asked no more.
func TestHelloToSerialPeers(t *testing.T) {
	greet(t, client.Config{}, func(p *talk) {
		m, _ := p.read()
		p.unknown(m.Head.Name, m.Head.Seq)
		echo(p)
	}, func(g *greeted) {
		if g.shared != nil || g.err != nil {
			g.Fatalf("shared %v, %v; want neither", g.shared, g.err)
		}
		if _, err := g.conn.Handle(g.Context(), call("none", time.Second)); err != nil {
			g.Error(err)
		}
		expectOwner(g.T, g.owner, 0, true)
	})
	greet(t, client.Config{}, func(p *talk) { p.read() }, func(g *greeted) {
		if !errors.Is(g.err, client.ErrSerial) {
			g.Errorf("a close: %v, want ErrSerial", g.err)
		}
	})
	greet(t, client.Config{}, func(p *talk) { p.read(); p.read() }, func(g *greeted) {
		expect(g.T, g.err, rpc.DeadlineExceeded, rpc.NotSent, rpc.ReplyTimeout)
	})
}

// A call that is given up, by its deadline or its caller, poisons nothing: its slot stays taken until the late reply, which is dropped.
func TestGivingUpASharedCall(t *testing.T) {
	greet(t, client.Config{Linger: func() time.Duration { return time.Minute }}, granting(echo), func(g *greeted) {
		late, lateOwner := g.share()
		gone, goneOwner := g.share()
		other, _ := g.share()
		ctx, cancel := context.WithCancel(g.Context())
		time.AfterFunc(time.Second, cancel)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := late.Handle(g.Context(), call("sleep3", 2*time.Second))
			expect(g.T, err, rpc.DeadlineExceeded, rpc.Unknown, rpc.ReplyTimeout)
		})
		wg.Go(func() {
			_, err := gone.Handle(ctx, call("sleep3", 0))
			expect(g.T, err, rpc.Cancelled, rpc.Unknown, rpc.Abandoned)
		})
		wg.Go(func() {
			for range 3 {
				if _, err := other.Handle(g.Context(), call("sleep1", 5*time.Second)); err != nil {
					g.Error(err)
				}
			}
		})
		time.Sleep(2500 * time.Millisecond)
		expectOwner(g.T, lateOwner, 0)
		expectOwner(g.T, goneOwner, 0)
		wg.Wait()
		time.Sleep(time.Second)
		expectOwner(g.T, lateOwner, 0, true)
		expectOwner(g.T, goneOwner, 0, true)
		for _, s := range []*client.Share{late, gone, other} {
			if _, err := s.Handle(g.Context(), call("none", time.Second)); err != nil {
				g.Error(err)
			}
		}
	})
}

// A reply that never comes costs its slot for as long as Linger, and the connection goes on.
func TestSharedCallIsForgotten(t *testing.T) {
	greet(t, client.Config{}, granting(echo), func(g *greeted) {
		s, o := g.share()
		other, _ := g.share()
		ctx, cancel := context.WithTimeout(g.Context(), time.Second)
		defer cancel()
		_, err := s.Handle(ctx, call("sleep9", 0))
		expect(g.T, err, rpc.Cancelled, rpc.Unknown, rpc.Abandoned)
		time.Sleep(time.Second)
		synctest.Wait()
		expectOwner(g.T, o, 0, false)
		for range 10 { // the late reply comes meanwhile
			if _, err := other.Handle(g.Context(), call("sleep1", 5*time.Second)); err != nil {
				g.Error(err)
			}
		}
	})
}

// A peer that stops answering gets no new call on that connection, and those in flight keep theirs until their own deadlines.
func TestSilentPeerGetsNoNewCall(t *testing.T) {
	greet(t, client.Config{}, granting(func(p *talk) {
		for _, ok := p.read(); ok; _, ok = p.read() {
		}
	}), func(g *greeted) {
		a, _ := g.share()
		b, _ := g.share()
		idler, _ := g.share()
		var wg sync.WaitGroup
		start := time.Now()
		for i, s := range []*client.Share{a, b} {
			wg.Go(func() {
				_, err := s.Handle(g.Context(), call("none", time.Duration(3*i+1)*time.Second))
				expect(g.T, err, rpc.DeadlineExceeded, rpc.Unknown, rpc.ReplyTimeout)
			})
		}
		time.Sleep(2 * time.Second)
		if idler.Usable() || g.shared.Open(new(owner)) != nil {
			g.Error("it takes new calls")
		}
		_, err := idler.Handle(g.Context(), call("none", time.Second))
		expect(g.T, err, rpc.Unavailable, rpc.NotSent, rpc.WriteCut)
		wg.Wait()
		if d := time.Since(start); d != 4*time.Second {
			g.Errorf("the patient call ended after %v, want its 4s", d)
		}
	})
}

// What nobody asked for, a second reply, or a reply by another name: the stream is not trusted any more, and every call is told.
func TestBytesThatNobodyAskedForOnASharedConnection(t *testing.T) {
	for name, answer := range map[string]func(p *talk, m transport.Message){
		"never asked": func(p *talk, m transport.Message) { p.reply(m.Head.Name, m.Head.Seq+100) },
		"other name":  func(p *talk, m transport.Message) { p.reply("other", m.Head.Seq) },
		"garbage":     func(p *talk, m transport.Message) { _, _ = p.Conn.Write([]byte("\x80\x01\x00\x09 is no message type")) },
	} {
		t.Run(name, func(t *testing.T) {
			greet(t, client.Config{}, granting(func(p *talk) {
				if m, ok := p.read(); ok {
					answer(p, m)
					p.read()
				}
			}), func(g *greeted) {
				s, o := g.share()
				_, idle := g.share()
				_, err := s.Handle(g.Context(), call("none", time.Minute))
				expect(g.T, err, rpc.Unavailable, rpc.Unknown, rpc.BadReply)
				synctest.Wait()
				expectOwner(g.T, o, 0, false)
				expectOwner(g.T, idle, 1)
			})
		})
	}
	greet(t, client.Config{}, granting(func(p *talk) {
		if m, ok := p.read(); ok {
			p.reply(m.Head.Name, m.Head.Seq)
			p.reply(m.Head.Name, m.Head.Seq)
			p.read()
		}
	}), func(g *greeted) {
		s, _ := g.share()
		if _, err := s.Handle(g.Context(), call("none", time.Minute)); err != nil {
			g.Error(err)
		}
		synctest.Wait()
		if s.Usable() {
			g.Error("a second reply was let pass")
		}
	})
}

// A close tells each call how far it got: alone on a connection of its own, on one that had served before, and among others.
func TestCloseOfASharedConnection(t *testing.T) {
	script := granting(func(p *talk) {
		for m, ok := p.read(); ok && m.Head.Name != "crash"; m, ok = p.read() {
			if m.Head.Name == "none" {
				p.reply(m.Head.Name, m.Head.Seq)
			}
		}
	})
	greet(t, client.Config{}, script, func(g *greeted) {
		s, _ := g.share()
		_, err := s.Handle(g.Context(), call("crash", time.Minute))
		expect(g.T, err, rpc.HandlerFailed, rpc.Unknown, rpc.ClosedNoReply)
	})
	greet(t, client.Config{}, script, func(g *greeted) {
		s, _ := g.share()
		_, _ = s.Handle(g.Context(), call("none", time.Minute))
		_, err := s.Handle(g.Context(), call("crash", time.Minute))
		expect(g.T, err, rpc.HandlerFailed, rpc.Unknown, rpc.ClosedReused)
	})
	greet(t, client.Config{}, script, func(g *greeted) {
		s, _ := g.share()
		other, _ := g.share()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := other.Handle(g.Context(), call("waits", time.Minute))
			expect(g.T, err, rpc.Unavailable, rpc.Unknown, rpc.ClosedShared)
		})
		synctest.Wait()
		_, err := s.Handle(g.Context(), call("crash", time.Minute))
		expect(g.T, err, rpc.Unavailable, rpc.Unknown, rpc.ClosedShared)
		wg.Wait()
		_, err = s.Handle(g.Context(), call("none", time.Minute))
		expect(g.T, err, rpc.Unavailable, rpc.NotSent, rpc.WriteCut)
	})
}

// A oneway's slot is free when the peer has taken it in. A stray answer is dropped.
func TestSharedOneway(t *testing.T) {
	for _, stray := range []bool{false, true} {
		greet(t, client.Config{}, granting(func(p *talk) {
			for m, ok := p.read(); ok; m, ok = p.read() {
				switch {
				case m.Head.Type == wire.Oneway && stray:
					p.unknown(m.Head.Name, m.Head.Seq)
				case m.Head.Name == client.FenceMethod:
					time.Sleep(time.Second)
					p.unknown(m.Head.Name, m.Head.Seq)
				case m.Head.Type == wire.Call:
					p.reply(m.Head.Name, m.Head.Seq)
				}
			}
		}), func(g *greeted) {
			s, o := g.share()
			c := call("notify", time.Minute)
			c.Oneway = true
			if _, err := s.Handle(g.Context(), c); err != nil {
				g.Error(err)
			}
			synctest.Wait()
			expectOwner(g.T, o, 0)
			time.Sleep(2 * time.Second)
			expectOwner(g.T, o, 0, true)
			if _, err := s.Handle(g.Context(), call("none", time.Minute)); err != nil {
				g.Error(err)
			}
		})
	}
}

// A peer that says goodbye answers what it has taken in; calls after that were not begun.
func TestGoodbye(t *testing.T) {
	greet(t, client.Config{}, granting(func(p *talk) {
		first, _ := p.read()
		p.read()
		p.reply(rpc.GoodbyeMethod, first.Head.Seq)
		time.Sleep(time.Second)
		p.reply(first.Head.Name, first.Head.Seq)
	}), func(g *greeted) {
		first, _ := g.share()
		second, _ := g.share()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := first.Handle(g.Context(), call("first", time.Minute)); err != nil {
				g.Error(err)
			}
		})
		synctest.Wait()
		start := time.Now()
		_, err := second.Handle(g.Context(), call("second", time.Minute))
		expect(g.T, err, rpc.Unavailable, rpc.NotSent, rpc.WriteCut)
		if d := time.Since(start); d != 0 {
			g.Errorf("it took %v to say so", d)
		}
		if g.shared.Open(new(owner)) != nil {
			g.Error("one more call is let on")
		}
		wg.Wait()
	})
}

// A caller may go at any moment, before its request is written, while it waits, or as the reply comes: the connection goes on, serial or
// shared, or is replaced, and nobody is told twice.
func TestCancelledAtAnyMoment(t *testing.T) {
	for _, at := range []time.Duration{-1, 0, time.Second - 1, time.Second, time.Second + 1} {
		cancelled := func(ctx context.Context) (context.Context, context.CancelFunc) {
			if at < 0 {
				ctx, cancel := context.WithCancel(ctx)
				cancel()
				return ctx, cancel
			}
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(at, cancel)
			return ctx, cancel
		}
		with(t, always(fakepeer.Answer{After: time.Second}), func(t *testing.T, x fixture) {
			ctx, cancel := cancelled(t.Context())
			defer cancel()
			_, err := x.conn.Handle(ctx, call("getUser", time.Minute))
			if at > time.Second && err != nil {
				t.Error(err)
			}
			time.Sleep(5 * time.Second)
			if freed, _ := x.owner.seen(); len(freed) != 1 || freed[0] != (err == nil) {
				t.Errorf("at %v: freed %v, err %v", at, freed, err)
			}
		})
		greet(t, client.Config{Linger: func() time.Duration { return 3 * time.Second }}, granting(echo), func(g *greeted) {
			s, o := g.share()
			ctx, cancel := cancelled(g.Context())
			defer cancel()
			_, err := s.Handle(ctx, call("sleep1", time.Minute))
			if at > time.Second && err != nil {
				g.Error(err)
			}
			time.Sleep(2 * time.Second)
			expectOwner(g.T, o, 0, true)
			if _, err := s.Handle(g.Context(), call("none", time.Minute)); err != nil {
				g.Errorf("the next call: %v", err)
			}
		})
	}
}

// A reply that there is no room for fails its call as one that was answered; the others on the connection go on.
func TestNoRoomForASharedReply(t *testing.T) {
	for _, kind := range []transport.Kind{transport.Buffered, transport.Framed} {
		t.Run("transport="+kind.String(), func(t *testing.T) {
			w := transport.Wire{Kind: kind, Protocol: wire.Binary}
			b := netio.NewBudget(1 << 20)
			greet(t, client.Config{Budget: b, Wire: w}, granting(func(p *talk) {
				other, _ := p.read()
				long, _ := p.read()
				m := transport.Message{Wire: w, Head: wire.Head{Name: long.Head.Name, Seq: long.Head.Seq, Type: wire.Reply}, Body: text(0, 3<<20)}
				_, _ = p.Conn.Write(transport.Append(nil, m))
				p.reply(other.Head.Name, other.Head.Seq)
				echo(p)
			}), func(g *greeted) {
				other, _ := g.share()
				long, o := g.share()
				var wg sync.WaitGroup
				wg.Go(func() {
					if _, err := other.Handle(g.Context(), call("none", time.Minute)); err != nil {
						g.Error(err)
					}
				})
				synctest.Wait()
				_, err := long.Handle(g.Context(), call("long", time.Minute))
				expect(g.T, err, rpc.ResourceExhausted, rpc.Answered, rpc.LocalLimit)
				wg.Wait()
				expectOwner(g.T, o, 0, true)
				if _, err := long.Handle(g.Context(), call("none", time.Minute)); err != nil {
					g.Error(err)
				}
			})
		})
	}
}

// A request for which there is no room is not sent, and the connection goes on.
func TestNoRoomForASharedRequest(t *testing.T) {
	b := netio.NewBudget(1 << 20)
	greet(t, client.Config{Budget: b}, granting(echo), func(g *greeted) {
		s, o := g.share()
		b.Force(1 << 20)
		for _, oneway := range []bool{false, true} {
			c := call("none", time.Second)
			c.Oneway, c.Body = oneway, text(1, 100_000)
			_, err := s.Handle(g.Context(), c)
			expect(g.T, err, rpc.ResourceExhausted, rpc.NotSent, rpc.LocalLimit)
		}
		b.Give(1 << 20)
		if _, err := s.Handle(g.Context(), call("none", time.Second)); err != nil {
			g.Error(err)
		}
		expectOwner(g.T, o, 0, true, true, true)
	})
}
