package strictyaml

import (
	"fmt"
	"io"
	"strings"

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
