//go:build linux

package faults

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
)

// HL-1: one of four is killed at 500 calls a second. It counts as down after three failed attempts besides the calls that it was working at; no
// caller of an idempotent method notices, and of others those at most whose calls it had.
func TestHL1Crash(t *testing.T) {
	for _, method := range []string{"get", "put"} {
		t.Run(method, func(t *testing.T) {
			var s *scene
			var killed, down time.Time
			had := 0
			set := setup{peers: 4, options: kept}
			set.options.OnState = func(endpoint, state string) {
				if endpoint == "users-1" && state == balance.Down && down.IsZero() {
					down = time.Now()
				}
			}
			play(t, set, func(now *scene) {
				s, down = now, time.Time{}
				time.AfterFunc(2*time.Second+time.Millisecond, func() {
					killed, had = time.Now(), s.cluster.Snapshot().Endpoints[0].InFlight
					s.kill(0)
				})
				y := s.load(3000, 2*time.Millisecond, always(method))
				synctest.Wait()
				failed := y.by["HANDLER_FAILED"]
				if failed+y.by["OK"] != 3000 || method == "get" && failed > 0 || failed > had {
					t.Errorf("%v; it was working at %d", y, had)
				}
				until, later := 0, 0
				for _, a := range s.attempts("users-1", killed) {
					if a.Outcome == rpc.Success {
						t.Errorf("it answered %v after it was killed", a.Start.Sub(killed))
					}
					if a.Start.After(down) {
						later++
					} else {
						until++
					}
				}
				if down.IsZero() || until > 3 || later > 5 { // after 0.4, 0.8, 1.6, … s
					t.Errorf("%d attempts failed until it was down, after %v, and %d later", until, down.Sub(killed), later)
				}
			})
		})
	}
}

// HL-2: a server stands still for 20 s. It gets no more calls than it has slots, and none from the second second on, until it is tried again
// when those calls are given up; nobody else waits, and it serves when it goes on.
func TestHL2Stall(t *testing.T) {
	const still = 20 * time.Second
	var from time.Time // when it stops
	set := setup{peers: 4, options: kept, timeout: 5 * time.Second, prepare: func(i int, p *fakepeer.Peer) {
		if i > 0 {
			return
		}
		p.Script = func(m transport.Message) fakepeer.Answer {
			a := echo(m)
			if since := time.Since(from); since > 0 && since < still {
				a.After += still - since
			}
			return a
		}
	}}
	play(t, set, func(s *scene) {
		from = time.Now().Add(2*time.Second + time.Millisecond)
		y := s.load(200*26, 5*time.Millisecond, always("put"))
		first, met, after := 0, 0, 0
		for _, a := range s.attempts("users-1", from) {
			switch since := a.Start.Sub(from); {
			case since < time.Second:
				first++
			case since < 5*time.Second:
				t.Errorf("it got a call %v after it stopped", since)
			case since < still:
				met++
			default:
				after++
			}
		}
		if first == 0 || first > slots || met > 2*slots || after < 100 {
			t.Errorf("it got %d calls in the first second, %d later, and %d when it went on", first, met, after)
		}
		if lost := y.by["DEADLINE_EXCEEDED"]; lost > first+met || lost+y.by["OK"] != 200*26 || y.quantile(0.99) > 20*time.Millisecond {
			t.Errorf("%v; %d calls met it", y, first+met)
		}
	})
}

// HL-3: one of five fails three calls in ten without an answer. It is out within two seconds at 200 calls a second, and no caller of an
// idempotent method notices. That nobody else is ejected in an hour shows cluster/balance, which has the same name.
func TestHL3GreyFailure(t *testing.T) {
	seeds := random(t)
	var from, out time.Time
	var others []string
	var mu sync.Mutex
	set := setup{peers: 5, options: kept, prepare: func(i int, p *fakepeer.Peer) {
		if i > 0 {
			return
		}
		p.Script = func(m transport.Message) fakepeer.Answer {
			mu.Lock()
			defer mu.Unlock()
			a := echo(m)
			a.Close = time.Since(from) > 0 && seeds.IntN(10) < 3
			return a
		}
	}}
	set.options.OnState = func(endpoint, state string) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case endpoint != "users-1":
			others = append(others, endpoint+" "+state)
		case state == balance.Ejected && out.IsZero():
			out = time.Now()
		}
	}
	play(t, set, func(s *scene) {
		from, out = time.Now().Add(2*time.Second+time.Millisecond), time.Time{}
		y := s.load(200*30, 5*time.Millisecond, always("get"))
		synctest.Wait()
		if !y.only("OK") || len(others) > 0 {
			t.Errorf("%v; of the others was told %q", y, others)
		}
		if d := out.Sub(from); d < 0 || d > 2*time.Second {
			t.Errorf("it was out after %v", d)
		}
	})
}

// HL-12: 100,000 calls, each 2 to 4 s after the one before, to a peer that closes connections after 3 s, 5 ms away: none fails, though a call
// that sets out while the close is on its way would.
func TestHL12IdlePool(t *testing.T) {
	callers, each := 20, 5000
	if raceEnabled {
		each = 500
	}
	seeds := random(t)
	synctest.Test(t, func(t *testing.T) {
		s := open(t, setup{peers: callers, options: kept, prepare: func(_ int, p *fakepeer.Peer) { p.IdleEnd = 3 * time.Second }})
		s.onConn = func(a, b *memnet.Conn) {
			a.SetFaults(memnet.Faults{Delay: 5 * time.Millisecond})
			b.SetFaults(memnet.Faults{Delay: 5 * time.Millisecond})
		}
		var calls sync.WaitGroup
		for range callers {
			c, gaps := s.caller(), rand.New(rand.NewPCG(seeds.Uint64(), 0))
			calls.Go(func() {
				for range each {
					time.Sleep(2*time.Second + time.Duration(gaps.Int64N(int64(2*time.Second))))
					key := c.send("put", 7)
					if a := c.read(); a.what != "OK" || a.text != key {
						t.Errorf("%+v", a)
					}
				}
			})
		}
		calls.Wait()
		synctest.Wait()
		reused := 0
		for _, r := range s.records {
			if a := r.Attempts(); len(a) == 1 && a[0].Reused {
				reused++
			}
		}
		if n := callers * each; s.calls() != int64(n) || reused < n/20 {
			t.Errorf("%d calls, %d of them on a connection that had been idle: the test has tried too little", s.calls(), reused)
		}
		s.close()
	})
}
