// Package soak lets the program run for a long time with real servers and callers, breaks something every few seconds, and judges: no
// leak, no failure that the fault of that moment does not explain.
package soak

import (
	"slices"
	"sort"
	"strings"
	"time"
)

// Failure is a call that was not answered well.
type Failure struct {
	Start, End time.Time
	Service    string
	Method     string
	Idempotent bool   // calling twice does no harm: it never fails
	Text       string // what the caller was told: "CODE: …", or "CONNECTION: …" where its own connection broke
}

// Code returns the first word of what the caller was told.
func (f Failure) Code() string {
	code, _, _ := strings.Cut(f.Text, ":")
	return code
}

// Fault is something that was broken on purpose, and what it explains.
type Fault struct {
	Name       string
	Start, End time.Time
	Err        error // why it could not be played
	// Service is the one of which calls that may not be made twice may fail; "" explains no failure.
	Service string
	// Codes are those with which they may.
	Codes []string
	// AtMost bounds how many: what was at work there.
	AtMost int
}

// explains reports whether a failure may come of the fault. settle is how long its consequences may take to show.
func (f Fault) explains(x Failure, settle time.Duration) bool {
	return !x.Idempotent && f.Service != "" && f.Service == x.Service && slices.Contains(f.Codes, x.Code()) &&
		x.End.After(f.Start) && x.Start.Before(f.End.Add(settle))
}

// Sort parts failures into those that faults explain, counted by fault, and the others. Each fault explains AtMost of them, the earliest
// first.
func Sort(failures []Failure, faults []Fault, settle time.Duration) (explained map[string]int, others []Failure) {
	failures = slices.Clone(failures)
	sort.Slice(failures, func(i, j int) bool { return failures[i].End.Before(failures[j].End) })
	explained = map[string]int{}
	left := make([]int, len(faults))
	for i, f := range faults {
		left[i] = f.AtMost
	}
next:
	for _, x := range failures {
		for i, f := range faults {
			if left[i] > 0 && f.explains(x, settle) {
				left[i]--
				explained[f.Name]++
				continue next
			}
		}
		others = append(others, x)
	}
	return explained, others
}
