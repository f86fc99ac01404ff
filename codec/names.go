package codec

import (
	"strings"
)

// SameName reports whether two names are the same but for case and underscores: user_id, userId and UserID.
func SameName(a, b string) bool { return fold(a) == fold(b) }

func fold(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// DidYouMean returns `; did you mean "age"?` for the one of names that is nearest to name, "" where none is near.
func DidYouMean(name string, names []string) string {
	best, least := "", len(name)/3+2 // so many typing mistakes are not near any more
	for _, n := range names {
		if d := distance(fold(name), fold(n)); d < least {
			best, least = n, d
		}
	}
	if best == "" {
		return ""
	}
	return `; did you mean "` + best + `"?`
}

// distance counts the bytes to insert, delete or replace to make b of a (Levenshtein's distance). Names longer than 64 bytes are cut.
func distance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
