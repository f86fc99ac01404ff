package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
)

// label makes the endpoints those with these labels, one each.
func (x *fleet) label(labels ...rpc.Labels) {
	var endpoints []rpc.Endpoint
	for i, l := range labels {
		endpoints = append(endpoints, rpc.Endpoint{Address: address(i), Name: fmt.Sprint("users-", i+1), Labels: l})
	}
	x.Update(endpoints)
}

// only is a call for endpoints with the labels.
func only(labels rpc.Labels, timeout time.Duration) *rpc.Call {
	c := call(timeout)
	c.Subset = rpc.Subset{Labels: labels, Text: string(labels)}
	c.Record = new(rpc.Record)
	return c
}

// at is where a call was answered.
func at(c *rpc.Call) string {
	if tried := c.Record.Attempts(); len(tried) > 0 {
		return tried[len(tried)-1].Endpoint
	}
	return ""
}

// start makes calls, each once those before it have a slot or wait, and returns what waits for them.
func (x *fleet) start(t *testing.T, calls ...*rpc.Call) (wait func()) {
	var wg sync.WaitGroup
	for _, c := range calls {
		wg.Go(func() {
			if _, err := x.Handle(t.Context(), c); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
	}
	return wg.Wait
}

// Calls that wait for a busy subset hold nobody else up: not one that comes later and finds a free slot elsewhere, nor one that waits behind them
// for a slot that they may not take.
func TestBusySubsetHoldsNobodyUp(t *testing.T) {
	with(t, 2, cluster.Options{Slots: 1}, working(100*time.Millisecond), func(t *testing.T, x *fleet) {
		x.label("size=small", "size=big")
		var big []*rpc.Call
		for range 4 {
			big = append(big, only("size=big", time.Minute))
		}
		wait := x.start(t, big...)
		var all []*rpc.Call
		for range 3 {
			all = append(all, call(time.Minute))
			all[len(all)-1].Record = new(rpc.Record)
		}
		begin := time.Now()
		x.start(t, all...)()
		if took := time.Since(begin); took != 300*time.Millisecond {
			t.Errorf("three calls for any endpoint took %v beside four for a busy one", took)
		}
		wait()
		for i, c := range big {
			if tried := c.Record.Attempts(); at(c) != "users-2" || tried[0].Waited != time.Duration(i)*100*time.Millisecond {
				t.Errorf("call %d for a big one was at %s after %v", i, at(c), tried[0].Waited)
			}
		}
	})
}

// Whatever calls wait for, each gets its slot, at an endpoint that it may go to, and those of one caller for one subset in their order.
func TestSubsetsStarveNobody(t *testing.T) {
	opts := cluster.Options{Slots: 1, Queue: cluster.QueueConfig{MaxCalls: 1000, MaxWait: time.Hour}}
	with(t, 4, opts, working(10*time.Millisecond), func(t *testing.T, x *fleet) {
		x.label("size=small", "size=small,version=v2", "size=big", "size=big,version=v2")
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		subsets := []rpc.Labels{"", "size=big", "version=v2", "size=big,version=v2", "size=none"}
		var mu sync.Mutex
		starts := make([]time.Time, 400)
		whose := make([]string, len(starts))
		var wg sync.WaitGroup
		for i := range starts {
			c := only(subsets[random.IntN(len(subsets))], time.Hour)
			c.Caller.Name = fmt.Sprint("caller-", random.IntN(3))
			c.Priority = rpc.Priority(random.IntN(3) - 1)
			wg.Go(func() {
				_, err := x.Handle(t.Context(), c)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Errorf("call %d: %v", i, err)
					return
				}
				tried := c.Record.Attempts()[0]
				starts[i], whose[i] = tried.Start, fmt.Sprint(c.Caller.Name, c.Priority, c.Subset.Labels)
				for _, e := range x.Snapshot().Endpoints {
					if known := c.Subset.Labels != "size=none"; e.Name == tried.Endpoint && known && !e.Labels.Have(c.Subset.Labels) {
						t.Errorf("a call for %q was at %s with %q", c.Subset.Labels, e.Name, e.Labels)
					}
				}
			})
			synctest.Wait()
		}
		begin := time.Now()
		wg.Wait()
		if took, most := time.Since(begin), 10*time.Millisecond*time.Duration(len(starts)); took > most { // as if one endpoint did it all
			t.Errorf("they took %v", took)
		}
		last := map[string]int{}
		for i, who := range whose {
			if before, ok := last[who]; ok && starts[i].Before(starts[before]) {
				t.Errorf("of %s call %d began before call %d", who, i, before)
			}
			last[who] = i
		}
	})
}

// Endpoints come and go while calls wait for a subset.
func TestSubsetChangesWhileCallsWait(t *testing.T) {
	const work = 100 * time.Millisecond
	for _, tt := range []struct {
		name          string
		before, after []rpc.Labels
		refuse        bool
		takes         time.Duration // of a call for the subset that waits when the change comes
		at            string
		err           string
	}{
		{"one more comes", []rpc.Labels{"size=big", "size=small"}, []rpc.Labels{"size=big", "size=small", "size=big"}, false, work, "users-3", ""},
		{"another one has the label", []rpc.Labels{"size=big", "size=small", ""}, []rpc.Labels{"size=big", "size=small", "size=big"}, false, work, "users-3", ""},
		{"the last one goes", []rpc.Labels{"size=big", "size=small", ""}, []rpc.Labels{"", "size=small", ""}, false, work, "users-3", ""},
		{"the last one goes, refuse", []rpc.Labels{"size=big", "size=small", ""}, []rpc.Labels{"", "size=small", ""}, true, 0, "", "no endpoint with size=big is up"},
		{"the first one comes", []rpc.Labels{"size=small", "size=small"}, []rpc.Labels{"size=small", "size=small", "size=big"}, false, work, "users-3", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			with(t, 3, cluster.Options{Slots: 1}, working(work), func(t *testing.T, x *fleet) {
				x.label(tt.before...)
				wait := x.start(t, only("size=big", time.Minute), only("size=small", time.Minute))
				c := only("size=big", time.Minute)
				c.Subset.Refuse = tt.refuse
				begin := time.Now()
				var err error
				var wg sync.WaitGroup
				wg.Go(func() { _, err = x.Handle(t.Context(), c) })
				synctest.Wait()
				x.label(tt.after...)
				wg.Wait()
				if took := time.Since(begin); took != tt.takes || at(c) != tt.at {
					t.Errorf("it was at %q and took %v", at(c), took)
				}
				if e := rpc.AsError(err, ""); tt.err == "" && err != nil || tt.err != "" && (e == nil || e.Code != rpc.Unavailable || e.Text != tt.err) {
					t.Errorf("error %v", err)
				}
				wait()
			})
		})
	}
}

// A call that waits for any endpoint, since none has its label, holds nobody up when one has come and is busy.
func TestCallsThatWaitForAnyMove(t *testing.T) {
	const work = 100 * time.Millisecond
	with(t, 3, cluster.Options{Slots: 1}, working(work), func(t *testing.T, x *fleet) {
		x.label("", "")
		wait := x.start(t, call(time.Minute), call(time.Minute), only("size=big", time.Minute), only("size=big", time.Minute), call(time.Minute))
		begin := time.Now()
		x.label("", "", "size=big") // one of the two goes there, the other one has to wait for it
		wait()
		if took := time.Since(begin); took != 2*work {
			t.Errorf("it took %v", took)
		}
		if e := x.Snapshot().Endpoints; e[0].Calls+e[1].Calls != 3 || e[2].Calls != 2 {
			t.Errorf("the endpoints had %d, %d and %d calls", e[0].Calls, e[1].Calls, e[2].Calls)
		}
	})
}

// Where each endpoint of a subset is down for good its calls go to any other, or are refused at once; when one is back they go there.
func TestSubsetIsDown(t *testing.T) {
	with(t, 2, cluster.Options{Slots: 1}, working(time.Millisecond), func(t *testing.T, x *fleet) {
		x.label("size=small", "size=big")
		x.stop[1]()
		for range 3 {
			time.Sleep(500 * time.Millisecond)
			_, _ = x.Handle(t.Context(), only("size=big", time.Minute))
		}
		c := only("size=big", time.Minute)
		if _, err := x.Handle(t.Context(), c); err != nil || at(c) != "users-1" {
			t.Errorf("it was at %q: %v", at(c), err)
		}
		c = only("size=big", time.Minute)
		c.Subset = rpc.Subset{Labels: "size=big", Text: "size", Refuse: true}
		if _, err := x.Handle(t.Context(), c); code(err) != rpc.Unavailable || !strings.Contains(err.Error(), "no endpoint with size is up") {
			t.Errorf("one that is to be refused: %v", err)
		}
		l, err := x.network.Listen(address(1))
		if err != nil {
			t.Fatal(err)
		}
		go x.peers[1].Serve(l)
		defer l.Close()
		time.Sleep(5 * time.Second)
		c = only("size=big", time.Minute)
		if _, err := x.Handle(t.Context(), c); err != nil || at(c) != "users-2" {
			t.Errorf("it is back: at %q, %v", at(c), err)
		}
	})
}

// The one endpoint of a subset that fails its calls is ejected, for all but those that have nowhere else to go.
func TestPanicInSubset(t *testing.T) {
	with(t, 4, cluster.Options{Slots: 2}, working(10*time.Millisecond), func(t *testing.T, x *fleet) {
		x.label("", "", "", "size=big")
		for range 12 { // all have answered
			x.start(t, call(time.Minute), call(time.Minute), call(time.Minute), only("size=big", time.Minute))()
		}
		healthy := x.peers[3].Script
		x.peers[3].Script = func(transport.Message) fakepeer.Answer { return fakepeer.Answer{Close: true} }
		for range 8 {
			_, _ = x.Handle(t.Context(), only("size=big", time.Minute))
		}
		if state := x.Snapshot().Endpoints[3].State; state != balance.Ejected {
			t.Fatalf("it is %s", state)
		}
		x.peers[3].Script = healthy
		before := x.Snapshot().Endpoints[3].Calls
		x.start(t, call(time.Minute), call(time.Minute), call(time.Minute))()
		if calls := x.Snapshot().Endpoints[3].Calls; calls != before {
			t.Errorf("it got %d calls that others could take", calls-before)
		}
		c := only("size=big", time.Minute)
		begin := time.Now()
		if _, err := x.Handle(t.Context(), c); err != nil || at(c) != "users-4" || time.Since(begin) != 10*time.Millisecond {
			t.Errorf("a call for its label was at %q after %v: %v", at(c), time.Since(begin), err)
		}
	})
}

// A subset to which more calls come than it answers is overloaded alone: its calls are refused, and others notice nothing.
func TestSubsetIsOverloaded(t *testing.T) {
	var told []bool
	opts := cluster.Options{Slots: 4, OnOverload: func(on bool) { told = append(told, on) }}
	with(t, 4, opts, working(10*time.Millisecond), func(t *testing.T, x *fleet) {
		x.label("", "", "", "size=big")
		var wg sync.WaitGroup
		var mu sync.Mutex
		refused, answered := map[rpc.Labels]int{}, map[rpc.Labels]int{}
		for i := range 4000 { // 1000 a second for big, of which it answers 400; and as many for all
			c := only([]rpc.Labels{"", "size=big"}[i%2], 2*time.Second)
			wg.Go(func() {
				_, err := x.Handle(t.Context(), c)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					refused[c.Subset.Labels]++
				} else if answered[c.Subset.Labels]++; i > 2000 && c.Record.Attempts()[0].Waited > 100*time.Millisecond {
					t.Errorf("a call for %q waited for %v", c.Subset.Labels, c.Record.Attempts()[0].Waited)
				}
			})
			time.Sleep(time.Second / 2000)
		}
		if !x.Snapshot().Overloaded || len(told) != 1 || !told[0] {
			t.Errorf("overloaded %v, told %v", x.Snapshot().Overloaded, told)
		}
		wg.Wait()
		if refused[""] > 0 || refused["size=big"] < 500 || answered["size=big"] < 500 {
			t.Errorf("refused %v, answered %v", refused, answered)
		}
	})
}
