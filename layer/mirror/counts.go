package mirror

import (
	"maps"
	"sync"
)

// Result is what became of one copy.
type Result string

// The results.
const (
	Same         Result = "same"          // both replies say the same
	Differ       Result = "differ"        // they do not
	Answered     Result = "answered"      // the copy was answered, and not compared: nobody asked for it, or a reply is too long
	MirrorFailed Result = "mirror_failed" // the copy has no reply
	MainFailed   Result = "main_failed"   // the caller's own call has none, where the two were to be compared
	Dropped      Result = "dropped"       // no copy was sent: too many were under way
)

// Results are all of them.
var Results = []Result{Same, Differ, Answered, MirrorFailed, MainFailed, Dropped}

// maxPaths bounds the paths that are counted by themselves.
const maxPaths = 20

// Counts is what became of the copies of one method. The zero value is ready; safe for concurrent use.
type Counts struct {
	mu      sync.Mutex
	results map[Result]int64
	paths   map[string]int64
	more    int64
}

// Report is counts at one moment.
type Report struct {
	Results map[Result]int64
	// Paths are the fields that differed, with how many pairs of replies differed there: "success.address.city". They never hold values.
	Paths map[string]int64
	// MorePaths counts those of the pairs that differed elsewhere besides: twenty paths are told apart.
	MorePaths int64
}

// Report returns the counts.
func (c *Counts) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Report{Results: maps.Clone(c.results), Paths: maps.Clone(c.paths), MorePaths: c.more}
}

func (c *Counts) add(r Result) {
	c.mu.Lock()
	c.count(r)
	c.mu.Unlock()
}

// count counts a result. c.mu is held.
func (c *Counts) count(r Result) {
	if c.results == nil {
		c.results, c.paths = map[Result]int64{}, map[string]int64{}
	}
	c.results[r]++
}

// compared counts what a comparison found.
func (c *Counts) compared(d Difference) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count(d.Result)
	more := d.More
	for _, path := range d.Paths {
		if _, known := c.paths[path]; known || len(c.paths) < maxPaths {
			c.paths[path]++
		} else {
			more = true
		}
	}
	if more {
		c.more++
	}
}
