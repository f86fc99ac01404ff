package balance

import (
	"math"
	"time"
)

const (
	curveStep   = 2                // parts of a doubling, that are known apart
	curveMemory = 16               // pairs of turns, whose mean is known
	curveFades  = 20 * time.Second // in which what is known counts half
	curveTrust  = 5                // by which it speaks for a limit, where it is certain
	curveMost   = 0.75             // of evidence at most: that of a trial itself has to count more
)

// curve is what trials have found out: how much of so many more calls an endpoint gets done, by how many it has. The endpoints of a cluster share
// it, since they mostly run the same code: what one trial finds out by chance another one does not. The zero value knows nothing.
type curve struct {
	parts [24]struct {
		mean, pairs float64
		at          time.Duration
	}
}

// part is where a trial of two limits belongs.
func (c *curve) part(a, b int) int {
	return max(0, min(int(math.Round(curveStep*math.Log2(float64(a)*float64(b))/2)), len(c.parts)-1))
}

// add takes the outcome of a pair of turns in: 1 where throughput has grown as the calls have, 0 where it has not.
func (c *curve) add(a, b int, gain float64, now time.Duration) {
	p := &c.parts[c.part(a, b)]
	c.fade(a, b, now)
	p.pairs = min(p.pairs+1, curveMemory)
	p.mean += (max(-1, min(gain, 2)) - p.mean) / p.pairs
}

// fade lets what is known count less as it grows old.
func (c *curve) fade(a, b int, now time.Duration) {
	p := &c.parts[c.part(a, b)]
	p.pairs *= math.Exp2(-float64(now-p.at) / float64(curveFades))
	p.at = now
}

// forget keeps a part of what is known.
func (c *curve) forget(keep float64) {
	for i := range c.parts {
		c.parts[i].pairs *= keep
	}
}

// speaks returns the evidence for the greater limit, of those that are worth so much.
func (c *curve) speaks(a, b int, worth float64, now time.Duration) float64 {
	c.fade(a, b, now)
	p := &c.parts[c.part(a, b)]
	return max(-curveMost, min(curveTrust*(p.mean-worth)*p.pairs/curveMemory, curveMost))
}
