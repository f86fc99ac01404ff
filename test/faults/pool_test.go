//go:build linux

package faults

import (
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
)

// What may go wrong with connections that are kept.
func TestPool(t *testing.T) {
	t.Run("idle close at 3 s", idleClose)
	t.Run("idle held worker", heldWorker)
	t.Run("more gateways than workers", moreGatewaysThanWorkers)
	t.Run("max age", maxAge)
	t.Run("half-open", halfOpen)
	t.Run("NAT drop", natDrop)
	t.Run("pool exhaustion", poolExhaustion)
}

// kept is a pool like that of `server: threaded`: free connections are kept for 2.5 s.
var kept = cluster.Options{IdleExpiry: 2500 * time.Millisecond, Slots: 4}

func idleClose(t *testing.T) {
	seeds := random(t)
	t.Run("upstream", func(t *testing.T) { // peers that close at 3 s, and a call whenever that is about due: none fails
		play(t, setup{options: kept, prepare: func(_ int, p *fakepeer.Peer) { p.IdleEnd = 3 * time.Second }}, func(s *scene) {
			c := s.caller()
			for range 2000 {
				time.Sleep(2*time.Second + time.Duration(seeds.Int64N(int64(2*time.Second))))
				key := c.send("put", 7)
				s.check("put", key, c.read(), ok)
				if s.Failed() {
					return
				}
			}
		})
	})
	t.Run("caller", func(t *testing.T) { // callers may be idle for as long as they like
		play(t, setup{}, func(s *scene) {
			c := s.caller()
			for _, d := range []time.Duration{3 * time.Second, time.Minute, 20 * time.Hour} {
				time.Sleep(d)
				key := c.send("put", 7)
				s.check("put", key, c.read(), ok)
			}
		})
	})
}

// serial is a peer with one worker, which stays with a connection until that is closed.
func serial(_ int, p *fakepeer.Peer) { p.Serial = true }

func heldWorker(t *testing.T) {
	t.Run("upstream", func(t *testing.T) { // the gateway lets go of a worker that it does not use
		play(t, setup{peers: 1, options: cluster.Options{Slots: 1}, prepare: serial}, func(s *scene) {
			s.expect("put", ok)
			start := time.Now()
			nc, err := s.network.Dial(s.Context(), s.address(0)) // somebody else, past the gateway
			if err != nil {
				s.Fatal(err)
			}
			other := &caller{Conn: nc.(*memnet.Conn), s: s}
			other.write(s.upstreamCall())
			if _, err := io.ReadFull(other, make([]byte, 10)); err != nil {
				s.Fatal(err)
			}
			if took := time.Since(start); took > 2*time.Second {
				s.Errorf("the worker was held for %v", took)
			}
			_ = other.Close()
			s.works()
		})
	})
	t.Run("caller", func(t *testing.T) { // a caller that keeps its connection and says nothing holds no worker
		play(t, setup{peers: 1, options: cluster.Options{Slots: 1}, prepare: serial}, func(s *scene) {
			idle := s.caller()
			key := idle.send("put", 7)
			s.check("put", key, idle.read(), ok)
			s.works()
		})
	})
}

// upstreamCall is a call as a peer is sent it.
func (s *scene) upstreamCall() []byte {
	b, _ := s.request("put", 1)
	return b
}

func moreGatewaysThanWorkers(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options cluster.Options
		pause   time.Duration // of each gateway between two calls
		least   int           // calls of each gateway in a minute
	}{
		// As the kinds `simple` and `gunicorn-sync` are configured: who pauses for 10 ms lets the next one in.
		{"that pause", cluster.Options{Slots: 1, IdleExpiry: 10 * time.Millisecond}, 50 * time.Millisecond, 500},
		// Who never pauses lets the others in when its connection is of age: each comes to a call at least every other second.
		{"that never pause", cluster.Options{Slots: 1, MaxAge: time.Second}, 0, 30},
	} {
		t.Run("upstream/"+tt.name, func(t *testing.T) {
			play(t, setup{peers: 1, options: tt.options, prepare: serial}, func(s *scene) {
				three := []*cluster.Cluster{s.cluster, s.gateway(tt.options), s.gateway(tt.options)}
				var all sync.WaitGroup
				end := time.Now().Add(time.Minute)
				done := make([]int, len(three))
				for i, c := range three {
					all.Go(func() {
						for ; time.Now().Before(end); done[i]++ {
							if err := s.direct(c); err != nil {
								s.Errorf("gateway %d: %v", i, err)
							}
							time.Sleep(tt.pause)
						}
					})
				}
				all.Wait()
				for i, n := range done {
					if n < tt.least {
						s.Errorf("gateway %d came to %d calls, of %v", i, n, done)
					}
				}
				time.Sleep(2 * time.Minute)
				for _, c := range three {
					if taken, _ := c.InFlight(); taken != 0 {
						s.Errorf("%d slots are taken", taken)
					}
				}
			})
		})
	}
}

// gateway is one more gateway's cluster over the same peers.
func (s *scene) gateway(o cluster.Options) *cluster.Cluster {
	o.Name, o.Engine, o.Dialer, o.Wire, o.Queue = "Users", s.engine, s.network.Dial, s.wire(), cluster.Default().Queue
	c := cluster.New(o)
	c.Update([]rpc.Endpoint{{Address: s.address(0), Name: "users-1"}})
	s.Cleanup(c.Close)
	return c
}

// direct makes a call of a minute at most through a cluster alone.
func (s *scene) direct(c *cluster.Cluster) error {
	_, err := c.Handle(s.Context(), &rpc.Call{
		ID: rpc.NewID(), Service: "Users", Name: "put", Protocol: s.wire().Protocol, Body: s.body("x"),
		Start: time.Now(), Deadline: time.Now().Add(time.Minute),
	})
	return err
}

func maxAge(t *testing.T) {
	t.Run("upstream", func(t *testing.T) { // peers that cut a connection 3 s after accept, even at work: none of the calls is cut
		options := cluster.Options{Slots: 2, IdleExpiry: 2500 * time.Millisecond, MaxAge: 2500 * time.Millisecond}
		play(t, setup{options: options, prepare: func(_ int, p *fakepeer.Peer) {
			p.MaxAge = 3 * time.Second
			p.Script = func(m transport.Message) fakepeer.Answer {
				a := echo(m)
				a.After = 400 * time.Millisecond
				return a
			}
		}}, func(s *scene) {
			var all sync.WaitGroup
			for range 4 {
				c := s.caller()
				all.Go(func() {
					for range 100 {
						c.send("put", 7)
						if a := c.read(); a.what != "OK" {
							s.Errorf("got %+v", a)
						}
					}
				})
			}
			all.Wait()
			if n := s.peers[0].Connections.Load() + s.peers[1].Connections.Load(); n < 16 {
				s.Errorf("%d connections were made: their age was not tried", n)
			}
		})
	})
}

func halfOpen(t *testing.T) {
	t.Run("upstream", func(t *testing.T) { // the peer's machine has gone without a word: one deadline, then a new connection
		play(t, setup{peers: 1, options: kept}, func(s *scene) {
			for range 3 {
				s.works()
				s.lose(s.address(0))
				s.expect("put", want{answer: "DEADLINE_EXCEEDED", attempts: "reply_timeout", reach: rpc.Unknown, after: 5 * time.Second})
				if s.zombies() != 1 {
					s.Errorf("%d zombies, want 1", s.zombies())
				}
				time.Sleep(3 * time.Second) // free connections that are lost as well are not kept for longer
				if s.zombies() != 0 {
					s.Error("the slot was not given back")
				}
				s.works()
			}
		})
	})
	t.Run("caller", func(t *testing.T) { // a caller that has gone without a word costs its connection and nothing else
		play(t, setup{peers: 1, options: cluster.Options{Slots: 1}}, func(s *scene) {
			c := s.caller()
			c.send("put", 7)
			synctest.Wait()
			s.lose(front)
			time.Sleep(time.Second)
			if taken, waiting := s.cluster.InFlight(); taken != 0 || waiting != 0 {
				s.Errorf("%d slots taken, %d wait", taken, waiting)
			}
			s.works()
			if n := s.server.Snapshot().Connections; n != 1 {
				s.Errorf("%d connections, want the lost one", n)
			}
			s.reset()
			synctest.Wait()
			s.works()
		})
	})
}

func natDrop(t *testing.T) {
	const forgets = 1800 * time.Millisecond // shorter than a peer would close at, longer than the strictest pool keeps
	t.Run("upstream", func(t *testing.T) {  // a box between gateway and peers that forgets idle connections: none is used after that
		seeds := random(t)
		play(t, setup{}, func(s *scene) {
			var forgotten atomic.Int64
			s.onConn = func(_, b *memnet.Conn) {
				if b.LocalAddr().String() != front {
					b.Forget(forgets, func() { forgotten.Add(1) })
				}
			}
			c := s.caller()
			for range 1000 {
				time.Sleep(time.Second + time.Duration(seeds.Int64N(int64(1200*time.Millisecond))))
				key := c.send("put", 7)
				s.check("put", key, c.read(), ok)
				if s.Failed() {
					return
				}
			}
			if forgotten.Load() == 0 {
				s.Error("the box forgot nothing: the test has tried nothing")
			}
		})
	})
}

func poolExhaustion(t *testing.T) {
	t.Run("upstream", func(t *testing.T) { // every slot taken: who fits the queue waits, the others are told so at once
		options := cluster.Options{Slots: 2, Queue: cluster.QueueConfig{MaxCalls: 6, MaxWait: 3 * time.Second}}
		slow := func(_ int, p *fakepeer.Peer) {
			p.Script = func(m transport.Message) fakepeer.Answer {
				a := echo(m)
				a.After = time.Second
				return a
			}
		}
		play(t, setup{options: options, prepare: slow}, func(s *scene) {
			start := time.Now()
			var callers []*caller
			var keys []string
			for range 14 { // 4 at work, 6 in the queue, 4 too many
				c := s.caller()
				callers, keys = append(callers, c), append(keys, c.send("put", 7))
				synctest.Wait()
			}
			for i, c := range callers {
				a, after := c.read(), time.Since(start).Round(time.Millisecond)
				switch {
				case i < 10 && (a.what != "OK" || a.text != keys[i] || after != time.Duration(1+i/4)*time.Second):
					s.Errorf("call %d: %+v after %v", i, a, after)
				case i >= 10 && a.what != "RESOURCE_EXHAUSTED":
					s.Errorf("call %d: %+v", i, a)
				}
			}
			for i, p := range s.peers {
				if p.MostOpen.Load() > 2 {
					s.Errorf("peer %d had %d connections", i, p.MostOpen.Load())
				}
			}
			time.Sleep(3 * time.Second)
			s.expect("put", want{answer: "OK", attempts: "success", after: time.Second})
		})
	})
	t.Run("caller", func(t *testing.T) { // a caller that has gone does not keep its place in the queue
		options := cluster.Options{Slots: 1, Queue: cluster.QueueConfig{MaxCalls: 4, MaxWait: time.Minute}}
		play(t, setup{peers: 1, options: options, timeout: time.Minute}, func(s *scene) {
			var callers []*caller
			for range 5 {
				c := s.caller()
				c.send("put", 7)
				synctest.Wait()
				callers = append(callers, c)
			}
			if _, waiting := s.cluster.InFlight(); waiting != 4 {
				s.Errorf("%d calls wait, want 4", waiting)
			}
			for _, c := range callers[1:] {
				c.Reset()
			}
			synctest.Wait()
			if _, waiting := s.cluster.InFlight(); waiting != 0 {
				s.Errorf("%d calls wait, and their callers have gone", waiting)
			}
			if a := callers[0].read(); a.what != "OK" {
				s.Errorf("the first: %+v", a)
			}
			if s.calls() != 1 {
				s.Errorf("the peer was asked %d times", s.calls())
			}
			s.works()
		})
	})
}
