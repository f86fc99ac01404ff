package main

import (
	"fmt"
	"slices"
	"strings"
)

// result is what a row came to.
type result struct {
	row             row
	names           []string // of proxies, in order
	samples         map[string][]sample
	rounds, dropped int
	rate            float64 // of a fixed row
}

// pick returns one number of each round of a proxy.
func (r result) pick(name string, f func(sample) float64) []float64 {
	var out []float64
	for _, s := range r.samples[name] {
		out = append(out, f(s))
	}
	return out
}

// ratio returns the median, the least and the most of what one proxy has to another within a round. ok is false where one is missing.
func (r result) ratio(name, to string, f func(sample) float64) (median, least, most float64, ok bool) {
	a, b := r.pick(name, f), r.pick(to, f)
	if len(a) == 0 || len(a) != len(b) {
		return 0, 0, 0, false
	}
	for i := range a {
		if b[i] == 0 {
			return 0, 0, 0, false
		}
		a[i] /= b[i]
	}
	return middle(a), slices.Min(a), slices.Max(a), true
}

// middle is the median; a is sorted by it.
func middle(a []float64) float64 {
	if len(a) == 0 {
		return 0
	}
	slices.Sort(a)
	if n := len(a); n%2 == 0 {
		return (a[n/2-1] + a[n/2]) / 2
	}
	return a[len(a)/2]
}

func byCPU(s sample) float64    { return s.cpu }
func byRate(s sample) float64   { return s.rate }
func byP50(s sample) float64    { return s.p50 }
func byP99(s sample) float64    { return s.p99 }
func byP999(s sample) float64   { return s.p999 }
func byMemory(s sample) float64 { return s.memory }

// markdown is the row as a table. Of direct calls the CPU is the server's.
func (r result) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n### %s\n\n", r.row)
	if r.rate > 0 {
		fmt.Fprintf(&b, "Open loop at %.0f calls/s. ", r.rate)
	}
	fmt.Fprintf(&b, "%d rounds", r.rounds)
	if r.dropped > 0 {
		fmt.Fprintf(&b, ", %d more dropped", r.dropped)
	}
	if r.row.kind == idle {
		b.WriteString(".\n\n| | KiB a connection |\n|---|---|\n")
		for _, name := range r.names {
			if len(r.samples[name]) > 0 {
				fmt.Fprintf(&b, "| %s | %.1f |\n", name, middle(r.pick(name, byMemory)))
			}
		}
		return b.String()
	}
	b.WriteString(".\n\n| | CPU µs/call | CPU ÷ HAProxy's | calls/s | p50 µs | p99 µs | p99.9 µs | MiB |\n|---|---|---|---|---|---|---|---|\n")
	for _, name := range r.names {
		cost, ratio := fmt.Sprintf("%.1f", middle(r.pick(name, byCPU))), ""
		if median, least, most, ok := r.ratio(name, "HAProxy", byCPU); ok {
			ratio = fmt.Sprintf("%.2f (%.2f–%.2f)", median, least, most)
		}
		if name == "direct" {
			cost, ratio = "–", "–"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %.0f | %.0f | %.0f | %.0f | %.0f |\n", name, cost, ratio,
			middle(r.pick(name, byRate)), middle(r.pick(name, byP50)), middle(r.pick(name, byP99)), middle(r.pick(name, byP999)), middle(r.pick(name, byMemory)))
	}
	for _, name := range r.names {
		for _, s := range r.samples[name] {
			if s.late > 0 {
				fmt.Fprintf(&b, "\n%s: %d calls of one round never started; its latency is better than what callers would have seen.\n", name, s.late)
				break
			}
		}
	}
	return b.String()
}

// halfOf returns half of what HAProxy answered in the closed row that a fixed one follows.
func halfOf(before []result, fixed row) float64 {
	fixed.kind = closed
	for _, r := range before {
		if r.row == fixed {
			return middle(r.pick("HAProxy", byRate)) / 2
		}
	}
	return 0
}

// goal is what is to be shown: a ratio of ours to another's, in rows that are meant.
type goal struct {
	what  string
	meant func(row) bool
	ours  string
	to    string
	by    func(sample) float64
	most  float64
}

const best = "ours, epoll"

var allGoals = []goal{
	{"CPU, concurrent upstream ≤ 0.80 × HAProxy", loaded(true), best, "HAProxy", byCPU, 0.80},
	{"CPU, concurrent upstream ≤ 0.50 × Envoy", loaded(true), best, "Envoy", byCPU, 0.50},
	{"CPU, serial upstream ≤ 0.60 × our portable engine", loaded(false), best, "ours, net", byCPU, 0.60},
	{"CPU, serial upstream ≤ 1.25 × HAProxy", loaded(false), best, "HAProxy", byCPU, 1.25},
	{"CPU, unframed ≤ 0.50 × Envoy at every size", func(r row) bool { return r.kind == closed && !r.framed }, best, "Envoy", byCPU, 0.50},
	{"p99 at a fixed rate ≤ 1.2 × HAProxy", is(fixed), best, "HAProxy", byP99, 1.2},
	{"p99 at a fixed rate ≤ Envoy", is(fixed), best, "Envoy", byP99, 1},
	{"p50 at one caller ≤ 1.2 × HAProxy", func(r row) bool { return r.kind == closed && r.callers == 1 && r.shape == "1 KB" }, best, "HAProxy", byP50, 1.2},
	{"CPU, everything on ≤ 1.15 × bare", loaded(false), best + ", everything on", best, byCPU, 1.15},
}

// loaded means the rows of 1 KB with 64 and 512 callers.
func loaded(concurrent bool) func(row) bool {
	return func(r row) bool {
		return r.kind == closed && r.shape == "1 KB" && r.callers > 1 && r.concurrent == concurrent
	}
}

func is(k kind) func(row) bool { return func(r row) bool { return r.kind == k } }

// goals prints which goals were met, where.
func goals(results []result) string {
	var b strings.Builder
	b.WriteString("\n## Goals\n\n| goal | row | measured | met |\n|---|---|---|---|\n")
	line := func(what, row, measured string, met bool) {
		word := "yes"
		if !met {
			word = "**no**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", what, row, measured, word)
	}
	for _, g := range allGoals {
		for _, r := range results {
			if median, least, most, ok := r.ratio(g.ours, g.to, g.by); ok && g.meant(r.row) {
				line(g.what, r.row.String(), fmt.Sprintf("%.2f (%.2f–%.2f)", median, least, most), median <= g.most)
			}
		}
	}
	for _, r := range results {
		if r.row.kind == idle && len(r.samples[best]) > 0 {
			k := middle(r.pick(best, byMemory))
			line("memory of an idle connection ≤ 6 KB", r.row.String(), fmt.Sprintf("%.1f KiB", k), k*1024 <= 6000)
		}
	}
	return b.String()
}
