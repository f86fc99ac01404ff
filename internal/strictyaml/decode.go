package strictyaml

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// Unmarshaler is a type that decodes itself: a union of a short and a long form. It reports to d and keeps what it holds where the
// node is wrong. To decode its own long form it declares a type without the method: type plain T; d.Decode(node, path, (*plain)(t)).
type Unmarshaler interface {
	DecodeYAML(d *Decoder, node *yaml.Node, path string)
}

// Decoder lays nodes of one file on Go values and collects the mistakes. It is not safe for concurrent use.
//
// Struct fields are named by the tag yaml:"name"; yaml:",inline" puts a struct's keys among those of the struct around it; fields with
// no tag are not keys. Further tags:
//
//	min:"1" max:"1h"           the range of a number, a duration or a size, both ends included
//	oneof:"a,b"                the texts that a string may be
//	later:"c,d" or later:"*"   values that are known and not built yet: a mistake that says so; * is any text beyond oneof
//	built:"no"                 a key that is known and not built yet: the same
//
// Types: bool, int kinds, float64, string, time.Duration ("5s"), Bytes ("64MiB"), slices, maps by string, structs, pointers, any (not
// looked into), and Unmarshalers. ${VAR}, ${VAR:-x} and $$ are expanded inside values, never in keys.
type Decoder struct {
	File   string
	Lookup func(name string) (string, bool) // of ${VAR}; nil: none is set

	mistakes *[]Mistake // shared by the decoders of several files; nil until one is needed
}

// In returns a decoder of another file that notes its mistakes in the same list.
func (d *Decoder) In(file string) Decoder {
	return Decoder{File: file, Lookup: d.Lookup, mistakes: d.found()}
}

// Mistakes returns what was found so far, in the order in which it was found.
func (d *Decoder) Mistakes() []Mistake { return *d.found() }

// Addf notes a mistake of key at node.
func (d *Decoder) Addf(node *yaml.Node, key, format string, args ...any) {
	d.Add(Mistake{File: d.File, Line: node.Line, Col: node.Column, Key: key, Text: fmt.Sprintf(format, args...)})
}

// Add notes a mistake that was found elsewhere, in one line: what the file has in a text may be more.
func (d *Decoder) Add(m Mistake) {
	if strings.ContainsFunc(m.Text, unicode.IsControl) {
		quoted := strconv.Quote(m.Text)
		m.Text = strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
	}
	all := d.found()
	*all = append(*all, m)
}

func (d *Decoder) found() *[]Mistake {
	if d.mistakes == nil {
		d.mistakes = new([]Mistake)
	}
	return d.mistakes
}

// Decode lays node, whose key is path, on what into, a pointer, points to. What node does not name, or names wrongly, stays as it is.
func (d *Decoder) Decode(node *yaml.Node, path string, into any) {
	d.DecodeTagged(node, path, into, "")
}

// DecodeTagged is Decode for a value with the tags of a struct field: the short form of a union.
func (d *Decoder) DecodeTagged(node *yaml.Node, path string, into any, tag reflect.StructTag) {
	d.value(node, path, reflect.ValueOf(into).Elem(), tag)
}

func (d *Decoder) value(node *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	node = target(node)
	if node.Kind == 0 { // its lines could not be read, which Parse has told
		return
	}
	if u, ok := v.Addr().Interface().(Unmarshaler); ok {
		u.DecodeYAML(d, node, path)
		return
	}
	switch v.Type() {
	case reflect.TypeFor[time.Duration]():
		d.duration(node, path, v, tag)
		return
	case reflect.TypeFor[Bytes]():
		d.size(node, path, v, tag)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.block(node, path, v)
	case reflect.Map:
		d.mapping(node, path, v, tag)
	case reflect.Slice:
		d.list(node, path, v, tag)
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		if !v.IsNil() {
			p.Elem().Set(v.Elem())
		}
		d.value(node, path, p.Elem(), tag)
		v.Set(p)
	case reflect.Interface:
	case reflect.Bool:
		d.boolean(node, path, v, tag)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		d.integer(node, path, v, tag)
	case reflect.Float64:
		d.float(node, path, v, tag)
	case reflect.String:
		d.string(node, path, v, tag)
	default:
		panic(fmt.Sprintf("strictyaml: %s: no decoding of %s", path, v.Type()))
	}
}

// Field is one key of a struct: what the manual needs to know of it.
type Field struct {
	Name  string
	Built bool
	Tag   reflect.StructTag
	Type  reflect.Type
	Owner reflect.Type // the struct that declares it
	Go    string       // its Go name in Owner
	Index []int        // for reflect.Value.FieldByIndex on the struct that was asked
}

// Fields returns the keys of struct type t in declaration order, inlined ones at their place.
func Fields(t reflect.Type) []Field {
	var out []Field
	for i := range t.NumField() {
		f := t.Field(i)
		name, ok := f.Tag.Lookup("yaml")
		switch {
		case !ok || name == "-":
		case name == ",inline":
			for _, in := range Fields(f.Type) {
				in.Index = append([]int{i}, in.Index...)
				out = append(out, in)
			}
		default:
			out = append(out, Field{name, f.Tag.Get("built") != "no", f.Tag, f.Type, t, f.Name, []int{i}})
		}
	}
	return out
}

func (d *Decoder) block(node *yaml.Node, path string, v reflect.Value) {
	fields := Fields(v.Type())
	names := make([]string, len(fields))
	byName := make(map[string]Field, len(fields))
	for i, f := range fields {
		names[i], byName[f.Name] = f.Name, f
	}
	d.each(node, path, func(key, val *yaml.Node) {
		at := join(path, key.Value)
		f, ok := byName[key.Value]
		switch {
		case !ok && key.Value == "<<":
			d.Addf(key, at, "merge keys are not taken; write the keys out, or use the block `defaults`")
			return
		case !ok:
			d.Addf(key, at, "unknown key%s", DidYouMean(key.Value, names))
			return
		case !f.Built:
			d.Addf(key, at, "not built yet")
		}
		d.value(val, at, v.FieldByIndex(f.Index), f.Tag)
	})
}

// each calls f for each key of a block, in the order of the text. A block with nothing in it has no keys.
func (d *Decoder) each(node *yaml.Node, path string, f func(key, val *yaml.Node)) {
	if isNull(node) {
		return
	}
	if node.Kind != yaml.MappingNode {
		d.Addf(node, path, "wants a block of keys, has %s", describe(node))
		return
	}
	seen := make(map[string]int, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, val := target(node.Content[i]), target(node.Content[i+1])
		if key.Kind != yaml.ScalarNode {
			d.Addf(node.Content[i], path, "a key has to be a plain text")
			continue
		}
		if line, ok := seen[key.Value]; ok {
			d.Addf(key, join(path, key.Value), "given twice, first in line %d", line)
			continue
		}
		seen[key.Value] = key.Line
		f(key, val)
	}
}

func (d *Decoder) mapping(node *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	d.each(node, path, func(key, val *yaml.Node) {
		elem := reflect.New(v.Type().Elem()).Elem()
		if !v.IsNil() {
			if old := v.MapIndex(reflect.ValueOf(key.Value)); old.IsValid() {
				elem.Set(old)
			}
		} else {
			v.Set(reflect.MakeMap(v.Type()))
		}
		d.value(val, join(path, key.Value), elem, tag)
		v.SetMapIndex(reflect.ValueOf(key.Value), elem)
	})
}

// list replaces what the slice held: lists are not merged.
func (d *Decoder) list(node *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	if isNull(node) {
		v.SetZero()
		return
	}
	if node.Kind != yaml.SequenceNode {
		d.Addf(node, path, "wants a list, has %s", describe(node))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(node.Content), len(node.Content))
	for i, item := range node.Content {
		d.value(item, fmt.Sprintf("%s[%d]", path, i), out.Index(i), tag)
	}
	v.Set(out)
}

// Blocks is a map of named blocks, in the order of the text, whose values are decoded later, when what they stand on is known: the
// defaults of a service, the service of a method.
type Blocks[T any] []Block

// Block is one entry of Blocks.
type Block struct {
	Name       string
	Key, Value *yaml.Node
	File       string // in which they stand
}

// DecodeYAML keeps the nodes.
func (b *Blocks[T]) DecodeYAML(d *Decoder, node *yaml.Node, path string) {
	*b = nil
	d.each(node, path, func(key, val *yaml.Node) { *b = append(*b, Block{key.Value, key, val, d.File}) })
}

// Elem returns what the values are decoded into.
func (Blocks[T]) Elem() reflect.Type { return reflect.TypeFor[T]() }

// Names returns the names in the order of the text.
func (b Blocks[T]) Names() []string {
	names := make([]string, len(b))
	for i, x := range b {
		names[i] = x.Name
	}
	return names
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" }

func describe(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.MappingNode:
		return "a block of keys"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(node):
		return "nothing"
	}
	switch tag := node.ShortTag(); tag {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	default:
		return "a text"
	}
}

func words(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}
