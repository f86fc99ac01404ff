// Package strictyaml decodes YAML into Go structs strictly: every mistake is found in one pass, each with its place and its key.
//
// Parse makes a node tree even where lines are broken; a Decoder lays nodes on top of what a Go value already holds, so an absent key
// keeps its default and a written 0 is 0, and a struct that is decoded several times layers the more specific over the less.
package strictyaml

import (
	"cmp"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/idl"
)

// Mistake is one thing that is wrong, or in doubt, in a file.
type Mistake struct {
	File      string
	Line, Col int    // from 1
	Key       string // services.Users.timeout; "yaml" where the text is not YAML, "file" where it cannot be read
	Text      string // one line, lower case
}

// String returns PATH:LINE:COL: KEY: text.
func (m Mistake) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s", m.File, m.Line, m.Col, m.Key, m.Text)
}

// Sort orders mistakes by file, place and key, and drops what is told twice: the same text at the same place.
func Sort(mistakes []Mistake) []Mistake {
	slices.SortStableFunc(mistakes, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col),
			cmp.Compare(a.Text, b.Text), cmp.Compare(a.Key, b.Key))
	})
	return slices.CompactFunc(mistakes, func(a, b Mistake) bool {
		b.Key = a.Key
		return a == b
	})
}

// Find returns the value at keys below node, or nil. It follows aliases.
func Find(node *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		node = entry(node, key)
	}
	return target(node)
}

// At returns the value at keys below node, or the nearest to it that is there: what a mistake about those keys points at.
func At(node *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		next := entry(node, key)
		if next == nil {
			break
		}
		node = next
	}
	return target(node)
}

func entry(node *yaml.Node, key string) *yaml.Node {
	node = target(node)
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

// target returns what an alias stands for, and any other node as it is.
func target(node *yaml.Node) *yaml.Node {
	for node != nil && node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// DidYouMean returns `; did you mean "x"?` for the candidate that name is most likely a slip of, or "" if none is near.
func DidYouMean(name string, candidates []string) string {
	if near := idl.Nearest(name, slices.Values(candidates)); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}
