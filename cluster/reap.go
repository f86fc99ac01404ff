package cluster

import (
	"time"
)

// limits returns for how long the endpoint's connections are kept: as configured, or less where its own closes have taught so. An age of
// zero is none. c.mu is held.
func (n *node) limits(now time.Time) (idle, age time.Duration) {
	opts, learned := n.cluster.opts.Load(), n.lessons.at(now)
	idle, age = opts.IdleExpiry, opts.MaxAge
	if learned.IdleExpiry != 0 {
		idle = min(idle, learned.IdleExpiry)
	}
	if learned.MaxAge != 0 {
		age = lower(age, learned.MaxAge)
	}
	return idle, age
}

// end returns when a free connection is to be closed.
func (l *link) end(idle, age time.Duration) time.Time {
	end := l.since.Add(idle)
	if old := l.conn.Created().Add(age); age != 0 && old.Before(end) {
		return old
	}
	return end
}

// reapAt sees to it that free connections are looked at by then. c.mu is held.
func (c *Cluster) reapAt(then, now time.Time) {
	switch {
	case c.closed:
	case c.reaper == nil:
		c.reaper, c.reapsAt = time.AfterFunc(then.Sub(now), c.reap), then
	case then.Before(c.reapsAt):
		c.reaper.Reset(then.Sub(now))
		c.reapsAt = then
	}
}

// reap closes the connections that are free for too long, before the peer does it: the first on time, and with it those that would be next,
// so that many connections do not cost a look each.
func (c *Cluster) reap() {
	now := time.Now()
	var stale []*link
	c.mu.Lock()
	c.reaper = nil
	var next time.Time
	for _, n := range c.nodes {
		idle, age := n.limits(now)
		soon := now.Add(idle / 16)
		keep := n.free[:0:0]
		for _, l := range n.free {
			end := l.end(idle, age)
			if !end.After(soon) {
				stale = append(stale, l)
				n.Closing++
				continue
			}
			keep = append(keep, l)
			if next.IsZero() || end.Before(next) {
				next = end
			}
		}
		n.free = keep
	}
	if !next.IsZero() {
		c.reapAt(next, now)
	}
	c.mu.Unlock()
	c.closeAll(stale)
}

// closeAll closes connections that count as Closing, and hands their places on. The cluster's lock is not held: closing calls back.
func (c *Cluster) closeAll(links []*link) {
	if len(links) == 0 {
		return
	}
	for _, l := range links {
		l.conn.Close()
	}
	c.mu.Lock()
	for _, l := range links {
		l.node.Closing--
		c.leave(l.node)
	}
	c.dispatch(time.Now())
	c.changed(false)
	c.mu.Unlock()
}

// Gone implements client.Owner. A connection that is still among the free ones was closed by the peer.
func (l *link) Gone() {
	c, n, now := l.node.cluster, l.node, time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	l.gone = true
	for i, x := range n.free {
		if x != l {
			continue
		}
		n.free = append(n.free[:i:i], n.free[i+1:]...)
		c.changed(false)
		if n.lessons.closed(now, l.times(now)) {
			time.AfterFunc(together, func() { c.learn(n) })
		}
		return
	}
}

func (l *link) times(now time.Time) times {
	return times{idle: now.Sub(l.since), age: now.Sub(l.conn.Created())}
}

// learn takes the lesson, if there is one, from closes that are all in, and tells of it.
func (c *Cluster) learn(n *node) {
	now := time.Now()
	c.mu.Lock()
	learned := n.lessons.judge(now) && c.nodes[n.Node] == n
	if learned {
		c.reapAt(now, now)
	}
	is := n.lessons.at(now)
	c.mu.Unlock()
	if tell := c.opts.Load().OnLearned; learned && tell != nil {
		tell(n.Endpoint.Name, is)
	}
}
