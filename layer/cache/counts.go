package cache

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// methodCounts are what is counted of one method.
type methodCounts struct {
	results   [len(rpc.CacheResults)]atomic.Int64
	bypassed  [len(Bypasses)]atomic.Int64
	age       atomic.Int64 // of the replies that were answered with out of the cache, ns in all
	loads     atomic.Int64
	refreshes atomic.Int64
	failures  atomic.Int64
	voids     atomic.Int64
	evictions atomic.Int64
	entries   atomic.Int64
	bytes     atomic.Int64
}

// MethodCounts are what was counted of one method since the process began.
type MethodCounts struct {
	Results   map[rpc.CacheResult]int64 // calls by how they were answered
	Bypassed  map[Bypass]int64          // calls that were made, by why
	Age       time.Duration             // of all replies that were answered with out of the cache together
	Loads     int64                     // calls to the upstream
	Refreshes int64                     // … of them those that nobody waited for
	Failures  int64                     // … of them those without an answer
	Voids     int64                     // times that replies of it were made void
	Evictions int64                     // replies that had to go from this process before their time
	Entries   int64                     // replies in this process
	Bytes     int64                     // … with all that belongs to them
}

// HitRatio is the part of the calls that did not cost one at the upstream: those that were answered out of the cache, or with the reply of an
// equal call; 0 where there was none.
func (c *MethodCounts) HitRatio() float64 {
	hits, all := int64(0), int64(0)
	for r, n := range c.Results {
		if all += n; r != rpc.CacheMiss && r != rpc.CacheBypass {
			hits += n
		}
	}
	if all == 0 {
		return 0
	}
	return float64(hits) / float64(all)
}

func (c *methodCounts) snapshot() MethodCounts {
	s := MethodCounts{
		Results: map[rpc.CacheResult]int64{}, Bypassed: map[Bypass]int64{}, Age: time.Duration(c.age.Load()), Loads: c.loads.Load(),
		Refreshes: c.refreshes.Load(), Failures: c.failures.Load(), Voids: c.voids.Load(), Evictions: c.evictions.Load(),
		Entries: c.entries.Load(), Bytes: c.bytes.Load(),
	}
	for r := range c.results {
		if n := c.results[r].Load(); n > 0 {
			s.Results[rpc.CacheResult(r)] = n
		}
	}
	for b := range c.bypassed {
		if n := c.bypassed[b].Load(); n > 0 {
			s.Bypassed[Bypass(b)] = n
		}
	}
	return s
}

// answered counts a call, and notes in its record how it was answered.
func (c *methodCounts) answered(call *rpc.Call, how rpc.CacheResult, age time.Duration) {
	c.results[how].Add(1)
	c.age.Add(int64(age))
	if call.Record != nil {
		call.Record.Cache, call.Record.CacheAge = how, age
	}
}

// counts are those of all methods.
type counts struct {
	mu  sync.Mutex
	all map[rpc.MethodKey]*methodCounts
}

// of returns the counts of a method.
func (c *counts) of(k rpc.MethodKey) *methodCounts {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.all[k]
	if m == nil {
		if c.all == nil {
			c.all = map[rpc.MethodKey]*methodCounts{}
		}
		m = &methodCounts{}
		c.all[k] = m
	}
	return m
}

func (c *counts) snapshot() map[rpc.MethodKey]MethodCounts {
	c.mu.Lock()
	all := maps.Clone(c.all)
	c.mu.Unlock()
	out := make(map[rpc.MethodKey]MethodCounts, len(all))
	for k, m := range all {
		out[k] = m.snapshot()
	}
	return out
}
