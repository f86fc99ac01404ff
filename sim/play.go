package sim

import (
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Table is the outcomes of runs: by scenario, contender and seed.
type Table struct {
	Scenarios  []*Scenario
	Contenders []Contender
	Cells      [][][]Outcome
}

// Play runs the scenarios whose names match, with the contenders whose names match.
func Play(only, with *regexp.Regexp, seeds int) *Table {
	t := &Table{}
	for i := range Suite {
		if only.MatchString(Suite[i].Name) {
			t.Scenarios = append(t.Scenarios, &Suite[i])
		}
	}
	for _, c := range []Contender{RoundRobin, TwoChoices, LeastRequest, PeakEWMA, BiasedEWMA, Prequal, PrequalCalls, Slots, SharedSlots} {
		if with.MatchString(c.Name) {
			t.Contenders = append(t.Contenders, c)
		}
	}
	room := make(chan struct{}, runtime.GOMAXPROCS(0))
	var all sync.WaitGroup
	t.Cells = make([][][]Outcome, len(t.Scenarios))
	for i, s := range t.Scenarios {
		t.Cells[i] = make([][]Outcome, len(t.Contenders))
		for j, c := range t.Contenders {
			t.Cells[i][j] = make([]Outcome, seeds)
			for k := range seeds {
				room <- struct{}{}
				all.Go(func() {
					t.Cells[i][j][k] = Run(s, c, uint64(k+1))
					<-room
				})
			}
		}
	}
	all.Wait()
	return t
}

// Markdown prints p99 and p99.9 in milliseconds, and the share of calls that failed where there are any.
func (t *Table) Markdown() string {
	var b strings.Builder
	b.WriteString("| scenario |")
	for _, c := range t.Contenders {
		fmt.Fprintf(&b, " %s |", c.Name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(t.Contenders)) + "\n")
	for i, s := range t.Scenarios {
		fmt.Fprintf(&b, "| %s |", s.Name)
		for j := range t.Contenders {
			var p99, p999 time.Duration
			calls, failed := 0, 0
			for k := range t.Cells[i][j] {
				o := &t.Cells[i][j][k]
				p99, p999 = p99+o.Quantile(0.99), p999+o.Quantile(0.999)
				calls, failed = calls+o.Calls, failed+o.Failed
			}
			n := time.Duration(len(t.Cells[i][j]))
			fmt.Fprintf(&b, " %d/%d", (p99 / n).Milliseconds(), (p999 / n).Milliseconds())
			if failed > 0 {
				fmt.Fprintf(&b, ", %.3g %% failed", 100*float64(failed)/float64(calls))
			}
			b.WriteString(" |")
		}
		b.WriteString("\n")
	}
	return b.String()
}
