//go:build race

package faults

// raceEnabled: a run is one goroutine, and takes eight times as long under the race detector.
const raceEnabled = true
