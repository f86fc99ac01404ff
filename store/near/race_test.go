//go:build race

package near_test

// raceEnabled: traces are played by one goroutine, and take ten times as long under the race detector.
const raceEnabled = true
