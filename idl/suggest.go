package idl

import (
	"iter"
	"slices"
	"strings"
)

// Bounds of Nearest, so that a mistake in a hostile file costs no more than one in a usual file.
const (
	maxSuggestBytes = 64     // longer words have no suggestion
	maxCandidates   = 20_000 // names looked at, at most
	maxEdits        = 3      // from the word to what was meant; fewer in a short word: one in three letters
)

// Nearest returns the candidate that word was most likely meant to be, or "" if none is near. Letter case counts for nothing; a swap of
// two neighbours counts as one edit. Of equally near ones the first wins.
func Nearest(word string, candidates iter.Seq[string]) string {
	if len(word) > maxSuggestBytes {
		return ""
	}
	low, best, found, seen := strings.ToLower(word), min((len(word)+1)/3, maxEdits)+1, "", 0
	for c := range candidates {
		if seen++; seen > maxCandidates {
			break
		}
		if len(c) > len(word)+best || len(word) > len(c)+best {
			continue
		}
		if d := distance(low, strings.ToLower(c)); d < best {
			best, found = d, c
		}
	}
	return found
}

// DidYouMean returns `; did you mean "found"?`, or "" where found is "": the end of a mistake's text.
func DidYouMean(found string) string {
	if found == "" {
		return ""
	}
	return "; did you mean " + quote(found) + "?"
}

// distance counts the edits (insert, delete, replace, swap of neighbours) from a to b.
// Source: Boytsov, "Indexing Methods for Approximate Dictionary Searching", 2011 (optimal string alignment).
func distance(a, b string) int {
	var rows [3][2*maxSuggestBytes + 2]int
	if len(b) >= len(rows[0]) {
		return len(b)
	}
	before, last, row := rows[0][:len(b)+1], rows[1][:len(b)+1], rows[2][:len(b)+1]
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

func nearest(word string, candidates []string) string {
	return Nearest(word, slices.Values(candidates))
}

// quote returns s in quotes for a mistake's text: on one line, and cut where it is long.
func quote(s string) string {
	const most = 48
	if len(s) > most {
		s = s[:runeStart(s, most)] + "…"
	}
	return `"` + strings.Map(visible, strings.NewReplacer("\n", " ", "\t", " ").Replace(s)) + `"`
}
