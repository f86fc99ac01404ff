//go:build linux

package faults

import (
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/server"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// What may go wrong with a call under way. The caller gets one typed answer, never another call's; what may have been processed is tried
// again only where the method is idempotent; the connection takes no further call.
func TestMidCall(t *testing.T) {
	for _, end := range []struct {
		name string
		by   func(c *memnet.Conn)
	}{
		{"FIN", func(c *memnet.Conn) { _ = c.Close() }},
		{"RST", (*memnet.Conn).Reset},
	} {
		t.Run(end.name+" before request read", func(t *testing.T) { cut(t, end.by, nothing) })
		t.Run(end.name+" after header", func(t *testing.T) { cut(t, end.by, header) })
		t.Run(end.name+" mid-frame", func(t *testing.T) { cut(t, end.by, halfRequest) })
		t.Run(end.name+" after request", func(t *testing.T) { cut(t, end.by, request) })
		t.Run(end.name+" mid-reply", func(t *testing.T) { cut(t, end.by, halfReply) })
		t.Run(end.name+" after reply", func(t *testing.T) { cut(t, end.by, reply) })
	}
	t.Run("half-close", halfClose)
	t.Run("1-byte writes", oneByteWrites)
	t.Run("1 B per s", oneBytePerSecond)
	for _, d := range []time.Duration{time.Second, 3 * time.Second, 30 * time.Second} {
		t.Run("pause "+strings.Replace(d.String(), "s", " s", 1), func(t *testing.T) { pause(t, d) })
	}
	t.Run("reply before request ends", replyBeforeRequestEnds)
	t.Run("extra bytes", extraBytes)
	t.Run("two replies", twoReplies)
	t.Run("reply with other seqid", otherSequenceID)
	t.Run("reply with other method", otherMethod)
	t.Run("reply with wrong type", wrongType)
}

// eachKind runs f unframed and framed.
func eachKind(t *testing.T, f func(t *testing.T, set setup)) {
	for _, k := range []transport.Kind{transport.Buffered, transport.Framed} {
		t.Run(k.String(), func(t *testing.T) { f(t, setup{kind: k}) })
	}
}

// moment is how far a call has come when its connection ends.
type moment int

const (
	nothing moment = iota
	header
	halfRequest
	request
	halfReply
	reply
)

// cut ends the connection at a moment of the call, on either side of the gateway.
func cut(t *testing.T, end func(c *memnet.Conn), at moment) {
	t.Run("upstream", func(t *testing.T) {
		eachKind(t, func(t *testing.T, set setup) {
			play(t, set, func(s *scene) { cutByPeer(s, end, at) })
		})
		if at == nothing { // of a unix socket Linux says that nothing was read
			t.Run("unix socket", func(t *testing.T) {
				play(t, setup{address: func(i int) string { return "unix:/run/users-" + string(rune('1'+i)) }}, func(s *scene) {
					s.next(1, func(c *memnet.Conn) { time.Sleep(time.Millisecond); c.Reset() })
					s.expect("put", want{answer: "OK", attempts: "hung_up success"})
					s.works()
				})
			})
		}
	})
	t.Run("caller", func(t *testing.T) {
		eachKind(t, func(t *testing.T, set setup) {
			play(t, set, func(s *scene) { cutByCaller(s, end, at) })
		})
	})
}

func cutByPeer(s *scene, end func(c *memnet.Conn), at moment) {
	fault := func(c *memnet.Conn) {
		defer end(c)
		time.Sleep(time.Millisecond) // the request is written by then
		s.upTo(c, at)
		time.Sleep(time.Millisecond) // the gateway has read what was written
	}
	put := want{answer: "HANDLER_FAILED", attempts: "closed_no_reply", reach: rpc.Unknown}
	get := want{answer: "OK", attempts: "closed_no_reply success"}
	switch at {
	case halfReply:
		put = want{answer: "UNAVAILABLE", attempts: "bad_reply", reach: rpc.Unknown}
		get.attempts = "bad_reply success"
	case reply:
		put, get = ok, ok
	}
	s.next(1, fault)
	s.expect("put", put)
	if at == reply {
		time.Sleep(3 * time.Second) // the connection that works has to go, so that the next one is made
	}
	s.next(1, fault)
	s.expect("get", get)
	time.Sleep(time.Second) // a call sent just before the connection ends would be hit as well
	if s.zombies() != 0 || s.health() != "up up" {
		s.Errorf("%d zombies; the endpoints are %s", s.zombies(), s.health())
	}
	s.works()
}

// upTo is a peer that comes as far as that with a call.
func (s *scene) upTo(c *memnet.Conn, at moment) {
	head := s.headBytes("put") // as long as that of get
	length := len(s.message(wire.Head{Name: "put"}, "key-0"))
	buf := make([]byte, length)
	switch at {
	case nothing:
		return
	case header:
		_, _ = io.ReadFull(c, buf[:head])
		return
	case halfRequest:
		_, _ = io.ReadFull(c, buf[:head+(length-head)/2])
		return
	}
	m, ok := s.receive(c)
	if !ok || at == request {
		return
	}
	answer := s.reply(m)
	if at == halfReply {
		answer = answer[:len(answer)/2]
	}
	_, _ = c.Write(answer)
}

// receive reads one message.
func (s *scene) receive(c *memnet.Conn) (m transport.Message, ok bool) {
	m, err := fakepeer.NewReader(c, s.wire()).Next()
	return m, err == nil
}

// reply is the message with which echo answers.
func (s *scene) reply(m transport.Message) []byte {
	body := echo(m).Body
	return transport.Append(nil, transport.Message{Wire: s.wire(), Head: wire.Head{Name: m.Head.Name, Seq: m.Head.Seq, Type: wire.Reply}, Body: body})
}

// cutByCaller ends the connection on the caller's side. What did not come whole never reaches a peer; a call whose caller closes is
// finished, one whose caller resets is cancelled, and its slot kept until the peer has come back.
func cutByCaller(s *scene, end func(c *memnet.Conn), at moment) {
	c := s.caller()
	message, key := s.request("put", 7)
	calls := int64(1)
	switch at {
	case nothing, header, halfRequest:
		calls = 0
		n := map[moment]int{nothing: 0, header: s.headBytes("put"), halfRequest: len(message) - 5}[at]
		c.write(message[:n])
		time.Sleep(time.Millisecond)
	case request:
		c.write(message)
		time.Sleep(time.Millisecond)
	case halfReply:
		c.write(message)
		_, _ = io.ReadFull(c, make([]byte, 5))
	case reply:
		c.write(message)
		s.check("put", key, c.read(), ok)
	}
	end(c.Conn)
	time.Sleep(time.Millisecond)
	s.caught(end, at)
	time.Sleep(time.Second)
	if got := s.calls(); got != calls {
		s.Errorf("the peers were asked %d times, want %d", got, calls)
	}
	if n, _ := s.seen(); int64(n) != calls {
		s.Errorf("%d records, want %d", n, calls)
	}
	if s.zombies() != 0 {
		s.Errorf("%d slots are still taken", s.zombies())
	}
	s.works()
}

// caught checks what the gateway makes of it at that moment.
func (s *scene) caught(end func(c *memnet.Conn), at moment) {
	s.Helper()
	taken, _ := s.cluster.InFlight()
	probe, other := memnet.Pipe()
	end(probe)
	_, err := other.Read(make([]byte, 1))
	reset := err != io.EOF
	wantTaken, wantZombies, wantMalformed := 0, 0, int64(0)
	if at == request { // the peer is at work at it
		wantTaken = 1
		if reset {
			wantZombies = 1
		}
	}
	if (at == header || at == halfRequest) && !reset {
		wantMalformed = 1 // truncated
	}
	if taken != wantTaken || s.zombies() != wantZombies || s.malformed() != wantMalformed {
		s.Errorf("%d slots taken, %d zombies, %d malformed; want %d, %d, %d", taken, s.zombies(), s.malformed(), wantTaken, wantZombies, wantMalformed)
	}
	if _, r := s.seen(); at == request && reset && (r == nil || r.Err == nil || r.Err.Code != rpc.Cancelled) {
		s.Error("the call is not recorded as cancelled")
	}
}

func halfClose(t *testing.T) {
	t.Run("caller", func(t *testing.T) { // gets every answer, then the end
		eachKind(t, func(t *testing.T, set setup) {
			play(t, set, func(s *scene) {
				c := s.caller()
				var keys []string
				for range 5 {
					keys = append(keys, c.send("put", 7))
				}
				_ = c.CloseWrite()
				for _, key := range keys {
					if a := c.read(); a.what != "OK" || a.text != key {
						s.Errorf("got %+v, want %s", a, key)
					}
				}
				if a := c.read(); a.what != "closed" {
					s.Errorf("behind the answers: %+v", a)
				}
				s.works()
			})
		})
	})
	t.Run("upstream", func(t *testing.T) { // a peer that sends no more answers no more; the gateway closes its side too
		eachKind(t, func(t *testing.T, set setup) {
			play(t, set, func(s *scene) {
				var closed atomic.Int64
				fault := func(c *memnet.Conn) {
					_, _ = s.receive(c)
					_ = c.CloseWrite()
					if _, err := c.Read(make([]byte, 1)); err != nil {
						closed.Add(1)
					}
				}
				s.next(1, fault)
				s.expect("put", want{answer: "HANDLER_FAILED", attempts: "closed_no_reply", reach: rpc.Unknown})
				s.next(1, fault)
				s.expect("get", want{answer: "OK", attempts: "closed_no_reply success"})
				time.Sleep(time.Second)
				if n := closed.Load(); n != 2 {
					s.Errorf("the gateway closed %d of 2 connections", n)
				}
				s.works()
			})
		})
	})
}

func oneByteWrites(t *testing.T) {
	drip := memnet.Faults{WriteBytes: 1}
	t.Run("caller", func(t *testing.T) {
		eachKind(t, func(t *testing.T, set setup) {
			play(t, set, func(s *scene) {
				c := s.caller()
				c.SetFaults(drip)
				for range 3 {
					key := c.send("put", 7)
					s.check("put", key, c.read(), ok)
				}
			})
		})
	})
	t.Run("upstream", func(t *testing.T) {
		eachKind(t, func(t *testing.T, set setup) {
			play(t, set, func(s *scene) {
				s.next(1<<30, func(c *memnet.Conn) { c.SetFaults(drip); s.again(c) })
				s.works()
			})
		})
	})
}

// A line of 1 B/s holds nobody up but those on it: no slot while the request comes; the slot, once the deadline is over, until the peer
// is through.
func oneBytePerSecond(t *testing.T) {
	drip := memnet.Faults{WriteBytes: 1, WriteEvery: time.Second}
	t.Run("caller", func(t *testing.T) {
		eachKind(t, func(t *testing.T, set setup) {
			set.peers, set.options = 1, cluster.Options{Slots: 1}
			play(t, set, func(s *scene) {
				c := s.caller()
				c.SetFaults(drip)
				start := time.Now()
				key := c.send("put", 7)
				for time.Since(start) < 20*time.Second { // the only slot is free for others
					s.expect("get", ok)
					time.Sleep(time.Second)
				}
				s.check("put", key, c.read(), ok)
				if n := len(s.message(wire.Head{Name: "put"}, key)); time.Since(start).Round(time.Second) != time.Duration(n)*time.Second {
					s.Errorf("%d bytes took %v", n, time.Since(start))
				}
			})
		})
	})
	t.Run("upstream", func(t *testing.T) {
		eachKind(t, func(t *testing.T, set setup) {
			play(t, set, func(s *scene) {
				s.next(1, func(c *memnet.Conn) { c.SetFaults(drip); s.again(c) })
				s.expect("put", want{answer: "DEADLINE_EXCEEDED", attempts: "reply_timeout", reach: rpc.Unknown, after: 5 * time.Second})
				if s.zombies() != 1 {
					s.Errorf("%d zombies, want 1", s.zombies())
				}
				s.works()
				time.Sleep(2 * time.Second)
				if s.zombies() != 0 {
					s.Error("the slot was not given back")
				}
			})
			set.timeout = time.Minute // long enough for it
			play(t, set, func(s *scene) {
				s.next(1, func(c *memnet.Conn) { c.SetFaults(drip); s.again(c) })
				s.expect("put", ok)
			})
		})
	})
}

func pause(t *testing.T, d time.Duration) {
	t.Run("caller", func(t *testing.T) { // in the middle of a request: no slot is taken, and its time has not begun
		eachKind(t, func(t *testing.T, set setup) {
			play(t, set, func(s *scene) {
				c := s.caller()
				message, key := s.request("put", 7)
				c.write(message[:len(message)/2])
				time.Sleep(d)
				if taken, waiting := s.cluster.InFlight(); taken != 0 || waiting != 0 {
					s.Errorf("%d slots taken, %d wait", taken, waiting)
				}
				c.write(message[len(message)/2:])
				s.check("put", key, c.read(), ok)
			})
		})
	})
	t.Run("upstream", func(t *testing.T) { // in the middle of a reply
		eachKind(t, func(t *testing.T, set setup) {
			play(t, set, func(s *scene) {
				fault := func(c *memnet.Conn) {
					m, _ := s.receive(c)
					b := s.reply(m)
					_, _ = c.Write(b[:len(b)/2])
					time.Sleep(d)
					_, _ = c.Write(b[len(b)/2:])
					_, _ = c.Read(make([]byte, 1))
				}
				put := want{answer: "OK", attempts: "success", after: d}
				if d > s.timeout {
					put = want{answer: "DEADLINE_EXCEEDED", attempts: "reply_timeout", reach: rpc.Unknown, after: s.timeout}
				}
				for _, method := range []string{"put", "get"} {
					s.next(1, fault)
					s.expect(method, put)
					if zombies := s.zombies(); (zombies == 1) != (d > s.timeout) {
						s.Errorf("%d slots are kept", zombies)
					}
					time.Sleep(time.Minute)
				}
				s.works()
			})
		})
	})
}

func replyBeforeRequestEnds(t *testing.T) {
	t.Run("upstream", func(t *testing.T) { // the reply counts; the connection, where the rest of the request is in the way, does not
		eachKind(t, func(t *testing.T, set setup) {
			play(t, set, func(s *scene) {
				s.next(1, func(c *memnet.Conn) {
					_, _ = io.ReadFull(c, make([]byte, s.headBytes("put")))
					_, _ = c.Write(s.reply(transport.Message{Head: wire.Head{Name: "put", Seq: 1}, Body: s.body("early")}))
					time.Sleep(time.Minute) // and reads no more
				})
				c := s.caller()
				c.write(s.message(wire.Head{Name: "put", Seq: 7, Type: wire.Call}, strings.Repeat("x", 1<<20)))
				s.check("put", "early", c.read(), ok)
				s.works()
			})
		})
	})
	t.Run("caller", func(t *testing.T) { // a request that will be too long is answered while it comes
		eachKind(t, func(t *testing.T, set setup) {
			set.server = server.Config{Limits: wire.Limits{MessageBytes: 1 << 20}}
			play(t, set, func(s *scene) {
				c := s.caller()
				message := s.message(wire.Head{Name: "put", Seq: 7, Type: wire.Call}, strings.Repeat("x", 2<<20))
				c.write(message[:100])
				a := c.read()
				if a.what != "PROTOCOL_ERROR" && a.what != "closed" {
					s.Errorf("got %+v", a)
				}
				if s.kind == transport.Buffered && a.what != "PROTOCOL_ERROR" {
					s.Errorf("got %+v, and the head had come", a)
				}
				if s.calls() != 0 || s.malformed() != 1 {
					s.Errorf("%d calls at peers, %d malformed", s.calls(), s.malformed())
				}
				s.works()
			})
		})
	})
}

// body is a struct with a string as its first field.
func (s *scene) body(text string) []byte {
	whole := s.message(wire.Head{Name: "put"}, text)
	return whole[s.headBytes("put"):]
}

// misanswers lets the first n calls be answered as change says, and the others well.
func misanswers(set setup, n int, change func(s *scene, m transport.Message, a *fakepeer.Answer)) (setup, func(s *scene)) {
	var left atomic.Int64
	var now *scene
	set.prepare = func(_ int, p *fakepeer.Peer) {
		p.Script = func(m transport.Message) fakepeer.Answer {
			a := echo(m)
			if left.Add(-1) >= 0 {
				change(now, m, &a)
			}
			return a
		}
	}
	return set, func(s *scene) { now = s; left.Store(int64(n)) }
}

func extraBytes(t *testing.T) {
	for _, extra := range []string{"x", "\x80\x01", "HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("\xff", 1000)} {
		t.Run("upstream", func(t *testing.T) { // behind a reply: it counts, and the next call is not bothered
			eachKind(t, func(t *testing.T, set setup) {
				set, arm := misanswers(set, 2, func(_ *scene, _ transport.Message, a *fakepeer.Answer) { a.Extra = []byte(extra) })
				play(t, set, func(s *scene) {
					arm(s)
					s.expect("put", ok)
					s.expect("put", retried)
					s.expect("put", retried)
					time.Sleep(time.Millisecond)
					s.works()
				})
			})
		})
		t.Run("caller", func(t *testing.T) { // behind a request: it is answered, and no other caller is bothered
			eachKind(t, func(t *testing.T, set setup) {
				play(t, set, func(s *scene) {
					c := s.caller()
					message, key := s.request("put", 7)
					c.write(append(message, extra...))
					s.check("put", key, c.read(), ok)
					_ = c.CloseWrite()
					if a := c.read(); a.what != "closed" {
						s.Errorf("behind the answer: %+v", a)
					}
					if s.calls() != 1 || s.malformed() != 1 {
						s.Errorf("%d calls at peers, %d malformed", s.calls(), s.malformed())
					}
					s.works()
				})
			})
		})
	}
}

func twoReplies(t *testing.T) {
	t.Run("upstream", func(t *testing.T) { // the second never answers another call
		eachKind(t, func(t *testing.T, set setup) {
			for _, replies := range []int{2, 3} {
				set, arm := misanswers(set, 2, func(s *scene, m transport.Message, a *fakepeer.Answer) {
					other := s.reply(transport.Message{Head: m.Head, Body: s.body("not yours")})
					a.Extra = slices.Repeat(other, replies-1)
				})
				play(t, set, func(s *scene) {
					arm(s)
					s.expect("put", ok)
					s.expect("put", retried)
					s.expect("put", retried)
					time.Sleep(time.Millisecond)
					s.works()
				})
			}
		})
	})
	t.Run("caller", func(t *testing.T) { // two requests with one sequence id are two calls
		eachKind(t, func(t *testing.T, set setup) {
			play(t, set, func(s *scene) {
				c := s.caller()
				a, first := s.request("put", 7)
				b, second := s.request("put", 7)
				c.write(append(a, b...))
				for _, key := range []string{first, second} {
					if a := c.read(); a.what != "OK" || a.text != key {
						s.Errorf("got %+v, want %s", a, key)
					}
				}
			})
		})
	})
}

// noReply checks a reply that answers another question: an error for what may not be called twice, another try for what may.
func noReply(t *testing.T, change func(a *fakepeer.Answer)) {
	eachKind(t, func(t *testing.T, set setup) {
		set, arm := misanswers(set, 1, func(_ *scene, _ transport.Message, a *fakepeer.Answer) { change(a) })
		play(t, set, func(s *scene) {
			arm(s)
			s.expect("put", want{answer: "UNAVAILABLE", attempts: "bad_reply", reach: rpc.Unknown})
			arm(s)
			s.expect("get", want{answer: "OK", attempts: "bad_reply success"})
			s.works()
		})
	})
}

func otherSequenceID(t *testing.T) {
	t.Run("upstream", func(t *testing.T) { noReply(t, func(a *fakepeer.Answer) { a.Seq = 1 }) })
	t.Run("caller", func(t *testing.T) { // whatever id the caller chose comes back
		eachKind(t, func(t *testing.T, set setup) {
			play(t, set, func(s *scene) {
				c := s.caller()
				for _, seq := range []int32{0, 0, -1, 1 << 30, -1 << 31} {
					key := c.send("put", seq)
					if a := c.read(); a.head.Seq != seq || a.text != key {
						s.Errorf("got %+v, want %d", a, seq)
					}
				}
			})
		})
	})
}

func otherMethod(t *testing.T) {
	t.Run("upstream", func(t *testing.T) { noReply(t, func(a *fakepeer.Answer) { a.Name = "get_" }) })
}

func wrongType(t *testing.T) {
	t.Run("upstream", func(t *testing.T) {
		for _, typ := range []wire.MessageType{wire.Call, wire.Oneway} {
			t.Run(typ.String(), func(t *testing.T) { noReply(t, func(a *fakepeer.Answer) { a.Type = typ }) })
		}
	})
	t.Run("caller", func(t *testing.T) { // a caller that sends replies
		eachKind(t, func(t *testing.T, set setup) {
			play(t, set, func(s *scene) {
				c := s.caller()
				for _, typ := range []wire.MessageType{wire.Reply, wire.Exception} {
					c.write(s.message(wire.Head{Name: "put", Seq: 7, Type: typ}, "x"))
					if a := c.read(); a.what != "INVALID_MESSAGE_TYPE" || a.head.Seq != 7 {
						s.Errorf("got %+v", a)
					}
				}
				key := c.send("put", 7)
				s.check("put", key, c.read(), ok)
				if s.calls() != 1 {
					s.Errorf("%d calls at peers", s.calls())
				}
			})
		})
	})
}
