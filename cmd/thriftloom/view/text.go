package view

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"

	"github.com/thriftloom/thriftloom/internal/figures"
)

// style is the ANSI parameter of a span.
type style string

const (
	stylePlain  style = ""
	styleBold   style = "1"
	styleDim    style = "2"
	styleBad    style = "31"
	styleGood   style = "32"
	styleWarn   style = "33"
	styleAccent style = "36"
)

// span is text of one style; a line is spans side by side.
type (
	span struct {
		text  string
		style style
	}
	line []span
)

func plain(s string) span  { return span{s, stylePlain} }
func dim(s string) span    { return span{s, styleDim} }
func bold(s string) span   { return span{s, styleBold} }
func accent(s string) span { return span{s, styleAccent} }

// writeTo writes the line, cut to width columns, without blanks at its end.
func (l line) writeTo(b *strings.Builder, width int, color bool) {
	left, out := width, make([]span, 0, len(l))
	for _, s := range l {
		s.text = clean(s.text)
		if n := columns(s.text); n > left {
			s.text = cut(s.text, left)
			out = append(out, s)
			break
		} else {
			left -= n
		}
		out = append(out, s)
	}
	for len(out) > 0 {
		last := &out[len(out)-1]
		if last.text = strings.TrimRight(last.text, " "); last.text != "" {
			break
		}
		out = out[:len(out)-1]
	}
	for _, s := range out {
		if color && s.style != stylePlain && strings.TrimSpace(s.text) != "" {
			fmt.Fprintf(b, "\x1b[%sm%s\x1b[0m", s.style, s.text)
		} else {
			b.WriteString(s.text)
		}
	}
}

// clean replaces what a terminal would act upon, or show at a width that cannot be told, by a dot.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || unicode.In(r, unicode.Mn, unicode.Me) {
			return '·'
		}
		return r
	}, s)
}

// columns returns how many columns a clean text takes.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

// runeColumns is two for East Asian wide characters and emoji. Source: Unicode Standard Annex 11, by blocks.
func runeColumns(r rune) int {
	switch {
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff,
		r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}

// cut shortens a clean text to width columns, the last an ellipsis.
func cut(s string, width int) string {
	if columns(s) <= width {
		return s
	}
	if width < 1 {
		return ""
	}
	used := 0
	for i, r := range s {
		if used += runeColumns(r); used > width-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// wrap breaks a clean text into lines of at most width columns, between words.
func wrap(s string, width int) []string {
	var lines []string
	for _, word := range strings.Fields(s) {
		if last := len(lines) - 1; last >= 0 && columns(lines[last])+1+columns(word) <= width {
			lines[last] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}

// rate returns a rate, with a decimal only where it matters.
func rate(v float64) string {
	if v < 9.95 && v > 0 {
		return fmt.Sprintf("%.1f", v)
	}
	return figures.Count(int64(math.Round(v)))
}

// latency is short, or nothing where there is no call to tell of.
func latency(d time.Duration, rate float64) string {
	if d == 0 && rate == 0 {
		return ""
	}
	return figures.Short(d)
}
