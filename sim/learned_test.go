package sim

import "testing"

// Learned slots of replicas that work settle at one to four, those of replicas that wait at as many as there are calls for, and both follow a
// handler that becomes another one.
func TestLB12LearnedLimit(t *testing.T) {
	skipUnderRace(t)
	const seeds = 5
	for _, g := range append(append(workGoals(seeds), waitGoals(seeds)...), stepGoals(seeds)...) {
		check(t, g)
	}
}

// Learned slots are as good as the best number that one could have written, beside an antagonist too, and of methods that differ. Ten seeds make
// p99 less certain than twenty, with which docs/simulation has two of the eight figures missed by little.
func TestHL14LearnedLimit(t *testing.T) {
	skipUnderRace(t)
	for _, g := range staticGoals(10, shortSlack) {
		check(t, g)
	}
}
