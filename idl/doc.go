package idl

import "strings"

// docText returns the text of a /** */ comment: without its ends, the stars at the start of each line, the indent that all lines share,
// and empty lines at both ends.
func docText(comment string) string {
	if comment == "" {
		return ""
	}
	text := strings.TrimSuffix(strings.TrimPrefix(comment, "/**"), "*/")
	if strings.IndexByte(text, '\n') < 0 {
		return strings.TrimSpace(text)
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		line = strings.TrimRight(line, " \t\r")
		if bare := strings.TrimLeft(line, " \t"); strings.HasPrefix(bare, "*") {
			line = strings.TrimPrefix(bare[1:], " ")
		}
		lines[i] = line
	}
	lines[0] = strings.TrimSpace(lines[0])
	indent := sharedIndent(lines[1:])
	for i := range lines[1:] {
		lines[i+1] = lines[i+1][min(indent, len(lines[i+1])):]
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

func sharedIndent(lines []string) int {
	least := -1
	for _, line := range lines {
		if line == "" {
			continue
		}
		if n := len(line) - len(strings.TrimLeft(line, " \t")); least < 0 || n < least {
			least = n
		}
	}
	return max(least, 0)
}
