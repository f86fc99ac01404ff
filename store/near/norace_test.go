//go:build !race

package near_test

const raceEnabled = false
