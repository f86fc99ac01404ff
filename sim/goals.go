package sim

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Goal is a figure that the product's picker is held to.
type Goal struct {
	Name     string // LB-1 …
	Promise  string
	Measured string
	Met      bool
}

// slack is by how much a shorter run may miss a figure: its quantiles are less certain.
type slack float64

func (s slack) most(limit float64) float64 { return limit * (1 + float64(s)) }

// Cell returns the outcomes of a contender in a scenario, one a seed; nil where they were not played.
func (t *Table) Cell(s *Scenario, c Contender) []Outcome {
	i := slices.Index(t.Scenarios, s)
	j := slices.IndexFunc(t.Contenders, func(x Contender) bool { return x.Name == c.Name })
	if i < 0 || j < 0 {
		return nil
	}
	return t.Cells[i][j]
}

// Mean returns a quantile's mean over the seeds.
func Mean(all []Outcome, q float64) time.Duration {
	var sum time.Duration
	for i := range all {
		sum += all[i].Quantile(q)
	}
	return sum / time.Duration(max(1, len(all)))
}

// ratio is how a contender's quantile compares with another's.
func (t *Table) ratio(s *Scenario, a, b Contender, q float64) float64 {
	return float64(Mean(t.Cell(s, a), q)) / float64(Mean(t.Cell(s, b), q))
}

// against returns the geometric mean, and the worst, of the ratios over all scenarios.
func (t *Table) against(scenarios []*Scenario, ratio func(*Scenario) float64) (mean, worst float64, where string) {
	sum := 0.0
	for _, s := range scenarios {
		r := ratio(s)
		sum += math.Log(r)
		if r > worst {
			worst, where = r, s.Name
		}
	}
	return math.Exp(sum / float64(len(scenarios))), worst, where
}

// Goals are those that compare contenders over the suite.
func (t *Table) Goals(slack slack) []Goal {
	var goals []Goal
	add := func(met bool, name, promise, measured string, args ...any) {
		goals = append(goals, Goal{name, promise, fmt.Sprintf(measured, args...), met})
	}
	for i, q := range []float64{0.99, 0.999} {
		name := []string{"LB-1", "LB-2"}[i]
		promise := fmt.Sprintf("p%g beside P2C: ≤ 0.50 geometric mean, ≤ 0.85 in each scenario", 100*q)
		mean, worst, where := t.against(t.Scenarios, func(s *Scenario) float64 { return t.ratio(s, Slots, TwoChoices, q) })
		add(mean <= slack.most(0.50) && worst <= slack.most(0.85), name, promise, "%.2f, at most %.2f (%s)", mean, worst, where)
	}
	var uneven []*Scenario
	for _, s := range t.Scenarios {
		if s.Speeds != nil || s.Script != nil {
			uneven = append(uneven, s)
		}
	}
	mean, worst, where := t.against(uneven, func(s *Scenario) float64 { return t.ratio(s, Slots, RoundRobin, 0.99) })
	add(worst <= slack.most(0.10), "LB-3", "p99 beside round robin, with two speeds or an antagonist: ≤ 0.10", "%.3f, at most %.3f (%s)", mean, worst, where)
	mean, worst, where = t.against(t.Scenarios, func(s *Scenario) float64 {
		best := math.Inf(1)
		for _, c := range []Contender{LeastRequest, PeakEWMA, BiasedEWMA, Prequal, PrequalCalls} {
			best = min(best, float64(Mean(t.Cell(s, c), 0.99)))
		}
		return float64(Mean(t.Cell(s, SharedSlots), 0.99)) / best
	})
	add(mean <= slack.most(0.85) && worst <= slack.most(1), "LB-4", "p99, shared view, beside the best of the others: ≤ 0.85 geometric mean, ≤ 1.00 in each scenario",
		"%.2f, at most %.2f (%s)", mean, worst, where)
	one, many := t.find("antagonist, G1"), t.find("antagonist, G16")
	if one != nil && many != nil {
		grows := func(c Contender) float64 {
			return float64(Mean(t.Cell(many, c), 0.99)) / float64(Mean(t.Cell(one, c), 0.99))
		}
		r := grows(SharedSlots)
		add(r <= slack.most(1.75), "LB-9", "p99 of 16 gateways beside 1, shared view: ≤ 1.75", "%.2f; without a view %.2f, P2C %.2f", r, grows(Slots), grows(TwoChoices))
	}
	return goals
}

func (t *Table) find(name string) *Scenario {
	for _, s := range t.Scenarios {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Faults plays the scenarios in which something happens to a replica, or replicas come and go. A small fleet has few calls, and is played as
// many times more often: p99 of the three seconds of a stall is that of the worst two calls there.
func Faults(seeds int, slack slack) []Goal {
	var goals []Goal
	for _, replicas := range []int{20, 5, 3, 2} {
		name := "LB-5"
		if replicas != 20 {
			name = "LB-8"
		}
		runs := seeds * 20 / replicas
		goals = append(goals, stallGoal(name, replicas, runs, slack), sinkholeGoal(replicas, runs))
	}
	return append(append(goals, fairnessGoals(seeds)...), churnGoal(seeds))
}

// stallGoal: no more calls are lost than each gateway has slots at the replica; the others' p99 is that of a fleet without it, or of before,
// whichever is more: of few replicas the others have more to do; it has its part of the calls again within ten seconds.
func stallGoal(name string, replicas, seeds int, slack slack) Goal {
	const gateways = 4
	g := Goal{Name: name, Met: true, Promise: fmt.Sprintf(
		"1 of %d stalls for 4 s, 4 gateways: ≤ 4 calls lost, p99 of the rest after 1 s ≤ 1.15 × before or without it, its part (± 20 %%) back in 10 s", replicas)}
	var lost int
	var worse, part float64
	for seed := range seeds {
		s := Stall(replicas, gateways)
		o := Run(&s, Slots, uint64(seed+1))
		_, l, _, _ := o.In(faultAt, stallEnds)
		lost = max(lost, l)
		without := s
		without.Replicas, without.Load, without.Script = replicas-1, s.Load*float64(replicas)/float64(replicas-1), nil
		rest := Run(&without, Slots, uint64(seed+1))
		base := max(o.QuantileIn(5, faultAt, 0.99), rest.Quantile(0.99))
		worse += float64(o.QuantileIn(faultAt+1, stallEnds, 0.99)) / float64(base) / float64(seeds)
		sent, _, calls, _ := o.In(stallEnds+10, stallEnds+20)
		part += float64(sent) * float64(replicas) / float64(calls) / float64(seeds)
	}
	g.Measured = fmt.Sprintf("%d lost at most, p99 × %.2f, part × %.2f", lost, worse, part)
	g.Met = lost <= gateways && worse <= slack.most(1.15) && math.Abs(part-1) <= 0.2
	return g
}

// sinkholeGoal: each gateway loses five calls until the replica is out, which takes it a second or two; then the replica gets no more than one call
// in a thousand, or one each time that it is tried again: a small fleet has few calls; no caller of an idempotent method notices; it is back 15 s
// after the repair.
func sinkholeGoal(replicas, seeds int) Goal {
	const gateways, five, tries = 4, 5, 6 // in 39 s: after 1 to 2, 2 to 4, 4 to 8, and each 6 to 12
	name := "LB-6"
	if replicas != 20 {
		name = "LB-8"
	}
	g := Goal{Name: name, Promise: fmt.Sprintf(
		"1 of %d ends every call, 4 gateways: ≤ 5 failures a gateway, then ≤ 0.1 %% of calls or a try now and then; ≤ 0.01 %% seen by callers; its part (± 20 %%) back in 15 s", replicas)}
	var first, most, later, calls, seen, all int
	var part float64
	for seed := range seeds {
		s := Sinkhole(replicas, gateways, true)
		o := Run(&s, Slots, uint64(seed+1))
		_, f, _, _ := o.In(faultAt, faultAt+1)
		first, most = first+f, max(most, f)
		_, l, c, _ := o.In(faultAt+1, sinkholeEnd)
		later, calls = later+l, calls+c
		seen, all = seen+o.Failed, all+o.Calls
		sent, _, n, _ := o.In(sinkholeEnd+15, sinkholeEnd+25)
		part += float64(sent) * float64(replicas) / float64(n) / float64(seeds)
	}
	g.Measured = fmt.Sprintf("%d at most for 4 gateways, then %d of %d, %d of %d seen, part × %.2f", most, later, calls, seen, all, part)
	few := later <= calls/1000 || first+later <= seeds*gateways*(five+tries)
	g.Met = most <= five*gateways && few && seen*10_000 <= all && math.Abs(part-1) <= 0.2
	return g
}

// fairnessGoals: equal replicas get equally many calls, or as their weights say.
func fairnessGoals(seeds int) (goals []Goal) {
	for _, load := range []float64{0.7, 0.3} {
		worst := 0.0
		for seed := range seeds {
			s := Equal(load)
			o := Run(&s, Slots, uint64(seed+1))
			worst = max(worst, float64(slices.Max(o.Sent))/float64(slices.Min(o.Sent)))
		}
		promise := fmt.Sprintf("of 100,000 calls of equal replicas, load %g, most ÷ least ≤ 1.05", load)
		goals = append(goals, Goal{"LB-11", promise, fmt.Sprintf("%.2f", worst), worst <= 1.05})
	}
	for _, load := range []float64{0.5, 0.3} {
		worst := 0.0
		for seed := range seeds {
			s := Weighted(load)
			o := Run(&s, Slots, uint64(seed+1))
			worst = max(worst, unfairness(&s, &o))
		}
		promise := fmt.Sprintf("of 100,000 calls of replicas with 4 slots and weights 1 and 2, load %g, each has its part within 2 %%", load)
		goals = append(goals, Goal{"LB-11", promise, fmt.Sprintf("%.1f %%", 100*worst), worst <= 0.02})
	}
	return goals
}

// unfairness is how far the worst replica is off its part by weight, as a part of that.
func unfairness(s *Scenario, o *Outcome) (worst float64) {
	sent, weights := 0, 0
	for i, n := range o.Sent {
		sent, weights = sent+n, weights+s.Weights(i)
	}
	for i, n := range o.Sent {
		part := float64(sent) * float64(s.Weights(i)) / float64(weights)
		worst = max(worst, math.Abs(float64(n)-part)/part)
	}
	return worst
}

// churnGoal: replicas come and go, and no call is lost.
func churnGoal(seeds int) Goal {
	failed, calls := 0, 0
	for seed := range seeds {
		s := Churn()
		o := Run(&s, Slots, uint64(seed+1))
		failed, calls = failed+o.Failed, calls+o.Calls
	}
	return Goal{Name: "LB-13", Promise: "50 of 500 replicas are replaced a minute: no error", Measured: fmt.Sprintf("%d of %d failed", failed, calls), Met: failed == 0}
}
