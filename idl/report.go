package idl

import (
	"fmt"
	"strings"
)

// maxTextBytes bounds a string that a mistake's text shows: names, paths, a chain of them.
const maxTextBytes = 1000

// Mistake returns a mistake at a place of the file, with its source line. Long strings among args are cut.
func (f *File) Mistake(pos Pos, format string, args ...any) Mistake {
	for i, a := range args {
		if s, ok := a.(string); ok && len(s) > maxTextBytes {
			args[i] = s[:runeStart(s, maxTextBytes)] + "…"
		}
	}
	return Mistake{Pos: pos, Text: fmt.Sprintf(format, args...), Source: f.line(pos.Line)}
}

// Warning is Mistake for what is legal and probably not meant.
func (f *File) Warning(pos Pos, format string, args ...any) Mistake {
	m := f.Mistake(pos, format, args...)
	m.Warning = true
	return m
}

// line returns line n without its end, "" where the file has no such line.
func (f *File) line(n int) string {
	if n < 1 || n > len(f.lines) {
		return ""
	}
	end := len(f.Source)
	if n < len(f.lines) {
		end = int(f.lines[n]) - 1
	}
	return strings.TrimSuffix(f.Source[f.lines[n-1]:end], "\r")
}

// setSource keeps the text and finds where its lines begin.
func (f *File) setSource(src string) {
	f.Source = src
	f.lines = make([]int32, 1, 1+strings.Count(src, "\n"))
	for off := 0; ; {
		i := strings.IndexByte(src[off:], '\n')
		if i < 0 {
			return
		}
		off += i + 1
		f.lines = append(f.lines, int32(off))
	}
}

// reporter collects the mistakes of one file: one for each place, the first that was found.
type reporter struct {
	file     *File
	mistakes Mistakes
}

// full says that no more mistakes are taken.
func (r *reporter) full() bool { return len(r.mistakes) > MaxMistakes }

func (r *reporter) mistake(pos Pos, format string, args ...any) {
	if r.full() || has(r.mistakes, pos) {
		return
	}
	if len(r.mistakes) == MaxMistakes {
		format, args = "%s", []any{tooMany}
	}
	r.mistakes = append(r.mistakes, r.file.Mistake(pos, format, args...))
}

func (r *reporter) warn(pos Pos, format string, args ...any) {
	if len(r.file.Warnings) < MaxMistakes && !has(r.file.Warnings, pos) {
		r.file.Warnings = append(r.file.Warnings, r.file.Warning(pos, format, args...))
	}
}

func has(list []Mistake, pos Pos) bool {
	for i := range list {
		if list[i].Pos.Line == pos.Line && list[i].Pos.Col == pos.Col {
			return true
		}
	}
	return false
}
