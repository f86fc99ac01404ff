package strictyaml

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// recover notes the mistake err and blanks the lines that it spoils.
func (p *parser) recover(err error) {
	at, text, whole := p.locate(err)
	if open, told, ok := p.unclosed(at.Line, text); ok {
		at, text, whole = open, told, false
	}
	line := min(max(at.Line, 1), len(p.lines))
	for line > 1 && strings.TrimSpace(p.lines[line-1]) == "" { // the end of the file: the last line with a text is what spoils it
		line--
	}
	if !(p.follows(line) && text == p.last) {
		p.add(at.Line, at.Column, "yaml", text)
		p.last = text
	}
	last := p.extent(line, whole)
	if text == secondDocument {
		last = len(p.lines)
	}
	for i := line; i <= last; i++ {
		p.lines[i-1] = blank(p.lines[i-1])
	}
	p.doc.damaged = append(p.doc.damaged, span{line, last})
}

// locate returns where err is, what it says, and whether the lines beside it are spoilt too: those of a wrong indentation are.
func (p *parser) locate(err error) (at yaml.Mark, text string, whole bool) {
	var e *yaml.LoadError
	if !errors.As(err, &e) {
		return yaml.Mark{Line: 1, Column: 1}, err.Error(), true
	}
	if e.Mark.Line == 0 {
		return p.badRune(), e.Message, false
	}
	at, text = e.Mark, e.Message
	if e.ContextMsg == "" {
		return at, text, false
	}
	text += " " + e.ContextMsg
	block := strings.Contains(e.ContextMsg, "block")
	// What is not closed is noticed at some later line; its beginning is where to look.
	unclosed := strings.Contains(e.ContextMsg, "flow") || strings.Contains(e.ContextMsg, "quoted") || strings.Contains(e.ContextMsg, "simple key")
	if unclosed && e.ContextMark.Line > 0 && e.ContextMark.Line < e.Mark.Line {
		at = e.ContextMark
	}
	return at, text, block
}

// badRune finds the first character that no YAML may have.
func (p *parser) badRune() yaml.Mark {
	for i, line := range p.lines {
		for j, r := range line {
			if r == utf8.RuneError || r == 0x7f || r < ' ' && !strings.ContainsRune("\t\r\n", r) {
				return yaml.Mark{Line: i + 1, Column: utf8.RuneCountInString(line[:j]) + 1}
			}
		}
	}
	return yaml.Mark{Line: 1, Column: 1}
}

// unclosed looks above line for a quote or bracket that is not closed on its line, and takes it for the cause of the mistake if
// without it the text can be read further: what is told of line, told, is gone.
func (p *parser) unclosed(line int, told string) (at yaml.Mark, text string, ok bool) {
	tries := maxUnclosedTries
	for i := range min(line-1, len(p.lines)) {
		opens, col := opening(p.lines[i])
		if col == 0 {
			continue
		}
		if tries--; tries < 0 {
			break
		}
		kept := p.lines[i]
		p.lines[i] = blank(kept)
		_, without := load(p.lines)
		further := without == nil
		if !further {
			next, other, _ := p.locate(without)
			further = next.Line > line || next.Line == line && other != told
		}
		p.lines[i] = kept
		if further {
			return yaml.Mark{Line: i + 1, Column: col}, fmt.Sprintf("what %c begins here has no end on its line", opens), true
		}
	}
	return at, "", false
}

// opening returns the quote that begins a text, or the bracket, that has no end on line, and its column; 0 if there is none.
func opening(line string) (opens rune, col int) {
	type open struct {
		what rune
		col  int
	}
	var stack []open
	before, quote, escaped, comment, n := ' ', rune(0), false, false, 0
	for _, r := range line {
		n++
		begins := strings.ContainsRune(" \t[{,", before)
		switch {
		case escaped:
			escaped = false
		case quote == '"' && r == '\\':
			escaped = true
		case quote != 0 && r != quote:
		case quote != 0:
			quote, stack = 0, stack[:len(stack)-1]
		case comment || begins && r == '#':
			comment = true
		case begins && (r == '"' || r == '\''):
			quote = r
			stack = append(stack, open{r, n})
		case begins && (r == '[' || r == '{'):
			stack = append(stack, open{r, n})
		case (r == ']' || r == '}') && len(stack) > 0:
			stack = stack[:len(stack)-1]
		}
		before = r
	}
	if len(stack) == 0 {
		return 0, 0
	}
	return stack[len(stack)-1].what, stack[len(stack)-1].col
}

// follows tells whether nothing that can be read stands between line and the spoilt lines above it.
func (p *parser) follows(line int) bool {
	for i := line - 1; i >= 1; i-- {
		if p.doc.Damaged(i, i) {
			return true
		}
		if !empty(p.lines[i-1]) {
			return false
		}
	}
	return false
}

// extent returns the last line that belongs to line by its indentation; whole takes in lines of the same indentation.
func (p *parser) extent(line int, whole bool) int {
	indent, last := indentation(p.lines[line-1]), line
	for i := line + 1; i <= len(p.lines); i++ {
		if empty(p.lines[i-1]) {
			continue
		}
		n := indentation(p.lines[i-1])
		if n < indent || n == indent && !whole || n == 0 {
			break
		}
		last = i
	}
	return last
}

func indentation(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }

func empty(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || line[0] == '#'
}

// blank keeps the end of line, so that every other line keeps its number.
func blank(line string) string {
	if strings.HasSuffix(line, "\n") {
		return "\n"
	}
	return ""
}
