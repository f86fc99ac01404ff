//go:build linux

package faults

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/server"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// More than can be done, and who pays for it. What is offered in general is in test/overload.
func TestOverload(t *testing.T) {
	for name, f := range map[string]func(t *testing.T){
		"retry storm":          retryStorm,
		"thundering reconnect": thunderingReconnect,
		"large replies":        largeReplies,
		"one principal floods": onePrincipalFloods,
	} {
		t.Run(name, f)
	}
}

// many lets n callers call at once, each on a connection of its own, and returns how often each answer was read.
func (s *scene) many(callers []*caller, method string) (answers map[string]int) {
	answers = map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for i, c := range callers {
		key := c.send(method, int32(i))
		all.Go(func() {
			a := c.read()
			mu.Lock()
			defer mu.Unlock()
			if answers[a.what]++; a.what == "OK" && a.text != key {
				s.Errorf("caller %d got the answer of another call", i)
			}
		})
	}
	all.Wait()
	return answers
}

func (s *scene) crowd(n int) (all []*caller) {
	for range n {
		all = append(all, s.caller())
	}
	return all
}

// Callers who are refused try again at once, again and again, fifty times as many as can be answered: the fleet goes on at its full rate, and
// when they give up all is as before.
func retryStorm(t *testing.T) {
	few := cluster.Default().Queue
	few.MaxCalls = 16
	play(t, setup{options: cluster.Options{Slots: 2, Queue: few}}, func(s *scene) {
		var mu sync.Mutex
		var all sync.WaitGroup
		good := 0
		const during = time.Second
		for _, c := range s.crowd(100) {
			all.Go(func() {
				for end := time.Now().Add(during); time.Now().Before(end); {
					c.send("get", 7)
					switch a := c.read(); a.what {
					case "OK":
						mu.Lock()
						good++
						mu.Unlock()
					case "RESOURCE_EXHAUSTED":
						time.Sleep(5 * time.Millisecond) // the way to the caller and back
					default:
						s.Errorf("%s: %s", a.what, a.text)
						return
					}
				}
			})
		}
		all.Wait()
		if most := 400 * during.Seconds(); float64(good) < 0.95*most { // two servers, two calls at one time, 10 ms each
			s.Errorf("%d calls were answered of %.0f that the fleet can do", good, most)
		}
		s.works()
	})
}

// All callers lose their connections at one moment, with a call each, and are back at the next with another one: what nobody waits for any more
// is taken out of the queue, and every new call is answered.
func thunderingReconnect(t *testing.T) {
	play(t, setup{options: cluster.Options{Slots: 4, Queue: cluster.Default().Queue}}, func(s *scene) {
		for round := range 2 {
			before := s.crowd(200)
			for i, c := range before {
				c.send("get", int32(i))
			}
			time.Sleep(time.Millisecond)
			for _, c := range before {
				c.Reset()
			}
			start := time.Now()
			answers := s.many(s.crowd(200), "get")
			if answers["OK"] != 200 {
				s.Errorf("round %d: %v", round, answers)
			}
			if d := time.Since(start); d > 300*time.Millisecond { // 800 calls a second, and those that the servers were at
				s.Errorf("round %d: it took %v", round, d)
			}
		}
		s.works()
	})
}

// Replies of a megabyte to many callers at once: what the process may hold bounds them, a caller whose reply there is no room for is told so,
// short ones pass, and nothing stays.
func largeReplies(t *testing.T) {
	const most = 8 << 20
	budget := netio.NewBudget(most)
	large := binary.AppendStop(binary.AppendString(binary.AppendField(nil, wire.String, 0), strings.Repeat("x", 1<<20)))
	set := setup{
		options: cluster.Options{Slots: 16, Budget: budget, Queue: cluster.Default().Queue}, server: server.Config{Budget: budget}, timeout: time.Minute,
		prepare: func(_ int, p *fakepeer.Peer) {
			p.Script = func(m transport.Message) fakepeer.Answer {
				if m.Head.Name == "get" {
					return fakepeer.Answer{After: 10 * time.Millisecond, Body: large}
				}
				return echo(m)
			}
		},
	}
	play(t, set, func(s *scene) {
		answers := map[string]int{}
		var all sync.WaitGroup
		var mu sync.Mutex
		held := int64(0)
		for i, c := range s.crowd(64) {
			c.send("get", int32(i))
			all.Go(func() {
				a := c.read()
				mu.Lock()
				defer mu.Unlock()
				answers[a.what]++
			})
		}
		for range 10 {
			time.Sleep(5 * time.Millisecond)
			held = max(held, budget.Held())
			s.expect("put", ok)
		}
		all.Wait()
		if answers["OK"] == 0 || answers["OK"]+answers["RESOURCE_EXHAUSTED"] != 64 {
			s.Errorf("%v", answers)
		}
		if held > most+64*64<<10 { // and what each connection needs to say no
			s.Errorf("%d bytes were held", held)
		}
	})
}

// One principal makes a thousand calls at once. Another, with one at a time, is answered as if it were nearly alone.
func onePrincipalFloods(t *testing.T) {
	set := setup{options: cluster.Options{Slots: 1, Queue: cluster.Default().Queue}, timeout: time.Minute}
	play(t, set, func(s *scene) {
		noisy := s.caller()
		var all sync.WaitGroup
		all.Go(func() {
			for i := range 1000 {
				noisy.send("put", int32(i))
			}
			for i := range 1000 {
				if a := noisy.read(); a.what != "OK" && a.what != "RESOURCE_EXHAUSTED" || a.head.Seq != int32(i) {
					s.Errorf("answer %d: %+v", i, a)
					return
				}
			}
		})
		time.Sleep(50 * time.Millisecond)
		for i := range 20 {
			start := time.Now()
			c := s.caller()
			c.send("get", 7)
			if a := c.read(); a.what != "OK" || time.Since(start) > 50*time.Millisecond {
				s.Errorf("call %d of the other: %s after %v", i, a.what, time.Since(start))
			}
			_ = c.Close()
		}
		all.Wait()
	})
}
