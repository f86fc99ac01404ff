package soak

import "fmt"

// Sample is what the program holds at one moment.
type Sample struct {
	Goroutines int
	Files      int     // descriptors
	Resident   float64 // bytes of memory
}

// Bounds of what may grow.
const (
	maxGoroutines = 5
	maxFiles      = 5
	maxResident   = 0.05 // of what there was
	shortResident = 4e6  // bytes, in a run of minutes: five percent of this program are less than what its runtime gives back late
)

// Least is the least of each that the samples show: what a moment's work holds comes and goes, what leaks stays.
func Least(samples []Sample) Sample {
	if len(samples) == 0 {
		return Sample{}
	}
	least := samples[0]
	for _, s := range samples[1:] {
		least.Goroutines = min(least.Goroutines, s.Goroutines)
		least.Files = min(least.Files, s.Files)
		least.Resident = min(least.Resident, s.Resident)
	}
	return least
}

// Drift is what the program holds while nobody calls it: after the warm-up, and at the end.
//
// A busy moment tells nothing of a leak: on a machine with other work, the same calls take longer and need more connections.
type Drift struct {
	First, Last Sample
}

// Violations are what has grown beyond its bound, or that there was nothing to tell by. short says that the run was one of minutes.
func (d Drift) Violations(short bool) (all []string) {
	if d.First == (Sample{}) || d.Last == (Sample{}) {
		return []string{"nothing was measured while nobody called: whether something leaks is not known"}
	}
	if d.Last.Goroutines-d.First.Goroutines > maxGoroutines {
		all = append(all, fmt.Sprintf("goroutines grew from %d to %d, by more than %d", d.First.Goroutines, d.Last.Goroutines, maxGoroutines))
	}
	if d.Last.Files-d.First.Files > maxFiles {
		all = append(all, fmt.Sprintf("descriptors grew from %d to %d, by more than %d", d.First.Files, d.Last.Files, maxFiles))
	}
	more := d.First.Resident * maxResident
	if short {
		more = max(more, shortResident)
	}
	if d.Last.Resident > d.First.Resident+more {
		all = append(all, fmt.Sprintf("memory grew from %.1f to %.1f MB, by more than %.1f", d.First.Resident/1e6, d.Last.Resident/1e6, more/1e6))
	}
	return all
}
