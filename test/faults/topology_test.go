//go:build linux

package faults

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/rpc"
)

// What may happen to the set of servers while calls are made.
func TestTopology(t *testing.T) {
	t.Run("remove all", func(t *testing.T) {
		play(t, setup{}, func(s *scene) {
			s.works()
			c := s.caller()
			key := c.send("put", 7)
			synctest.Wait() // a server is at work at it
			s.cluster.Update(nil)
			s.check("put", key, c.read(), ok)
			gone := want{answer: "UNAVAILABLE", reach: rpc.NotSent}
			s.expect("get", gone)
			s.expect("put", gone)
			s.cluster.Update(s.endpoints(nil))
			s.works()
		})
	})
	t.Run("weight 0", func(t *testing.T) {
		play(t, setup{}, func(s *scene) {
			s.works()
			c := s.caller()
			drained := s.endpoints(func(i int, e *rpc.Endpoint) { e.Drained = true })
			key := c.send("put", 7)
			synctest.Wait()
			s.cluster.Update(drained)
			s.check("put", key, c.read(), ok)
			if got := s.health(); got != "drained drained" {
				s.Errorf("they are %s", got)
			}
			s.expect("get", want{answer: "UNAVAILABLE", reach: rpc.NotSent})
			drained[1].Drained = false
			s.cluster.Update(drained)
			before := s.peers[0].Calls.Load()
			s.works()
			if n := s.peers[0].Calls.Load() - before; n != 0 {
				s.Errorf("the drained one had %d calls", n)
			}
			s.cluster.Update(s.endpoints(nil))
			s.works()
		})
	})
	t.Run("zone loss", func(t *testing.T) {
		play(t, setup{peers: 4, options: cluster.Options{Slots: 4, Zone: "a"}}, func(s *scene) {
			s.cluster.Update(s.endpoints(func(i int, e *rpc.Endpoint) { e.Zone = string(rune('a' + i/2)) }))
			far := func() int64 { return s.peers[2].Calls.Load() + s.peers[3].Calls.Load() }
			s.works()
			if n := far(); n != 0 {
				s.Errorf("%d calls left the zone", n)
			}
			c := s.caller()
			lost := c.send("get", 7)
			synctest.Wait()
			for i := range 2 {
				s.stops[i]()
				s.cut(s.address(i))
			}
			if a := c.read(); a.what != "OK" || a.text != lost {
				s.Errorf("the call that was at work ended with %+v", a)
			}
			for i := range 100 {
				method := []string{"get", "put"}[i%2]
				key := c.send(method, 7)
				if a := c.read(); a.what != "OK" || a.text != key {
					s.Errorf("with the zone lost, call %d: %+v", i, a)
				}
			}
			for i := range 2 {
				s.stops[i] = s.listen(i)
			}
			for range 200 { // they are tried now and then, and need not be lucky at once
				c.send("get", 7)
				c.read()
				time.Sleep(100 * time.Millisecond)
			}
			before := far()
			s.works()
			if n := far() - before; n != 0 {
				s.Errorf("%d calls leave the zone that is back", n)
			}
		})
	})
}

// endpoints are those of all peers, each as change makes it; nil: as they are.
func (s *scene) endpoints(change func(i int, e *rpc.Endpoint)) (all []rpc.Endpoint) {
	for i := range s.peers {
		e := rpc.Endpoint{Address: s.address(i), Name: fmt.Sprint("users-", i+1)}
		if change != nil {
			change(i, &e)
		}
		all = append(all, e)
	}
	return all
}
