package idl

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxMistakes bounds how many mistakes one file, and one load, reports; one more then says "too many mistakes".
const MaxMistakes = 100

// tooMany is the text of the mistake behind the last one that is reported.
const tooMany = "too many mistakes; the rest is not shown"

// maxShownBytes bounds how much of a source line Render shows, in bytes: one line may be megabytes long.
const maxShownBytes = 160

// Error returns every mistake, a line each.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, x := range m {
		lines[i] = x.String()
	}
	return strings.Join(lines, "\n")
}

// Render returns every mistake with its source line and caret, an empty line between two.
func (m Mistakes) Render() string {
	parts := make([]string, len(m))
	for i, x := range m {
		parts[i] = x.Render()
	}
	return strings.Join(parts, "\n")
}

// Sorted returns the mistakes in order of file and position, each once, and at most MaxMistakes and one that says that there are more.
// It uses m's memory.
func (m Mistakes) Sorted() Mistakes {
	slices.SortStableFunc(m, func(a, b Mistake) int {
		return cmp.Or(strings.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	m = slices.CompactFunc(m, func(a, b Mistake) bool { return a.Pos == b.Pos && a.Text == b.Text })
	if len(m) > MaxMistakes {
		last := m[MaxMistakes]
		last.Text = tooMany
		m = append(m[:MaxMistakes], last)
	}
	return m
}

// Render returns the mistake as people read it, each line with its end:
//
//	users.thrift:3:6: no type named "Usr"; did you mean "User"?
//	  1: Usr user
//	     ^
//
// Of a long line it shows the part around the mistake. Control characters of the source are shown as U+FFFD.
func (m Mistake) Render() string {
	line, at := m.Source, min(max(m.Pos.Col-1, 0), len(m.Source))
	if from := at - maxShownBytes/2; from > 0 && len(line) > maxShownBytes {
		from = runeStart(line, from)
		line, at = line[from:], at-from
	}
	if len(line) > maxShownBytes {
		line = line[:runeStart(line, maxShownBytes)]
	}
	at = min(at, len(line))
	return m.String() + "\n" + strings.Map(visible, line) + "\n" + strings.Map(blank, line[:at]) + "^\n"
}

// runeStart returns the start of the rune in which byte i of s stands.
func runeStart(s string, i int) int {
	for n := 0; i > 0 && n < utf8.UTFMax && !utf8.RuneStart(s[i]); n++ {
		i--
	}
	return i
}

func visible(r rune) rune {
	if r != '\t' && (r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0) {
		return utf8.RuneError
	}
	return r
}

// blank keeps tabs, so that the caret stands under its place however wide the reader's tabs are.
func blank(r rune) rune {
	if r == '\t' {
		return r
	}
	return ' '
}
