package soak

import (
	"fmt"
	"slices"
	"time"
)

// Sample is what the program holds at one moment.
type Sample struct {
	At         time.Time
	Goroutines int
	Files      int     // descriptors
	Resident   float64 // bytes of memory
	Calm       bool    // no fault is at work, and the consequences of the last one are over
}

// Bounds of what may grow.
const (
	maxGoroutines = 5
	maxFiles      = 5
	maxResident   = 0.05 // of what there was
)

// Drift is how what the program holds has grown from the first third of the calm samples after the warm-up to the last third.
//
// Of goroutines and descriptors the fewest of each third are compared: what calls under way hold comes and goes, what leaks stays. Of
// memory the middle value is.
type Drift struct {
	Samples    int // in each third
	Goroutines [2]int
	Files      [2]int
	Resident   [2]float64
}

// DriftOf compares samples taken after the warm-up's end. Calm ones count only.
func DriftOf(samples []Sample, warm time.Time) Drift {
	var calm []Sample
	for _, s := range samples {
		if s.Calm && !s.At.Before(warm) {
			calm = append(calm, s)
		}
	}
	n := len(calm) / 3
	if n == 0 {
		return Drift{}
	}
	d := Drift{Samples: n}
	for i, third := range [][]Sample{calm[:n], calm[len(calm)-n:]} {
		var resident []float64
		d.Goroutines[i], d.Files[i] = third[0].Goroutines, third[0].Files
		for _, s := range third {
			d.Goroutines[i] = min(d.Goroutines[i], s.Goroutines)
			d.Files[i] = min(d.Files[i], s.Files)
			resident = append(resident, s.Resident)
		}
		slices.Sort(resident)
		d.Resident[i] = resident[len(resident)/2]
	}
	return d
}

// Violations are what has grown beyond its bound, or that there was too little to tell by.
func (d Drift) Violations() (all []string) {
	if d.Samples < 3 {
		return []string{fmt.Sprintf("%d calm samples in a third: too few to tell whether something leaks", d.Samples)}
	}
	if up := d.Goroutines[1] - d.Goroutines[0]; up > maxGoroutines {
		all = append(all, fmt.Sprintf("goroutines grew from %d to %d, by more than %d", d.Goroutines[0], d.Goroutines[1], maxGoroutines))
	}
	if up := d.Files[1] - d.Files[0]; up > maxFiles {
		all = append(all, fmt.Sprintf("descriptors grew from %d to %d, by more than %d", d.Files[0], d.Files[1], maxFiles))
	}
	if d.Resident[1] > d.Resident[0]*(1+maxResident) {
		all = append(all, fmt.Sprintf("memory grew from %.1f to %.1f MB, by more than %.0f%%", d.Resident[0]/1e6, d.Resident[1]/1e6, 100*maxResident))
	}
	return all
}
