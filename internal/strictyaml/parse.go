package strictyaml

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// The bounds of a document.
const (
	MaxBytes          = 4 << 20   // of the text: a thousand services fit in a tenth of it
	maxNodes          = 1_000_000 // aliases written out: what decoding visits at most
	maxDepth          = 64        // levels of nesting
	maxSyntaxMistakes = 32        // each costs a parse of the whole text
	maxUnclosedTries  = 4         // for one mistake; each costs a parse as well
)

// Document is a parsed file.
type Document struct {
	File string
	// Root is the outermost block. It is never nil; where nothing could be read it has no keys.
	Root    *yaml.Node
	damaged []span
}

// span is a run of lines that could not be read, from 1, both ends included.
type span struct{ first, last int }

// Damaged tells whether a line from first to last could not be read: what seems to be missing there may only be broken.
func (d *Document) Damaged(first, last int) bool {
	for _, s := range d.damaged {
		if s.first <= last && s.last >= first {
			return true
		}
	}
	return false
}

// Parse makes the node tree of one YAML document.
//
// A mistake of syntax does not hide others: the lines that it spoils (its own, and those that belong to it by their indentation) are
// taken out, and the rest is read again. Text beyond MaxBytes, nested deeper than 64 levels, or with aliases that stand for more than a
// million nodes is refused whole.
func Parse(file string, data []byte) (*Document, []Mistake) {
	p := &parser{doc: &Document{File: file, Root: &yaml.Node{Kind: yaml.MappingNode, Line: 1, Column: 1}}}
	if len(data) > MaxBytes {
		p.add(1, 1, "file", fmt.Sprintf("has %d bytes, which is more than %d", len(data), MaxBytes))
		return p.doc, p.mistakes
	}
	p.lines = strings.SplitAfter(string(data), "\n")
	for range maxSyntaxMistakes {
		root, err := load(p.lines)
		if err == nil {
			p.accept(root)
			return p.doc, p.mistakes
		}
		p.recover(err)
	}
	return p.doc, p.mistakes
}

type parser struct {
	doc      *Document
	lines    []string // what is still to be read; spoilt lines are blank
	mistakes []Mistake
	last     string // the text of the newest syntax mistake
}

func (p *parser) add(line, col int, key, text string) {
	p.mistakes = append(p.mistakes, Mistake{p.doc.File, max(line, 1), max(col, 1), key, text})
}

// accept takes root for the document if it is a block within the bounds.
func (p *parser) accept(root *yaml.Node) {
	if root == nil { // nothing but comments
		return
	}
	count := 0
	if at := tooLarge(root, 0, &count); at != nil {
		p.add(at.Line, at.Column, "yaml", fmt.Sprintf("nested deeper than %d levels, or more than %d values with its aliases written out", maxDepth, maxNodes))
		return
	}
	p.spoil(root)
	switch node := target(root); {
	case node.Kind == yaml.MappingNode:
		p.doc.Root = node
	case !isNull(node):
		p.add(node.Line, node.Column, "yaml", "the document has to be a block of keys, and is "+describe(node))
	}
}

// spoil marks values that seem to be empty because the lines under their key could not be read: they get no kind, and Decode leaves
// what they would be laid on as it is.
func (p *parser) spoil(node *yaml.Node) {
	for _, c := range node.Content {
		if c.Kind == yaml.ScalarNode && c.Value == "" && isNull(c) && p.spoilt(c.Line+1) {
			c.Kind = 0
		}
		p.spoil(c)
	}
}

// spoilt tells whether the first line with a text from line on was blanked.
func (p *parser) spoilt(line int) bool {
	for ; line <= len(p.lines); line++ {
		if p.doc.Damaged(line, line) {
			return true
		}
		if !empty(p.lines[line-1]) {
			return false
		}
	}
	return false
}

// tooLarge returns the node at which a bound is passed, or nil. An alias within its own anchor passes the depth.
func tooLarge(node *yaml.Node, depth int, count *int) *yaml.Node {
	*count++
	if *count > maxNodes || depth > maxDepth {
		return node
	}
	if node.Kind == yaml.AliasNode {
		return tooLarge(node.Alias, depth+1, count)
	}
	for _, c := range node.Content {
		if at := tooLarge(c, depth+1, count); at != nil {
			return at
		}
	}
	return nil
}

// load returns the one document's node, nil where there is none, or what is wrong with the syntax as a *yaml.LoadError.
func load(lines []string) (*yaml.Node, error) {
	loader, err := yaml.NewLoader(strings.NewReader(strings.Join(lines, "")))
	if err != nil {
		return nil, err
	}
	var first, second yaml.Node
	if err := loader.Load(&first); err == io.EOF {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	switch err := loader.Load(&second); {
	case err == nil:
		mark := yaml.Mark{Line: second.Line, Column: second.Column}
		return nil, &yaml.LoadError{Mark: mark, Message: secondDocument}
	case err != io.EOF:
		return nil, err
	}
	if len(first.Content) == 0 {
		return nil, nil
	}
	return first.Content[0], nil
}

const secondDocument = "a second document: one file is one document"

// recover notes the mistake err and blanks the lines that it spoils.
func (p *parser) recover(err error) {
	at, text, whole := p.locate(err)
	if open, told, ok := p.unclosed(at.Line); ok {
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
// without it the text can be read beyond line.
func (p *parser) unclosed(line int) (at yaml.Mark, text string, ok bool) {
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
			next, _, _ := p.locate(without)
			further = next.Line > line
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
