package view

import (
	"fmt"
	"strconv"
	"strings"
)

// column is one column of the table of replicas.
type column struct {
	head  string
	right bool // aligned
	least int  // width of the screen from which on it is shown
	cell  func(Replica) span
}

// table returns a blank line, the column names, and rows replicas, the last of them giving way to a count of those that do not fit.
func table(replicas []Replica, rows, width int) []line {
	more := len(replicas) - rows
	shown := replicas[:min(rows, len(replicas))]
	if more > 0 {
		shown, more = replicas[:rows-1], more+1
	}
	cells, name := 8, 20
	switch {
	case width >= 100:
		cells = 16
	case width < 60:
		cells, name = 0, 10
	}
	lines := make([]line, 2+len(shown))
	lines[1] = line{plain("   ")}
	for i, r := range shown {
		lines[2+i] = line{plain(" "), mark(r.State), plain(" ")}
	}
	for _, c := range replicaColumns(cells, name) {
		if width < c.least {
			continue
		}
		column := make([]span, 0, len(shown)+1)
		column = append(column, dim(c.head))
		for _, r := range shown {
			column = append(column, c.cell(r))
		}
		wide := 0
		for _, s := range column {
			wide = max(wide, columns(clean(s.text)))
		}
		for i, s := range column {
			pad := plain(strings.Repeat(" ", wide-columns(clean(s.text))))
			if c.right {
				lines[1+i] = append(lines[1+i], pad, s, plain("  "))
			} else {
				lines[1+i] = append(lines[1+i], s, pad, plain("  "))
			}
		}
	}
	if more > 0 {
		lines = append(lines, line{plain("   "), dim(fmt.Sprintf("… %d more", more))})
	}
	return lines
}

// replicaColumns returns the columns, with bars of at most cells and names of at most name columns.
func replicaColumns(cells, name int) []column {
	return []column{
		{"replica", false, 0, func(r Replica) span { return bold(cut(clean(r.Name), name)) }},
		{"state", false, 0, func(r Replica) span { return span{cut(clean(r.State), 12), styleOf(r.State)} }},
		{"pid", true, 70, func(r Replica) span { return dim(number(r.PID)) }},
		{"restarts", true, 100, func(r Replica) span { return dim(number(r.Restarts)) }},
		{"in flight", false, 0, func(r Replica) span { return accent(slots(r, cells)) }},
		{"calls/s", true, 46, func(r Replica) span { return plain(rate(r.Rate)) }},
		{"p50", true, 70, func(r Replica) span { return plain(latency(r.P50, r.Rate)) }},
		{"p99", true, 60, func(r Replica) span { return plain(latency(r.P99, r.Rate)) }},
	}
}

// slots draws the slots of a replica, a cell each where they fit; a single call in flight always shows.
func slots(r Replica, cells int) string {
	if r.Slots <= 0 {
		return number(r.InFlight)
	}
	n := min(r.Slots, cells)
	full := min(n, (r.InFlight*n+r.Slots-1)/r.Slots)
	bar := strings.Repeat("■", full) + strings.Repeat("□", n-full)
	if n > 0 {
		bar += " "
	}
	return bar + fmt.Sprintf("%d/%d", r.InFlight, r.Slots)
}

// mark is the sign of a state, which tells it without color too.
func mark(state string) span {
	switch styleOf(state) {
	case styleGood:
		return span{"●", styleGood}
	case styleBad:
		return span{"✕", styleBad}
	case styleWarn:
		return span{"◐", styleWarn}
	}
	return span{"○", styleDim}
}

func styleOf(state string) style {
	switch state {
	case "ready", "up", "running":
		return styleGood
	case "failed", "crashed", "down", "ejected", "exited":
		return styleBad
	case "starting", "restarting", "draining", "stopping", "backoff", "unready":
		return styleWarn
	}
	return styleDim
}

// number shows nothing for zero.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
