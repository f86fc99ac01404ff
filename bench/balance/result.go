package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// results are the calls of each round, by scenario and contender.
type results map[[2]string][][]call

func (r results) add(scenario, contender string, calls []call) {
	key := [2]string{scenario, contender}
	r[key] = append(r[key], calls)
}

// markdown is a table for each of p99 and p99.9: a call that failed counts as one that its caller gave up.
func (r results) markdown(scenarios []scenario, contenders []contender) string {
	var b strings.Builder
	for _, q := range []float64{0.99, 0.999} {
		fmt.Fprintf(&b, "p%v in ms (and how many calls failed); below it, as many times that of %s, with the 90 %% interval:\n\n| |", 100*q, contenders[0].name)
		for _, c := range contenders {
			fmt.Fprintf(&b, " %s |", c.name)
		}
		b.WriteString("\n|---|" + strings.Repeat("---|", len(contenders)) + "\n")
		for _, s := range scenarios {
			base := r[[2]string{s.name, contenders[0].name}]
			fmt.Fprintf(&b, "| %s |", s.name)
			for i, c := range contenders {
				rounds := r[[2]string{s.name, c.name}]
				fmt.Fprintf(&b, " %.0f", 1000*quantile(rounds, q).Seconds())
				if failed, all := failures(rounds); failed > 0 {
					fmt.Fprintf(&b, " (%.2f %%)", 100*float64(failed)/float64(all))
				}
				if i > 0 {
					low, mid, high := ratio(rounds, base, q)
					fmt.Fprintf(&b, "<br>%.1f (%.1f–%.1f)", mid, low, high)
				}
				b.WriteString(" |")
			}
			b.WriteByte('\n')
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func failures(rounds [][]call) (failed, all int) {
	for _, calls := range rounds {
		for _, c := range calls {
			all++
			if c.failed {
				failed++
			}
		}
	}
	return failed, all
}

// quantile is that of the calls of all rounds.
func quantile(rounds [][]call, q float64) time.Duration {
	var times []time.Duration
	for _, calls := range rounds {
		for _, c := range calls {
			if c.failed {
				c.took = patience
			}
			times = append(times, c.took)
		}
	}
	slices.Sort(times)
	return times[min(len(times)-1, int(q*float64(len(times))))]
}

// ratio is how many times that of base a quantile is, with its 90 % interval: rounds are drawn again, with repetition ("bootstrap").
func ratio(rounds, base [][]call, q float64) (low, mid, high float64) {
	random := rand.New(rand.NewPCG(1, 1))
	again := func(rounds [][]call) (drawn [][]call) {
		for range rounds {
			drawn = append(drawn, rounds[random.IntN(len(rounds))])
		}
		return drawn
	}
	of := func(a, b [][]call) float64 { return float64(quantile(a, q)) / float64(quantile(b, q)) }
	var all []float64
	for range 200 {
		all = append(all, of(again(rounds), again(base)))
	}
	slices.Sort(all)
	return all[len(all)/20], of(rounds, base), all[len(all)-1-len(all)/20]
}
