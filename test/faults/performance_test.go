//go:build linux

package faults

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/rpc/budget"
	"github.com/thriftloom/thriftloom/transport"
)

// Servers that answer, and are slow in one way or another; and clocks that do not go as they should. What takes a whole fleet to see is
// played by sim, under the same name.
func TestPerformance(t *testing.T) {
	t.Run("slow one method", slowMethod)
	t.Run("memory leak", memoryLeak)
	t.Run("clock step ±1 h", clockStep)
	t.Run("clock frozen", clockFrozen)
}

// One method takes 50 times as long as the others: those are as fast as ever, nobody is taken for slow or failing, and all have equal parts.
func slowMethod(t *testing.T) {
	script := func(m transport.Message) fakepeer.Answer {
		a := echo(m)
		if m.Head.Name == "put" {
			a.After = 500 * time.Millisecond
		}
		return a
	}
	play(t, setup{peers: 4, options: kept, prepare: func(_ int, p *fakepeer.Peer) { p.Script = script }}, func(s *scene) {
		y := s.load(4000, 5*time.Millisecond, func(i int) string {
			if i%25 == 0 { // four of sixteen slots
				return "put"
			}
			return "get"
		})
		if !y.only("OK") || y.quantile(0.95) > 11*time.Millisecond {
			t.Errorf("%v, p95 %v", y, y.quantile(0.95))
		}
		for _, e := range s.cluster.Snapshot().Endpoints {
			if e.State != balance.Up || e.Calls < 700 || e.Calls > 1300 {
				t.Errorf("%s is %s and had %d of 4000 calls", e.Name, e.State, e.Calls)
			}
		}
	})
}

// A server gets slower with each call, as one does that runs out of memory, until it is killed, and is back a second later, again and again:
// it gets fewer calls while it is slow, and no caller of an idempotent method notices its end.
func memoryLeak(t *testing.T) {
	const dies = 60 // calls
	var s *scene
	var mu sync.Mutex
	leaked, deaths := 0, 0
	set := setup{peers: 3, options: kept, prepare: func(i int, p *fakepeer.Peer) {
		if i > 0 {
			return
		}
		p.Script = func(m transport.Message) fakepeer.Answer {
			mu.Lock()
			defer mu.Unlock()
			a := echo(m)
			leaked++
			a.After += time.Duration(leaked) * time.Millisecond / 4
			if leaked == dies {
				leaked = 0
				deaths++
				go func() {
					s.kill(0)
					time.Sleep(time.Second)
					s.network.SetTrouble(s.address(0), memnet.Trouble{})
				}()
			}
			return a
		}
	}}
	play(t, set, func(now *scene) {
		s, leaked, deaths = now, 0, 0
		y := s.load(12_000, 5*time.Millisecond, always("get"))
		if !y.only("OK") || y.quantile(0.99) > 120*time.Millisecond {
			t.Error(y)
		}
		e := s.cluster.Snapshot().Endpoints
		if deaths < 3 || e[0].Calls > e[1].Calls || e[0].Calls > e[2].Calls {
			t.Errorf("it died %d times, and had %d calls, the others %d and %d", deaths, e[0].Calls, e[1].Calls, e[2].Calls)
		}
		time.Sleep(2 * time.Second) // it is back
	})
}

// stepped returns t as time.Now would if somebody had set the clock by so much: the wall clock's part is another one, the monotonic part stays.
func stepped(t time.Time, by time.Duration) time.Time {
	wall := (*uint64)(unsafe.Pointer(&t)) // 1 bit, 33 of seconds, 30 of nanoseconds: package time, type Time
	*wall += uint64(int64(by/time.Second)) << 30
	return t
}

// drive plays 20 s of 200 calls a second at four endpoints, of which one fails every call for five seconds, another cannot be reached for five,
// and tries failed calls again out of a budget. clock is what a clock says at each moment. It returns what was decided.
func drive(seed uint64, clock func(at time.Duration, now time.Time) time.Time) (decided []string) {
	random := rand.New(rand.NewPCG(seed, 2))
	p := balance.New(balance.Slots{}, random.IntN)
	for i := range 4 {
		p.Add(rpc.Endpoint{Name: fmt.Sprint("users-", i+1), Slots: 2})
	}
	var tries budget.Budget
	begin := time.Now()
	call := &rpc.Call{Name: "get"}
	for at := time.Duration(0); at < 20*time.Second; at += 5 * time.Millisecond {
		now := clock(at, begin.Add(at))
		tries.Deposit(20, now)
		n, err := p.Pick(call, now)
		if err != nil {
			decided = append(decided, err.Error())
			continue
		}
		r := balance.Result{Outcome: rpc.Success, Took: time.Duration(5+random.IntN(10)) * time.Millisecond, Method: 0}
		switch away := at > 5*time.Second && at < 10*time.Second; {
		case away && n.Endpoint.Name == "users-1":
			r.Outcome = rpc.ClosedNoReply
		case away && n.Endpoint.Name == "users-2":
			r.Outcome = rpc.Refused
		}
		p.Done(n, r, now)
		decided = append(decided, n.Endpoint.Name+" "+n.State())
		if r.Outcome == rpc.ClosedNoReply {
			decided = append(decided, fmt.Sprint("again ", tries.Take(now)))
		}
	}
	return decided
}

// Somebody sets the clock an hour forth or back while endpoints are out: every decision is as it would have been.
func clockStep(t *testing.T) {
	if now := time.Now(); stepped(now, time.Hour).Sub(now) != 0 || stepped(now, time.Hour).Round(0).Sub(now.Round(0)) != time.Hour {
		t.Fatal("a stepped clock is none: package time has changed")
	}
	want := drive(1, func(_ time.Duration, now time.Time) time.Time { return now })
	out := map[string]int{}
	for _, d := range want {
		out[d]++
	}
	if out["users-1 ejected"] == 0 || out["users-2 down"] == 0 || out["users-1 up"] == 0 {
		t.Fatalf("nobody was out: %v", out)
	}
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		got := drive(1, func(at time.Duration, now time.Time) time.Time {
			if at > 6*time.Second {
				return stepped(now, by)
			}
			return now
		})
		for i := range want {
			if i >= len(got) || got[i] != want[i] {
				t.Fatalf("stepped by %v, decision %d is another one: %q, want %q", by, i, got[min(i, len(got)-1)], want[i])
			}
		}
	}
}

// The clock stands still for seven seconds, as on a virtual machine that was stopped, while endpoints fail: the others go on being picked, nobody is
// tried again before time goes on, and then all come back.
func clockFrozen(t *testing.T) {
	const from, until = 6 * time.Second, 13 * time.Second
	const seeds = 10 // in one run an endpoint may look slower than it is for seconds
	by := map[string]int{}
	for seed := range uint64(seeds) {
		frozen := 0
		decided := drive(seed+1, func(at time.Duration, now time.Time) time.Time {
			switch {
			case at < from:
				return now
			case at < until:
				frozen++
				return now.Add(from - at)
			}
			return now.Add(from - until)
		})
		if frozen != int((until-from)/(5*time.Millisecond)) {
			t.Fatalf("the clock stood still for %d calls", frozen)
		}
		for i, d := range decided {
			if d == balance.ErrNoEndpoint.Error() || d == balance.ErrBusy.Error() {
				t.Fatalf("seed %d, decision %d: %s", seed+1, i, d)
			}
			if i > len(decided)-400 {
				by[d]++
			}
		}
	}
	for i := range 4 {
		if name := fmt.Sprint("users-", i+1); by[name+" "+balance.Up] < seeds*40 {
			t.Errorf("two seconds before the end %s had %d of %d calls", name, by[name+" "+balance.Up], seeds*400)
		}
	}
}
