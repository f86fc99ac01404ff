package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/internal/strictyaml"
)

// maxIncluded bounds the included files of one config.
const maxIncluded = 1024

// Included is what a file named by `include` may hold: what belongs to one owner. All else is of the whole process, so that one file says
// what it opens, and what holds for everybody.
type Included struct {
	Upstreams strictyaml.Blocks[Upstream] `yaml:"upstreams"`
	Services  strictyaml.Blocks[Service]  `yaml:"services"`
}

// include adds what stands in the included files, pattern by pattern, and each pattern's files in the order of their names.
func (l *loader) include() {
	node := strictyaml.Find(l.doc.Root, "include")
	for i, pattern := range l.cfg.Include {
		key := fmt.Sprintf("include[%d]", i)
		at := node
		if node.Kind == yaml.SequenceNode && i < len(node.Content) {
			at = node.Content[i]
		}
		if l.told(key) {
			continue
		}
		for _, file := range l.included(at, key, pattern) {
			l.includeFile(at, key, file)
		}
	}
}

// included returns the files that a pattern stands for, as absolute paths. A pattern may match none; what is no pattern has to be there.
//
// As in a shell a pattern leaves out names that begin with a dot, which are editors' and ConfigMaps' own; and it leaves out folders, the
// file itself, and overlays, which are read with their IDL.
func (l *loader) included(node *yaml.Node, key, pattern string) []string {
	path := pattern
	switch {
	case pattern == "":
		l.Addf(node, key, "is empty")
		return nil
	case !strings.ContainsAny(pattern, `*?[`):
		return []string{filepath.Clean(l.abs(pattern))}
	case !filepath.IsAbs(pattern):
		path = filepath.Join(literal.Replace(l.dir), pattern)
	}
	l.patterns = append(l.patterns, path)
	found, err := filepath.Glob(path)
	if err != nil {
		l.Addf(node, key, "%q is no pattern: %v", pattern, err)
		return nil
	}
	slices.Sort(found)
	return slices.DeleteFunc(found, func(file string) bool {
		info, err := os.Stat(file)
		return strings.HasPrefix(filepath.Base(file), ".") || strings.HasSuffix(file, overlaySuffix) || file == l.file || err == nil && info.IsDir()
	})
}

// literal makes a path a pattern that matches it alone.
var literal = strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`)

// includeFile adds what stands in one file; node and key name it.
func (l *loader) includeFile(node *yaml.Node, key, file string) {
	path := l.relative(file)
	switch _, again := l.sources[path]; {
	case file == l.file:
		l.Addf(node, key, "the file includes itself")
		return
	case again: // two patterns match it
		return
	case len(l.sources) > maxIncluded:
		l.Addf(node, key, "more than %d files are included", maxIncluded)
		return
	}
	data, err := readFile(file)
	if err != nil {
		l.Addf(node, key, "%s: %s", path, unreadable(err))
		l.blameFile(file)
		l.files, l.unread = append(l.files, file), true
		return
	}
	l.parse(path, data)
	l.in(path).addIncluded()
}

// addIncluded adds the upstreams and services of this file to the config.
func (l *loader) addIncluded() {
	mine := fieldNames(reflect.TypeFor[Included]())
	foreign := slices.DeleteFunc(fieldNames(reflect.TypeFor[Config]()), func(name string) bool { return slices.Contains(mine, name) })
	text := fmt.Sprintf("stands in %s only: an included file has upstreams and services", l.main.path)
	var own Included
	l.Decode(l.without(l.doc.Root, "", foreign, text), "", &own)
	for _, b := range own.Upstreams {
		if !l.twice(b, "upstreams.", l.cfg.Upstreams) {
			l.cfg.Upstreams = append(l.cfg.Upstreams, b)
		}
	}
	for _, b := range own.Services {
		if !l.twice(b, "services.", l.cfg.Services) {
			l.cfg.Services = append(l.cfg.Services, b)
		}
	}
}

// twice notes a name that another file has given already.
func (l *loader) twice(b strictyaml.Block, prefix string, known []strictyaml.Block) bool {
	i := slices.IndexFunc(known, func(k strictyaml.Block) bool { return k.Name == b.Name })
	if i >= 0 {
		l.Addf(b.Key, prefix+b.Name, "given twice, first in %s:%d", known[i].File, known[i].Key.Line)
		l.blameFile(l.file) // whose the name is has done nothing wrong
	}
	return i >= 0
}
