//go:build linux

package faults

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/server"
)

// What may go wrong while a connection is made. Whatever was not sent is tried elsewhere, idempotent or not; the endpoint is down until it
// answers again.
func TestConnect(t *testing.T) {
	t.Run("refused", refused)
	t.Run("RST on accept", resetOnAccept)
	t.Run("SYN blackhole", blackhole)
	t.Run("slow accept", slowAccept)
	t.Run("accept then silence", silence)
	t.Run("backlog full", backlogFull)
	t.Run("DNS fail", dnsFail)
	t.Run("DNS empty", dnsEmpty)
	t.Run("DNS changed", dnsChanged)
	t.Run("DNS slow", dnsSlow)
	t.Run("wrong protocol answers", wrongProtocol)
	t.Run("fd limit", fdLimit)
	t.Run("ephemeral ports gone", portsGone)
	t.Run("unix socket gone", socketGone)
	t.Run("unix socket recreated", socketRecreated)
}

// back waits until an endpoint that was down is tried again, and checks that all is well.
func (s *scene) back() {
	s.Helper()
	time.Sleep(6 * time.Second)
	s.works()
	for range 20 { // each endpoint takes a call sooner or later
		s.expect("get", want{answer: "OK", attempts: "success"})
		time.Sleep(3 * time.Second) // longer than a free connection is kept: each call makes one
	}
	if got := s.health(); got != "up up" {
		s.Errorf("the endpoints are %s at the end", got)
	}
}

func refused(t *testing.T) {
	t.Run("upstream", func(t *testing.T) {
		play(t, setup{}, func(s *scene) {
			s.network.SetTrouble(s.address(0), memnet.Trouble{Refuse: true})
			for range 20 {
				s.expect("put", want{answer: "OK", attempts: "success|refused success"})
				time.Sleep(3 * time.Second)
			}
			if got := s.health(); got != "down up" {
				s.Errorf("the endpoints are %s", got)
			}
			s.trouble(memnet.Trouble{Refuse: true})
			start := time.Now()
			for range 3 { // no endpoint at all: refused soon, with what it is
				c := s.caller()
				c.send("put", 7)
				if a := c.read(); a.what != "UNAVAILABLE" {
					s.Errorf("with every endpoint gone: %+v", a)
				}
			}
			if took := time.Since(start); took > 5*time.Second {
				s.Errorf("three calls were told so after %v", took)
			}
			s.trouble(memnet.Trouble{})
			s.back()
		})
	})
	t.Run("caller", func(t *testing.T) { // the gateway leaves: who comes is refused, who is there gets its answer
		play(t, setup{}, func(s *scene) {
			c := s.caller()
			key := c.send("put", 7)
			synctest.Wait()
			if err := s.server.Drain(s.Context()); err != nil {
				s.Error(err)
			}
			s.check("put", key, c.read(), ok)
			if _, err := s.network.Dial(s.Context(), front); err == nil {
				s.Error("a new caller was let in")
			}
		})
	})
}

func resetOnAccept(t *testing.T) {
	t.Run("upstream", func(t *testing.T) {
		play(t, setup{}, func(s *scene) {
			s.network.SetTrouble(s.address(0), memnet.Trouble{Reset: true})
			for range 20 {
				s.expect("put", want{answer: "OK", attempts: "success|hung_up success"})
				time.Sleep(3 * time.Second)
			}
			s.trouble(memnet.Trouble{})
			s.back()
		})
	})
	t.Run("caller", func(t *testing.T) {
		play(t, setup{}, func(s *scene) {
			for range 20 {
				s.caller().Reset()
			}
			if n, _ := s.seen(); n != 0 || s.malformed() != 0 {
				s.Errorf("%d calls, %d malformed", n, s.malformed())
			}
			s.works()
		})
	})
}

func blackhole(t *testing.T) {
	t.Run("upstream", func(t *testing.T) {
		play(t, setup{}, func(s *scene) {
			s.network.SetTrouble(s.address(0), memnet.Trouble{Blackhole: true})
			met := 0
			for range 20 {
				start := time.Now()
				s.expect("put", want{answer: "OK", attempts: "success|connect_timeout success"})
				if took := time.Since(start); took > 2*time.Second {
					s.Errorf("a call took %v: more than one wait for a connection", took)
				} else if took > time.Second {
					met++
				}
				time.Sleep(3 * time.Second)
			}
			if met == 0 || s.health() != "down up" {
				s.Errorf("%d calls met the dark endpoint; the endpoints are %s", met, s.health())
			}
			s.trouble(memnet.Trouble{})
			s.back()
		})
	})
}

func slowAccept(t *testing.T) {
	slow := func(c *memnet.Conn) { // the kernel has taken the connection; the server comes to it later
		time.Sleep(2 * time.Second)
	}
	t.Run("upstream", func(t *testing.T) {
		play(t, setup{}, func(s *scene) {
			serve := func(c *memnet.Conn) { slow(c); s.again(c) }
			s.next(1, serve)
			s.expect("put", want{answer: "OK", attempts: "success", after: 2010 * time.Millisecond})
			s.next(1, serve)
			time.Sleep(3 * time.Second)
			s.expect("put", ok)
		})
		play(t, setup{timeout: time.Second}, func(s *scene) { // later than the call's deadline: the slot is kept until the server has come to it
			s.next(1, func(c *memnet.Conn) { time.Sleep(1500 * time.Millisecond); s.again(c) })
			s.expect("put", want{answer: "DEADLINE_EXCEEDED", attempts: "reply_timeout", reach: rpc.Unknown, after: time.Second})
			if s.zombies() != 1 {
				s.Errorf("%d slots are kept for servers at work, want 1", s.zombies())
			}
			time.Sleep(2 * time.Second)
			if s.zombies() != 0 {
				s.Error("the slot was not given back")
			}
			s.works()
		})
	})
}

// again serves a connection by its peer's script.
func (s *scene) again(c *memnet.Conn) {
	for i, p := range s.peers {
		if s.address(i) == c.LocalAddr().String() {
			p.Talk(c)
		}
	}
}

func silence(t *testing.T) {
	t.Run("upstream", func(t *testing.T) {
		play(t, setup{options: cluster.Options{Slots: 2}}, func(s *scene) {
			s.next(8, func(c *memnet.Conn) { _, _ = io.Copy(io.Discard, c) })
			for range 8 {
				s.expect("get", want{answer: "DEADLINE_EXCEEDED", attempts: "reply_timeout", reach: rpc.Unknown, after: 5 * time.Second})
				for _, e := range s.cluster.Snapshot().Endpoints {
					if e.Connections > e.Slots {
						s.Errorf("%s has %d connections and %d slots", e.Name, e.Connections, e.Slots)
					}
				}
			}
			time.Sleep(2 * time.Second)
			if s.zombies() != 0 || s.health() != "up up" {
				s.Errorf("%d slots are kept; the endpoints are %s", s.zombies(), s.health())
			}
			s.works()
		})
	})
	t.Run("caller", func(t *testing.T) { // who says nothing is left alone, up to the bound, and takes no slot
		play(t, setup{server: server.Config{MaxConnections: 10}}, func(s *scene) {
			var silent []*caller
			for range 9 {
				silent = append(silent, s.caller())
			}
			time.Sleep(time.Hour)
			s.expect("put", ok)
			last := s.caller()
			synctest.Wait()
			if a := s.caller().read(); a.what != "closed" {
				s.Errorf("beyond the bound: %+v", a)
			}
			_ = last.Close()
			for _, c := range silent {
				key := c.send("put", 7)
				s.check("put", key, c.read(), ok)
			}
		})
	})
}

func backlogFull(t *testing.T) {
	t.Run("upstream", func(t *testing.T) {
		play(t, setup{}, func(s *scene) {
			s.network.Backlog = 1
			full := s.fill("full:1")
			s.cluster.Update([]rpc.Endpoint{{Address: "full:1", Name: "users-1"}, {Address: s.address(1), Name: "users-2"}})
			for range 20 {
				s.expect("put", want{answer: "OK", attempts: "success|connect_timeout success"})
				time.Sleep(3 * time.Second)
			}
			if got := s.health(); got != "up down" { // the new one comes last
				s.Errorf("the endpoints are %s", got)
			}
			full()
			s.cluster.Update([]rpc.Endpoint{{Address: s.address(0), Name: "users-1"}, {Address: s.address(1), Name: "users-2"}})
			s.back()
		})
	})
	t.Run("unix socket", backlogOfUnixSocket)
}

// fill listens at an address, accepts nothing, and takes the one place of its backlog. What it returns ends that.
func (s *scene) fill(address string) (end func()) {
	l, err := s.network.Listen(address)
	if err != nil {
		s.Fatal(err)
	}
	c, err := s.network.Dial(s.Context(), address)
	if err != nil {
		s.Fatal(err)
	}
	return func() { _, _ = c.Close(), l.Close() }
}

func wrongProtocol(t *testing.T) {
	speech := map[string]string{
		"HTTP":  "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
		"TLS":   "\x15\x03\x01\x00\x02\x02\x46",
		"SSH":   "SSH-2.0-OpenSSH_9.6\r\n",
		"Redis": "-ERR unknown command\r\n",
		"zeros": "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
	}
	t.Run("upstream", func(t *testing.T) {
		for name, says := range speech {
			if name == "TLS" {
				continue // the case below
			}
			t.Run(name, func(t *testing.T) {
				play(t, setup{}, func(s *scene) {
					answer := func(c *memnet.Conn) {
						time.Sleep(time.Millisecond)
						_, _ = c.Write([]byte(says))
						_, _ = io.Copy(io.Discard, c)
					}
					s.next(1, answer)
					s.expect("put", want{answer: "UNAVAILABLE", attempts: "bad_reply", reach: rpc.Unknown})
					s.next(1, answer)
					s.expect("get", want{answer: "OK", attempts: "bad_reply success"})
					s.works()
				})
			})
		}
		t.Run("TLS", func(t *testing.T) { // who answers with an alert has not taken the bytes for a call
			play(t, setup{}, func(s *scene) {
				s.next(1, func(c *memnet.Conn) {
					time.Sleep(time.Millisecond)
					_, _ = c.Write([]byte(speech["TLS"]))
					_, _ = io.Copy(io.Discard, c)
				})
				s.expect("put", want{answer: "OK", attempts: "tls_failed success"})
				s.works()
			})
		})
	})
	t.Run("caller", func(t *testing.T) {
		for name, says := range speech {
			t.Run(name, func(t *testing.T) {
				play(t, setup{}, func(s *scene) {
					c := s.caller()
					c.write([]byte(says))
					_ = c.CloseWrite()
					_ = c.SetReadDeadline(time.Now().Add(time.Minute))
					if _, err := io.ReadAll(c); err != nil {
						s.Errorf("the connection was not closed: %v", err)
					}
					if n, _ := s.seen(); n != 0 || s.calls() != 0 || s.malformed() == 0 {
						s.Errorf("%d calls, %d at peers, %d malformed", n, s.calls(), s.malformed())
					}
					s.works()
				})
			})
		}
	})
}
