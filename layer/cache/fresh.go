package cache

import (
	"math"
	"sync/atomic"
	"time"
)

// age is what a reply is good for.
type age uint8

const (
	young age = iota // answered with
	early            // answered with, and another is loaded before it is old
	stale            // answered with while another is loaded
	last             // answered with where no other can be loaded
	gone
)

// at returns what the entry is good for at a time.
func (e *Entry) at(now time.Time) age {
	switch old := now.Sub(e.Loaded); {
	case e.kept > 0 && now.Sub(e.came) >= e.kept:
		return gone
	case old < e.Fresh && (e.early == 0 || old < e.early):
		return young
	case old < e.Fresh:
		return early
	case old < e.Fresh+e.Stale:
		return stale
	case old < e.Fresh+e.OnError:
		return last
	}
	return gone
}

// jitter is the part of its life by which a reply is kept less long, at most.
const jitter = 0.1

// shorten returns a life that is up to jitter less.
func shorten(life time.Duration, random float64) time.Duration {
	return life - time.Duration(jitter*random*float64(life))
}

// ahead returns when, after its load, a reply is loaded anew: before it is old by twice the time that a load takes, so that the next one comes in
// time even if it takes longer, and by an exponentially distributed time more, so that gateways which have loaded it together do not do so
// again. It is drawn once for a reply and not for each call, since with many calls a second the earliest of their draws would decide: a reply
// for 10,000 calls a second would be loaded anew after two thirds of its life. The second half of its life is early enough for anything.
//
// Source: Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015 (XFetch, with β 1).
func ahead(fresh, took time.Duration, random float64) time.Duration {
	lead := time.Duration(float64(took) * (2 - math.Log(1-random)))
	return max(fresh-lead, fresh/2)
}

// quiet bounds how often a load is tried that nobody waits for and that fails.
const quiet = time.Second

// pause is until when an entry is not loaded anew.
type pause struct{ until atomic.Int64 }

func (p *pause) over(now time.Time) bool { return now.UnixNano() >= p.until.Load() }
func (p *pause) begin(now time.Time)     { p.until.Store(now.Add(quiet).UnixNano()) }
