package cluster_test

import (
	"slices"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
)

// An endpoint that ends every call without a reply, while the others answer, is ejected after five calls, gets a call now and then, and is back
// soon after it answers again; callers whose calls may be tried again notice nothing, since a call is not tried twice where others failed.
func TestSinkhole(t *testing.T) {
	var told []string
	opts := cluster.Options{OnState: func(endpoint, state string) { told = append(told, endpoint+" "+state) }}
	with(t, 3, opts, working(10*time.Millisecond), func(t *testing.T, x *fleet) {
		for range 30 {
			_, _ = x.Handle(t.Context(), call(time.Second)) // everybody has answered
		}
		healthy := x.peers[0].Script
		x.peers[0].Script = func(transport.Message) fakepeer.Answer { return fakepeer.Answer{Close: true} }
		failed, seen := 0, 0
		for range 1500 { // 20 s and more
			c := call(time.Second)
			for try := range 3 {
				_, err := x.Handle(t.Context(), c)
				if err == nil {
					break
				}
				failed++
				c.Avoid = rpc.AsError(err, "").Endpoint
				if try == 2 {
					seen++
				}
			}
			time.Sleep(5 * time.Millisecond)
		}
		if failed < 5 || failed > 5+5 { // … and one after 1, 2, 4, 8 s, and 10 s
			t.Errorf("%d calls met it", failed)
		}
		if seen > 0 {
			t.Errorf("%d callers noticed", seen)
		}
		if state := x.Snapshot().Endpoints[0].State; state != balance.Ejected {
			t.Errorf("it is %s", state)
		}
		x.peers[0].Script = healthy
		before := x.Snapshot().Endpoints[0].Calls
		for range 1500 {
			if _, err := x.Handle(t.Context(), call(time.Second)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Millisecond)
		}
		if e := x.Snapshot().Endpoints[0]; e.State != balance.Up || e.Calls-before < 100 {
			t.Errorf("afterwards it is %s and had %d of 1500 calls", e.State, e.Calls-before)
		}
		if want := []string{"users-1 ejected", "users-1 up"}; !slices.Equal(told, want) {
			t.Errorf("OnState was told %q, want %q", told, want)
		}
	})
}

// A call that ends its handler does so at every endpoint: nobody is ejected for it, and other callers do not notice.
func TestPoisonedCalls(t *testing.T) {
	script := func(m transport.Message) fakepeer.Answer {
		if m.Head.Name == "poison" {
			return fakepeer.Answer{Close: true}
		}
		return fakepeer.Answer{After: 10 * time.Millisecond}
	}
	with(t, 3, cluster.Options{Slots: 2}, script, func(t *testing.T, x *fleet) {
		for i := range 2000 {
			c := call(time.Second)
			if i%10 == 0 {
				c.Name = "poison"
			}
			if _, err := x.Handle(t.Context(), c); (err != nil) != (i%10 == 0) {
				t.Fatalf("call %d: %v", i, err)
			}
			for _, e := range x.Snapshot().Endpoints {
				if e.State != balance.Up {
					t.Fatalf("after %d calls %s is %s", i, e.Name, e.State)
				}
			}
		}
	})
}

// With maglev, calls with one key go to one endpoint; with another policy, from one moment to the next, they do not.
func TestAffinity(t *testing.T) {
	hash := balance.Default()
	hash.Policy = "maglev"
	with(t, 4, cluster.Options{Balance: hash, Slots: 4}, working(time.Millisecond), func(t *testing.T, x *fleet) {
		met := func(key uint64) (endpoints map[string]bool) {
			endpoints = map[string]bool{}
			for range 20 {
				c := call(time.Second)
				c.Affinity, c.Record = key, new(rpc.Record)
				if _, err := x.Handle(t.Context(), c); err != nil {
					t.Fatal(err)
				}
				for _, a := range c.Record.Attempts() {
					endpoints[a.Endpoint] = true
				}
			}
			return endpoints
		}
		all := map[string]bool{}
		for key := range uint64(20) {
			one := met(key + 1)
			if len(one) != 1 {
				t.Errorf("calls with the key %d met %v", key+1, one)
			}
			for name := range one {
				all[name] = true
			}
		}
		if len(all) < 3 {
			t.Errorf("twenty keys met %v only", all)
		}
		x.Configure(cluster.Options{Balance: balance.Config{Policy: "round_robin"}, Slots: 4, Queue: cluster.Default().Queue})
		if len(met(1)) != 4 {
			t.Error("in turn, some endpoint has no call")
		}
	})
}
