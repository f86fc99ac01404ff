package cluster_test

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/rpc"
)

// A free connection is closed on time, and not at the next look: the peer would close it under a call.
func TestFreeConnectionsEndOnTime(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts cluster.Options
		ends time.Duration // after its call
	}{
		{"idle", cluster.Options{IdleExpiry: 800 * time.Millisecond}, 800 * time.Millisecond},
		{"of age", cluster.Options{IdleExpiry: time.Minute, MaxAge: 3 * time.Second}, 2999 * time.Millisecond},
		{"pinned", cluster.Options{IdleExpiry: 10 * time.Millisecond}, 10 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.opts.Slots = 8
			with(t, 2, tt.opts, working(time.Millisecond), func(t *testing.T, x *fleet) {
				for range 20 {
					var gap time.Duration // between connections that become free
					for range 5 {
						if _, errs := x.many(t, 2, time.Second); errs[0] != nil || errs[1] != nil {
							t.Fatal(errs)
						}
						time.Sleep(gap)
						gap += tt.ends / 50
					}
					time.Sleep(tt.ends - gap + tt.ends/50)
					synctest.Wait()
					if open := x.peers[0].Open.Load() + x.peers[1].Open.Load(); open > 0 {
						t.Fatalf("%d connections are open %v after the last call", open, tt.ends)
					}
				}
			})
		})
	}
}

// An endpoint that closes idle connections earlier than its kind says is learned from: after the second close none is kept for so long
// that the peer closes it, the snapshot and OnLearned tell it once, and it is forgotten when another endpoint takes the place.
func TestEarlyClosesAreLearned(t *testing.T) {
	var told []string
	opts := cluster.Options{Slots: 4, IdleExpiry: 2500 * time.Millisecond, OnLearned: func(endpoint string, l cluster.Learned) {
		told = append(told, fmt.Sprint(endpoint, " ", l.IdleExpiry, " ", l.MaxAge))
	}}
	with(t, 1, opts, working(time.Millisecond), func(t *testing.T, x *fleet) {
		x.peers[0].IdleEnd = time.Second
		for i := range 300 {
			if _, err := x.Handle(t.Context(), call(time.Second)); err != nil {
				t.Fatalf("call %d: %v", i, err)
			}
			if i == 2 {
				x.peers[0].IdleEnded.Store(0)
			}
			time.Sleep(1500*time.Millisecond - time.Duration(i)*2*time.Millisecond)
		}
		if n := x.peers[0].IdleEnded.Load(); n > 0 {
			t.Errorf("the peer has closed %d connections after the lesson", n)
		}
		if fmt.Sprint(told) != "[users-1 800ms 0s]" {
			t.Errorf("told %v", told)
		}
		if l := x.Snapshot().Endpoints[0].Learned; l != (cluster.Learned{IdleExpiry: 800 * time.Millisecond}) {
			t.Errorf("the snapshot has %+v", l)
		}
		x.Update(nil)
		x.Update([]rpc.Endpoint{{Address: address(0), Name: "users-1"}})
		if l := x.Snapshot().Endpoints[0].Learned; l != (cluster.Learned{}) {
			t.Errorf("a new endpoint has %+v", l)
		}
	})
}

// Restarts, each of which closes all connections at once, teach nothing.
func TestRestartsTeachNothing(t *testing.T) {
	with(t, 1, cluster.Options{Slots: 8, IdleExpiry: 2500 * time.Millisecond}, working(time.Millisecond), func(t *testing.T, x *fleet) {
		var mu sync.Mutex
		var open []net.Conn
		x.peers[0].Take = func(c net.Conn) bool {
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			return false
		}
		for i := range 5 {
			x.many(t, 8, time.Second)
			time.Sleep(time.Duration(1+3*i%5) * 300 * time.Millisecond)
			x.many(t, 3, time.Second)
			time.Sleep(time.Duration(2+i) * 300 * time.Millisecond)
			for _, c := range open {
				_ = c.Close()
			}
			open = nil
			time.Sleep(5 * time.Second)
		}
		if l := x.Snapshot().Endpoints[0].Learned; l != (cluster.Learned{}) {
			t.Errorf("learned %+v", l)
		}
	})
}
