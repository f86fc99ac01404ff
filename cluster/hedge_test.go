package cluster_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/rpc"
)

// A hedge gets a slot at once or not at all: one of another endpoint than the first attempt's, which says where it is, and only while no more than
// 60 % of the slots are taken and no call waits.
func TestHedgesNeverWait(t *testing.T) {
	for _, tt := range []struct {
		name               string
		peers, slots, busy int // calls in flight, the first attempt included
		sent               bool
	}{
		{"idle", 2, 4, 1, true},
		{"60 %", 5, 2, 6, true},
		{"more than 60 %", 5, 2, 7, false},
		{"one of two slots", 2, 1, 1, true},
		{"no other endpoint", 1, 4, 1, false},
		{"calls wait", 2, 1, 3, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			with(t, tt.peers, cluster.Options{Slots: tt.slots}, working(time.Second), func(t *testing.T, x *fleet) {
				var wg sync.WaitGroup
				first := call(time.Minute)
				first.Whereabouts = new(rpc.Whereabouts)
				for i := range tt.busy {
					c := call(time.Minute)
					if i == 0 {
						c = first
					}
					wg.Go(func() {
						if _, err := x.Handle(t.Context(), c); err != nil {
							t.Error(err)
						}
					})
					synctest.Wait()
				}
				at := first.Whereabouts.Endpoint()
				second := call(time.Minute)
				second.Hedge, second.Avoid, second.Record = true, at, new(rpc.Record)
				start := time.Now()
				_, err := x.Handle(t.Context(), second)
				if e := rpc.AsError(err, ""); !tt.sent && (e == nil || e.Reach != rpc.NotSent || e.Outcome != 0 || time.Since(start) != 0) {
					t.Errorf("error %v after %v", err, time.Since(start))
				}
				if tried := second.Record.Attempts(); tt.sent && (err != nil || len(tried) != 1 || tried[0].Endpoint == at || !tried[0].Hedge || tried[0].Waited != 0) {
					t.Errorf("error %v, attempts %+v, the first one is at %q", err, tried, at)
				}
				wg.Wait()
			})
		})
	}
}

// Whereabouts are unknown while the call waits for a slot.
func TestWhereabouts(t *testing.T) {
	with(t, 1, cluster.Options{Slots: 1}, working(time.Second), func(t *testing.T, x *fleet) {
		var wg sync.WaitGroup
		var at [2]rpc.Whereabouts
		for i := range at {
			c := call(time.Minute)
			c.Whereabouts = &at[i]
			wg.Go(func() { _, _ = x.Handle(t.Context(), c) })
			synctest.Wait()
		}
		if a, b := at[0].Endpoint(), at[1].Endpoint(); a != "users-1" || b != "" {
			t.Errorf("at %q and %q", a, b)
		}
		wg.Wait()
		if b := at[1].Endpoint(); b != "users-1" {
			t.Errorf("then at %q", b)
		}
	})
}
