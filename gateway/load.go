package gateway

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/idl"
	"github.com/thriftloom/thriftloom/internal/keyring"
	"github.com/thriftloom/thriftloom/internal/strictyaml"
	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/layer/deadline"
	"github.com/thriftloom/thriftloom/layer/observe"
	"github.com/thriftloom/thriftloom/layer/priority"
	"github.com/thriftloom/thriftloom/layer/required"
	"github.com/thriftloom/thriftloom/layer/retry"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// Loaded is a config file with all that was found in it.
type Loaded struct {
	Config   *Config
	Mistakes []strictyaml.Mistake // sorted
	Warnings []strictyaml.Mistake // what is legal, and probably not meant

	blamed blamed
	main   *source // nil where it could not be read
}

// source is one file of the config. Immutable.
type source struct {
	path string // as mistakes name it
	file string // the same, absolute
	dir  string // its folder, absolute: what paths in it are relative to
	doc  *strictyaml.Document
}

// gathered is what a loader has found so far, in all files.
type gathered struct {
	cfg      *Config
	main     *source
	sources  map[string]*source // by path
	ofFile   map[int]string     // number of a mistake to the included file that it is of, where its key and place say something else
	warnings []strictyaml.Mistake
	idls     map[string]*schema.Document
	files    []string
	secrets  []string                 // of files: those of certificates, keys and tokens
	holds    func(keyring.Files) bool // whether a gateway runs that has a good version of them; may be nil
	patterns []string                 // absolute: of include, and of what stands beside IDLs
	unread   bool                     // an included file could not be read
	serves   map[string]string        // address to the key that opens it
}

// loader reads sections of one file of the config: mistakes name it, and paths are relative to it.
type loader struct {
	strictyaml.Decoder
	*source
	*gathered
}

// in returns the loader of another file of the config.
func (l *loader) in(path string) *loader {
	return &loader{Decoder: l.In(path), source: l.sources[path], gathered: l.gathered}
}

// parse adds a file to the config.
func (l *loader) parse(path string, data []byte) *source {
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	doc, mistakes := strictyaml.Parse(path, data)
	for _, m := range mistakes {
		l.Add(m)
	}
	s := &source{path: path, file: abs, dir: filepath.Dir(abs), doc: doc}
	l.sources[path], l.files = s, append(l.files, abs)
	return s
}

// damaged reports whether lines of the config could not be read: what seems to be missing may stand in them.
func (l *loader) damaged() bool {
	if l.unread {
		return true
	}
	for _, s := range l.sources {
		if s.doc.Damaged(1, 1<<30) {
			return true
		}
	}
	return false
}

// Load reads the config at path. env looks variables up; nil means that none is set. It opens no port and dials nothing.
func Load(path string, env func(string) (string, bool)) *Loaded { return load(path, env, nil) }

// load is Load for a gateway that may have a good version of certificates already.
func load(path string, env func(string) (string, bool), holds func(keyring.Files) bool) *Loaded {
	data, err := readFile(path)
	if err != nil {
		return &Loaded{Mistakes: []strictyaml.Mistake{{File: path, Line: 1, Col: 1, Key: "file", Text: unreadable(err)}}, blamed: blamed{outside: true}}
	}
	return loadBytes(path, data, env, holds)
}

// readFile reads no more than shows that a file is too long for Parse.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, strictyaml.MaxBytes+1))
}

// unreadable says why a file could not be read, without its name.
func unreadable(err error) string {
	if errors.Is(err, os.ErrNotExist) {
		return "no such file"
	}
	return cause(err).Error()
}

func loadBytes(path string, data []byte, env func(string) (string, bool), holds func(keyring.Files) bool) *Loaded {
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	l := &loader{Decoder: strictyaml.Decoder{File: path, Lookup: env}, gathered: &gathered{
		cfg: newConfig(), sources: map[string]*source{}, ofFile: map[int]string{},
		idls: map[string]*schema.Document{}, serves: map[string]string{}, holds: holds,
	}}
	l.main = l.parse(path, data)
	l.source = l.main
	l.Decode(l.doc.Root, "", l.cfg)
	l.include()
	l.resolve(env)
	blamed := l.blame() // before Sort, which tells a mistake of a shared IDL once
	l.cfg.Resolved.warnings = strictyaml.Sort(l.warnings)
	return &Loaded{
		Config: l.cfg, Mistakes: strictyaml.Sort(l.Mistakes()), Warnings: l.cfg.Resolved.warnings, blamed: blamed, main: l.main,
	}
}

// newConfig returns the config of an empty file.
func newConfig() *Config {
	return &Config{
		Defaults:        newDefaults(),
		Logs:            Logs{Config: observe.Default(), Level: "info"},
		Drain:           Drain{Timeout: 10 * time.Second},
		MaxMessageBytes: wire.DefaultMessageBytes, MaxBufferedBytes: 256 << 20,
		Stores: Stores{Near: 64 << 20, Patience: cache.DefaultPatience},
	}
}

func newDefaults() Defaults {
	return Defaults{Cluster: cluster.Default(), Balance: Balance{balance.Default()}, Policies: Policies{
		Deadline: deadline.Default(), Retry: retry.Default(), RequiredFields: required.Off, Mirror: newMirror(), Faults: newFaults(), Subset: newSubset(), Priority: Priority{priority.Default()},
	}}
}

func newHealth() Health { return Health{Interval: 10 * time.Second, Timeout: time.Second} }

func newUpstream() Upstream {
	return Upstream{Run: Run{Replicas: Replicas{N: 1}, StopTimeout: 10 * time.Second, StartTimeout: 10 * time.Second}, Protocol: "binary", Consul: newConsul(), HoldEmpty: 30 * time.Second}
}

// warnf notes what is legal and probably not meant.
func (l *loader) warnf(node *yaml.Node, key, format string, args ...any) {
	l.warnings = append(l.warnings, strictyaml.Mistake{
		File: l.path, Line: node.Line, Col: node.Column, Key: key, Text: fmt.Sprintf(format, args...),
	})
}

// at returns the node at keys, or the nearest to it.
func (l *loader) at(keys ...string) *yaml.Node { return strictyaml.At(l.doc.Root, keys...) }

// abs makes a path of the file absolute.
func (l *loader) abs(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(l.dir, path)
}

// loadIDL returns the IDL of a service, nil where it has mistakes: those are noted under the service's key.
func (l *loader) loadIDL(i IDL, node *yaml.Node, key string) *schema.Document {
	path := l.abs(i.Path)
	dirs := []string{}
	if len(i.Include) == 0 {
		dirs = append(dirs, l.dir) // not the folder that the gateway was started in
	}
	for _, d := range i.Include {
		dirs = append(dirs, l.abs(d))
	}
	cached := strings.Join(append([]string{path}, dirs...), "\x00")
	if doc, ok := l.idls[cached]; ok && doc != nil {
		return doc
	}
	l.files = with(l.files, path)
	for _, dir := range append([]string{filepath.Dir(path)}, dirs...) { // a file that an IDL has begun to include may come later
		l.patterns = with(l.patterns, filepath.Join(literal.Replace(dir), "*.thrift"))
	}
	l.patterns = with(l.patterns, literal.Replace(overlayPath(path)))
	doc, err := schema.Load(path, schema.Options{IncludeDirs: dirs})
	var mistakes idl.Mistakes
	switch {
	case errors.As(err, &mistakes):
		for _, m := range mistakes {
			l.Add(strictyaml.Mistake{File: l.relative(m.Pos.File), Line: m.Pos.Line, Col: m.Pos.Col, Key: key, Text: m.Text})
			l.files = with(l.files, m.Pos.File)
		}
		return nil
	case errors.Is(err, os.ErrNotExist):
		l.Addf(node, key, "no such file: %s", path)
		return nil
	case err != nil:
		l.Addf(node, key, "%v", err)
		return nil
	}
	for _, m := range doc.Warnings {
		l.warnings = append(l.warnings, strictyaml.Mistake{File: l.relative(m.Pos.File), Line: m.Pos.Line, Col: m.Pos.Col, Key: key, Text: m.Text})
	}
	l.idls[cached] = doc
	for _, f := range doc.Files {
		l.files = with(l.files, f)
	}
	return doc
}

// relative names a file as the config's own path was named: relative to the working directory where that is.
func (l *loader) relative(file string) string { return relativeTo(l.main.path, file) }

func relativeTo(main, file string) string {
	if filepath.IsAbs(main) || !filepath.IsAbs(file) {
		return file
	}
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, file); err == nil {
			return rel
		}
	}
	return file
}
