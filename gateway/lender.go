package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/cluster/lease"
	"github.com/thriftloom/thriftloom/gateway/status"
)

// lender is how this gateway shares slots with others. It outlives a reload that does not change where it listens.
type lender struct {
	listen string
	runner *lease.Runner
	life   context.Context
	stop   context.CancelFunc
	ended  chan struct{} // closed when it has said goodbye
}

// openLender returns the lender for the config: the one that is there, a new one, or nil. g.changing is held.
func (g *Gateway) openLender(s *sharing) (*lender, error) {
	g.follows = false
	if s == nil {
		return nil, nil
	}
	if old := g.lender.Load(); old != nil && old.listen == s.Listen {
		return old, nil
	}
	runner, err := lease.Listen(s.Config, g.log)
	if errors.Is(err, syscall.EADDRINUSE) && g.opts.Sockets.TakenOver() {
		// The process whose place this one takes has it, and the slots, until it hands its callers over.
		g.log.Info("gateways: the process before has the address until it hands over", "address", s.Listen)
		runner, err = lease.Later(s.Config, g.log), nil
		g.follows = true
	}
	if err != nil {
		return nil, fmt.Errorf("gateways.listen: %w", err)
	}
	l := &lender{listen: s.Listen, runner: runner, ended: make(chan struct{})}
	l.life, l.stop = context.WithCancel(g.life)
	return l, nil
}

// dropLender closes a new lender that is not wanted after all.
func (g *Gateway) dropLender(l *lender) {
	if l != nil && l != g.lender.Load() {
		l.runner.Close()
	}
}

// lend shares the upstreams through the lender l, nil for none, in the place of the one before. g.changing is held.
func (g *Gateway) lend(l *lender, s *sharing, upstreams map[string]*upstream) {
	g.lending.Lock()
	defer g.lending.Unlock()
	old := g.lender.Swap(l)
	was := g.shares
	g.shares = map[string]*share{}
	for key, u := range upstreams {
		if l != nil && u.plan.Load().cluster.Leased {
			if g.shares[key] = was[key]; was[key] == nil {
				g.shares[key] = &share{}
			}
			g.shares[key].add(u.cluster)
		}
	}
	for key, s := range was {
		switch {
		case g.shares[key] != nil:
		case l != nil && upstreams[key] == nil:
			g.shares[key] = s // until it has no connection
		default: // its slots are this gateway's own from now on
			old.runner.Share(key, nil)
			s.own()
		}
	}
	g.watch(l, old, upstreams)
	if old != nil && old != l {
		old.runner.SetFollowed(l != nil)
		old.stop()
	}
	if l == nil {
		return
	}
	for key, s := range g.shares {
		l.runner.Share(key, s)
	}
	if l == old {
		l.runner.Configure(s.Config)
		return
	}
	go func() {
		defer close(l.ended)
		if old != nil { // the slots that it had are given up before others are asked for
			<-old.ended
		}
		_ = l.runner.Run(l.life)
	}()
}

// unshare takes a cluster out of what is shared, once its connections are closed.
func (g *Gateway) unshare(key string, c *cluster.Cluster) {
	for g.life.Err() == nil && open(c.Usage()) > 0 {
		wait(g.life, 20*time.Millisecond)
	}
	if g.life.Err() != nil {
		return // what is still open counts until the lender has said goodbye
	}
	g.lending.Lock() // not changing: whoever ends the gateway holds that, and waits for this
	defer g.lending.Unlock()
	s := g.shares[key]
	if s == nil || !s.remove(c) {
		return
	}
	delete(g.shares, key)
	if l := g.lender.Load(); l != nil {
		l.runner.Share(key, nil)
	}
}

// stopLending waits until the others know that this gateway has ended. Its life has ended before. g.changing is held.
func (g *Gateway) stopLending() {
	if l := g.lender.Load(); l != nil {
		<-l.ended
	}
}

// stopSharing begins to give the slots of this gateway back to all who share them, for the process that takes its place: at once, but for
// those of calls that it still works at.
func (g *Gateway) stopSharing() {
	if l := g.lender.Load(); l != nil {
		l.stop()
	}
}

// used tells the lender that the use of an upstream has changed. It does not wait.
func (g *Gateway) used(waiting bool) {
	if l := g.lender.Load(); l != nil {
		l.runner.Changed(waiting)
	}
}

// gateways is who lends each other slots; nil where nobody does.
func (g *Gateway) gateways() *status.Gateways {
	l := g.lender.Load()
	if l == nil {
		return nil
	}
	s := l.runner.Snapshot()
	out := &status.Gateways{Name: s.Name, Arbiter: s.Arbiter, Static: s.Static, Sent: s.Sent, Taken: s.Taken, Dropped: s.Dropped, Voids: told(s.Voids)}
	for i, m := range s.Members {
		member := status.Member{Name: m.Name, Address: m.Address, State: m.State}
		if s.Heard != nil && s.Heard[i].Age >= 0 {
			member.Word = word(s.Heard[i])
		}
		if s.Voids != nil && s.Voids.Ages[i] >= 0 {
			age := s.Voids.Ages[i].Seconds()
			member.VouchedAgeSeconds = &age
		}
		out.Members = append(out.Members, member)
	}
	return out
}

// share is one upstream as others see it: its cluster, and behind it those whose place it has taken and that still have connections.
type share struct {
	mu       sync.Mutex
	clusters []*cluster.Cluster // the newest last
	limits   map[string]int     // by address
}

var _ lease.Upstream = (*share)(nil)

func (s *share) add(c *cluster.Cluster) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.clusters, c) {
		s.clusters = append(s.clusters, c)
	}
}

// own gives the clusters all slots: nobody shares them any more.
func (s *share) own() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clusters {
		c.Own()
	}
}

// remove reports whether nothing is left.
func (s *share) remove(c *cluster.Cluster) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clusters = slices.DeleteFunc(s.clusters, func(x *cluster.Cluster) bool { return x == c })
	return len(s.clusters) == 0
}

// Usage implements lease.Upstream.
func (s *share) Usage() cluster.Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.clusters) > 1 {
		s.split()
	}
	var all cluster.Usage
	for i, c := range slices.Backward(s.clusters) {
		u := c.Usage()
		all.Waiting, all.Linger = all.Waiting+u.Waiting, max(all.Linger, u.Linger)
		for _, e := range u.Endpoints {
			k := slices.IndexFunc(all.Endpoints, func(x cluster.EndpointUsage) bool { return x.Address == e.Address })
			newest := i == len(s.clusters)-1
			if k < 0 {
				if !newest { // it only works off what it has
					e.Slots, e.Limit = 0, 0
				}
				all.Endpoints = append(all.Endpoints, e)
				continue
			}
			x := &all.Endpoints[k]
			x.Limit, x.Open, x.Busy = x.Limit+e.Limit, x.Open+e.Open, x.Busy+e.Busy
		}
	}
	return all
}

// SetLimits implements lease.Upstream.
func (s *share) SetLimits(limits map[string]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limits == nil {
		s.limits = map[string]int{}
	}
	maps.Copy(s.limits, limits)
	s.split()
}

// split gives the limits to the newest cluster, but for what the others hold, and for one slot that they need for calls until the newest
// one has answered. s.mu is held.
func (s *share) split() {
	if len(s.clusters) == 1 {
		s.clusters[0].SetLimits(s.limits)
		return
	}
	left := maps.Clone(s.limits)
	newest := s.clusters[len(s.clusters)-1]
	asked := open(newest.Usage()) > 0
	for _, c := range s.clusters[:len(s.clusters)-1] {
		u, theirs := c.Usage(), map[string]int{}
		for _, e := range u.Endpoints {
			if left[e.Address] > 1 || u.Waiting+e.Busy > 0 && !asked {
				theirs[e.Address] = min(left[e.Address], 1)
			} else {
				theirs[e.Address] = 0
			}
		}
		c.SetLimits(theirs)
		for _, e := range c.Usage().Endpoints {
			left[e.Address] = max(0, left[e.Address]-max(e.Open, theirs[e.Address]))
		}
	}
	newest.SetLimits(left)
}

func open(u cluster.Usage) (n int) {
	for _, e := range u.Endpoints {
		n += e.Open
	}
	return n
}
