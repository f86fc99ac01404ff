package schema

import (
	"slices"
	"strings"
)

// maxLookups bounds the steps of one look-up: included files whose names have dots (a.thrift and a.b.thrift) can be tried in many ways.
const maxLookups = 256

// scope is what a file sees under one name of an include: more than one document where two files have the same base name.
type scope struct {
	docs   []*Document
	broken bool // an include of that name could not be loaded, or has mistakes
}

// lookup finds a name as this document's file sees it, or else a type by the Name that it carries here ("shared.User" of a file that
// is included through another one).
func (d *Document) lookup(name string) any {
	if found := d.visible(name); found != nil {
		return found
	}
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return nil
	}
	for _, inner := range d.closure()[1:] {
		if base(inner.Path) == name[:i] {
			if found := inner.names[name[i+1:]]; found != nil {
				return found
			}
		}
	}
	return nil
}

// visible finds a name as this document's file may use it: its own, or of an include behind the include's name and a dot, and so on.
func (d *Document) visible(name string) any {
	steps := maxLookups
	return d.find(name, &steps)
}

func (d *Document) find(name string, steps *int) any {
	if found := d.names[name]; found != nil {
		return found
	}
	for i := strings.IndexByte(name, '.'); i >= 0; i = nextDot(name, i) {
		s := d.includes[name[:i]]
		if s == nil {
			continue
		}
		for _, inner := range slices.Backward(s.docs) { // the last of a name wins, as in ThriftPy
			if *steps--; *steps < 0 {
				return nil
			}
			if found := inner.find(name[i+1:], steps); found != nil {
				return found
			}
		}
	}
	return nil
}

func nextDot(s string, i int) int {
	if j := strings.IndexByte(s[i+1:], '.'); j >= 0 {
		return i + 1 + j
	}
	return -1
}

// excused says whether name may be unknown only because an include is broken, which is a mistake of its own.
func (d *Document) excused(name string) bool {
	for i := strings.IndexByte(name, '.'); i >= 0; i = nextDot(name, i) {
		if s := d.includes[name[:i]]; s != nil && s.broken {
			return true
		}
	}
	return false
}

// closure returns this document and all that it includes, each once, this one first.
func (d *Document) closure() []*Document {
	list, seen := []*Document{d}, map[*Document]bool{d: true}
	for i := 0; i < len(list); i++ {
		for _, inner := range list[i].Includes {
			if !seen[inner] {
				seen[inner] = true
				list = append(list, inner)
			}
		}
	}
	return list
}

// AllServices returns the services of this file, then those of its includes, each once.
func (d *Document) AllServices() []*Service {
	var list []*Service
	for _, x := range d.closure() {
		list = append(list, x.Services...)
	}
	return list
}
