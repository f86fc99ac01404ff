package gateway

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/idl"
	"github.com/thriftloom/thriftloom/internal/strictyaml"
	"github.com/thriftloom/thriftloom/schema"
)

// overlaySuffix ends the name of a file of policies beside an IDL: users.policy.yaml is beside users.thrift.
const overlaySuffix = ".policy.yaml"

// wiring is the keys of a service that are no policies: what it is, and where its calls come from and go to.
var wiring = []string{"service", "idl", "listen", "upstream"}

// layer is one of the places where a service's policies stand.
type layer struct {
	file string // as mistakes name it
	node *yaml.Node
}

// layers are those places, the weakest first: annotations of the IDL, the overlay beside it, the section of the config.
type layers []layer

// find returns the value at keys in the strongest place that has it, and the file; nil where none has.
func (ls layers) find(keys ...string) (node *yaml.Node, file string) {
	for _, ly := range slices.Backward(ls) {
		if node := strictyaml.Find(ly.node, keys...); node != nil {
			return node, ly.file
		}
	}
	return nil, ""
}

// layers collects the places of a service whose IDL is known.
func (l *loader) layers(b strictyaml.Block, key string, s *Service, svc *schema.Service) layers {
	section := layer{b.File, b.Value}
	if svc == nil {
		return layers{section}
	}
	ls := layers{section}
	if overlay := l.overlay(s.IDL, key); overlay.node != nil {
		ls = layers{overlay, section}
	}
	if node, _ := ls.find("annotations"); node != nil && node.Value == "all" {
		ls = append(l.annotations(svc), ls...)
	}
	return ls
}

// own reports whether the section is the only place.
func (ls layers) own() bool { return len(ls) == 1 }

// settle lays the places of a service over the defaults, and returns the blocks of its methods in the same order.
func (l *loader) settle(b strictyaml.Block, key string, ls layers) (s Service, methods []strictyaml.Block) {
	s = l.newService(b.Name)
	for i, ly := range ls {
		s.Methods = nil
		d := l.In(ly.file)
		if i == len(ls)-1 { // the section, whose mistakes are told already
			d = strictyaml.Decoder{File: ly.file, Lookup: l.Lookup}
		}
		d.Decode(ly.node, key, &s)
		methods = append(methods, s.Methods...)
	}
	return s, methods
}

// overlay reads the file of policies beside an IDL; its node is nil where there is none, or nothing of it could be read.
func (l *loader) overlay(i IDL, key string) layer {
	path := overlayPath(l.abs(i.Path))
	data, err := readFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return layer{}
	}
	l.files = with(l.files, path)
	at := l.noting(l.relative(path))
	if err != nil {
		at.Add(strictyaml.Mistake{File: at.File, Line: 1, Col: 1, Key: key, Text: cause(err).Error()})
		return layer{}
	}
	doc, mistakes := strictyaml.Parse(at.File, data)
	for _, m := range mistakes {
		m.Key = key // it spoils this service; others that use the IDL say so themselves
		at.Add(m)
	}
	return layer{at.File, at.without(doc.Root, key, wiring, "stands in the section of the config: what is beside the IDL has policies")}
}

// overlayPath returns where the overlay of an IDL is.
func overlayPath(idl string) string {
	return strings.TrimSuffix(idl, filepath.Ext(idl)) + overlaySuffix
}

// without returns a block without the keys that may not stand there, each of which is a mistake.
func (l *loader) without(node *yaml.Node, path string, foreign []string, text string) *yaml.Node {
	rest := *node
	rest.Content = nil
	for i := 0; i+1 < len(node.Content); i += 2 {
		name := node.Content[i]
		if slices.Contains(foreign, name.Value) {
			l.Addf(name, strings.TrimPrefix(path+"."+name.Value, "."), "%s", text)
			continue
		}
		rest.Content = append(rest.Content, name, node.Content[i+1])
	}
	return &rest
}

// noting returns a loader whose mistakes name another file, and for which all else is the same.
func (l *loader) noting(file string) *loader {
	return &loader{Decoder: l.In(file), source: l.source, gathered: l.gathered}
}

// annotations makes the annotations of a service and its methods blocks as they would stand in a config, one for each IDL file that has
// some: cache.ttl = "30s" is the key ttl in the block cache. Annotations that begin with no policy's name are somebody else's.
func (l *loader) annotations(svc *schema.Service) layers {
	foreign := append(slices.Clone(wiring), "methods", "annotations")
	ls := layers{{svc.Pos.File, annotationBlock(svc.Annotations, svc.Pos, reflect.TypeFor[Service](), foreign)}}
	for _, m := range svc.Methods {
		block := annotationBlock(m.Annotations, m.Pos, reflect.TypeFor[Method](), nil)
		if len(block.Content) == 0 {
			continue
		}
		i := slices.IndexFunc(ls, func(ly layer) bool { return ly.file == m.Pos.File }) // inherited ones may stand elsewhere
		if i < 0 {
			i, ls = len(ls), append(ls, layer{m.Pos.File, newBlock(m.Pos)})
		}
		methods := strictyaml.Find(ls[i].node, "methods")
		if methods == nil {
			methods = newBlock(m.Pos)
			put(ls[i].node, "methods", methods)
		}
		put(methods, m.Name, block)
	}
	for i := range ls {
		ls[i].file = l.relative(ls[i].file)
	}
	return ls
}

func annotationBlock(all schema.Annotations, pos idl.Pos, keys reflect.Type, foreign []string) *yaml.Node {
	known := fieldNames(keys)
	block := newBlock(pos)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		path := strings.Split(name, ".")
		if !slices.Contains(known, path[0]) || slices.Contains(foreign, path[0]) {
			continue
		}
		at := block
		for _, part := range path[:len(path)-1] {
			next := strictyaml.Find(at, part)
			if next == nil || next.Kind != yaml.MappingNode {
				next = newBlock(pos)
				put(at, part, next)
			}
			at = next
		}
		value := all[name]
		if value == "" {
			value = "true" // (idempotent) says that it is
		}
		put(at, path[len(path)-1], &yaml.Node{Kind: yaml.ScalarNode, Value: value, Line: pos.Line, Column: pos.Col})
	}
	return block
}

func newBlock(pos idl.Pos) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: pos.Line, Column: pos.Col}
}

func put(block *yaml.Node, key string, value *yaml.Node) {
	block.Content = append(block.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key, Line: value.Line, Column: value.Column}, value)
}

// fieldNames returns the keys of a struct of the config.
func fieldNames(t reflect.Type) (names []string) {
	for _, f := range strictyaml.Fields(t) {
		names = append(names, f.Name)
	}
	return names
}
