package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/thriftloom/thriftloom/internal/figures"
)

// Render draws one frame of at most width columns and height lines, without a newline at its end. Zero or less is 80 columns, and no
// bound on lines. Where lines are short the log shrinks first, then the sparkline goes, then the caption, then replicas. With color,
// ANSI styles are used, and nothing else of ANSI.
func Render(s State, width, height int, color bool) string {
	if width <= 0 {
		width = 80
	}
	frame := layout(s, width, height)
	if height > 0 && len(frame) > height {
		frame = frame[:height]
	}
	var b strings.Builder
	for i, l := range frame {
		if i > 0 {
			b.WriteByte('\n')
		}
		l.writeTo(&b, width, color)
	}
	return b.String()
}

// layout returns the lines of a frame: as many as fit into height, the most telling ones first to stay.
func layout(s State, width, height int) []line {
	head, totals, footer := heading(s, width), totals(s.Total, width), []line(nil)
	spark, tour := sparkline(s.Rates, width), caption(s.Tour, width)
	if s.Footer != "" {
		footer = []line{nil, {plain(" "), dim(s.Footer)}}
	}
	rows, events := len(s.Replicas), len(s.Events)
	if height > 0 {
		const overTable = 2 // a blank line and the column names
		room := height - len(head) - len(totals) - len(footer) - overTable
		if room < len(s.Replicas)+len(spark)+len(tour) {
			spark = nil
		}
		if room < len(s.Replicas)+len(tour) {
			tour = nil
		}
		rows = max(1, min(rows, room))
		events = max(0, min(events, room-rows-len(spark)-len(tour)-1))
	}
	return slices.Concat(head, table(s.Replicas, rows, width), totals, spark, tour, log(s.Events[len(s.Events)-events:]), footer)
}

// heading is the title line, a rule, and the addresses.
func heading(s State, width int) []line {
	clock := fmt.Sprintf("%02d:%02d", int(s.Elapsed.Minutes()), int(s.Elapsed.Seconds())%60)
	gap := max(2, width-2-columns(clean(s.Title))-len(clock))
	lines := []line{
		{plain(" "), bold(s.Title), plain(strings.Repeat(" ", gap)), dim(clock)},
		{plain(" "), dim(strings.Repeat("─", max(0, width-2)))},
	}
	var where []item
	if s.Gateway != "" {
		where = append(where, item{dim("gateway "), accent(s.Gateway)})
	}
	if s.Admin != "" {
		where = append(where, item{dim("dashboard "), accent(s.Admin)})
	}
	return append(lines, flow(where, width)...)
}

// totals is a blank line and the sums over all replicas.
func totals(t Total, width int) []line {
	errors := bold(figures.Count(t.Errors))
	if t.Errors > 0 {
		errors.style = styleBad
	}
	return append([]line{nil}, flow([]item{
		{dim("calls/s "), bold(rate(t.Rate))},
		{dim("p50 "), bold(figures.Short(t.P50))},
		{dim("p99 "), bold(figures.Short(t.P99))},
		{dim("errors "), errors},
		{dim("in flight "), bold(figures.Count(int64(t.InFlight)))},
		{dim("queue "), bold(figures.Count(int64(t.Queue)))},
	}, width)...)
}

// item is a label and a value that stay on one line.
type item [2]span

// flow sets items side by side, in as many lines as the width asks for.
func flow(items []item, width int) []line {
	var lines []line
	used := width
	for _, it := range items {
		n := columns(clean(it[0].text)) + columns(clean(it[1].text))
		gap := "   "
		if used+len(gap)+n > width {
			lines, used, gap = append(lines, nil), 0, " "
		}
		last := len(lines) - 1
		lines[last] = append(lines[last], plain(gap), it[0], it[1])
		used += len(gap) + n
	}
	return lines
}

// sparkRunes are the heights of a sparkline's column.
var sparkRunes = []rune("▁▂▃▄▅▆▇█")

// sparkline draws the last minute, newest right, scaled to its peak.
func sparkline(rates []float64, width int) []line {
	const minute = 60
	label := " calls/s, last minute"
	cells := min(minute, width-2)
	if len(rates) == 0 || cells < 10 {
		return nil
	}
	rates = rates[max(0, len(rates)-cells):]
	peak := slices.Max(rates)
	var b strings.Builder
	b.WriteString(strings.Repeat("·", cells-len(rates)))
	for _, v := range rates {
		level := 0
		if peak > 0 {
			level = int(max(0, v) / peak * float64(len(sparkRunes)-1))
		}
		b.WriteRune(sparkRunes[level])
	}
	return []line{nil, {dim(label + ", peak "), bold(rate(peak))}, {plain(" "), accent(b.String())}}
}

// caption is the tour's text and the lines of the file behind it, after a bar on the left.
func caption(c *Caption, width int) []line {
	if c == nil {
		return nil
	}
	lines := []line{nil}
	step := fmt.Sprintf("%d of %d  ", c.Step, c.Steps)
	for i, text := range wrap(clean(c.Text), width-3-len(step)) {
		if i > 0 {
			step = strings.Repeat(" ", len(step))
		}
		lines = append(lines, line{accent(" ┃ "), dim(step), bold(text)})
	}
	for _, text := range c.Config {
		lines = append(lines, line{accent(" ┃ "), plain(strings.Repeat(" ", len(step))), accent(text)})
	}
	return lines
}

// log is a blank line and the events.
func log(events []Event) []line {
	if len(events) == 0 {
		return nil
	}
	lines := []line{nil}
	for _, e := range events {
		text := plain(e.Text)
		if e.Warn {
			text.style = styleWarn
		}
		lines = append(lines, line{plain(" "), dim(e.At.Format("15:04:05") + "  "), text})
	}
	return lines
}

// Line returns the state as one plain line, for where no frame can be drawn.
func Line(s State) string {
	ready := 0
	for _, r := range s.Replicas {
		if r.State == "ready" {
			ready++
		}
	}
	t := s.Total
	return fmt.Sprintf("%s  calls/s %s  p50 %s  p99 %s  errors %s  in flight %d  queue %d  replicas %d/%d ready",
		s.Elapsed.Round(time.Second), rate(t.Rate), figures.Short(t.P50), figures.Short(t.P99), figures.Count(t.Errors), t.InFlight, t.Queue, ready, len(s.Replicas))
}
