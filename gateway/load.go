package gateway

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/idl"
	"github.com/thriftloom/thriftloom/internal/strictyaml"
	"github.com/thriftloom/thriftloom/layer/deadline"
	"github.com/thriftloom/thriftloom/layer/observe"
	"github.com/thriftloom/thriftloom/layer/retry"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// Loaded is a config file with all that was found in it.
type Loaded struct {
	Config   *Config
	Mistakes []strictyaml.Mistake // sorted
	Warnings []strictyaml.Mistake // what is legal, and probably not meant

	broken  []string
	outside bool
}

// Broken returns the labels of the services in which mistakes were found, all that share a broken IDL among them, and whether there are
// mistakes outside of services.
func (l *Loaded) Broken() (labels []string, outside bool) { return l.broken, l.outside }

// blame finds the services that mistakes stand in, by their keys.
func blame(mistakes []strictyaml.Mistake, labels []string) (broken []string, outside bool) {
	for _, m := range mistakes {
		owner, found := "", false
		for _, label := range labels {
			rest, ok := strings.CutPrefix(m.Key, "services."+label)
			if ok && (rest == "" || rest[0] == '.') && len(label) >= len(owner) { // of labels a and a.b the longer
				owner, found = label, true
			}
		}
		switch {
		case !found:
			outside = true
		case !slices.Contains(broken, owner):
			broken = append(broken, owner)
		}
	}
	return broken, outside
}

// loader reads one config file.
type loader struct {
	strictyaml.Decoder
	path     string
	dir      string // of the file, absolute: what paths are relative to
	doc      *strictyaml.Document
	cfg      *Config
	warnings []strictyaml.Mistake
	idls     map[string]*schema.Document
	files    []string
	serves   map[string]string // address to the key that opens it
}

// Load reads the config at path. env looks variables up; nil means that none is set. It opens no port and dials nothing.
func Load(path string, env func(string) (string, bool)) *Loaded {
	data, err := readFile(path)
	if err != nil {
		text := cause(err).Error()
		if errors.Is(err, os.ErrNotExist) {
			text = "no such file"
		}
		return &Loaded{Mistakes: []strictyaml.Mistake{{File: path, Line: 1, Col: 1, Key: "file", Text: text}}, outside: true}
	}
	return loadBytes(path, data, env)
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

func loadBytes(path string, data []byte, env func(string) (string, bool)) *Loaded {
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	l := &loader{
		Decoder: strictyaml.Decoder{File: path, Lookup: env}, path: path, dir: filepath.Dir(abs), cfg: newConfig(),
		idls: map[string]*schema.Document{}, files: []string{abs}, serves: map[string]string{},
	}
	var mistakes []strictyaml.Mistake
	l.doc, mistakes = strictyaml.Parse(path, data)
	for _, m := range mistakes {
		l.Add(m)
	}
	l.Decode(l.doc.Root, "", l.cfg)
	l.resolve(env)
	broken, outside := blame(l.Mistakes(), l.cfg.Services.Names()) // before Sort, which tells a mistake of a shared IDL once
	return &Loaded{
		Config: l.cfg, Mistakes: strictyaml.Sort(l.Mistakes()), Warnings: strictyaml.Sort(l.warnings), broken: broken, outside: outside,
	}
}

// newConfig returns the config of an empty file.
func newConfig() *Config {
	return &Config{
		Defaults:        newDefaults(),
		Logs:            Logs{Config: observe.Default(), Level: "info"},
		Drain:           Drain{Timeout: 10 * time.Second},
		MaxMessageBytes: wire.DefaultMessageBytes, MaxBufferedBytes: 256 << 20,
	}
}

func newDefaults() Defaults {
	return Defaults{Cluster: cluster.Default(), Policies: Policies{Deadline: deadline.Default(), Retry: retry.Default()}}
}

func newUpstream() Upstream {
	return Upstream{Run: Run{Replicas: Replicas{N: 1}, StopTimeout: 10 * time.Second, StartTimeout: 10 * time.Second}, Protocol: "binary"}
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
	doc, err := schema.Load(path, schema.Options{IncludeDirs: dirs})
	var mistakes idl.Mistakes
	switch {
	case errors.As(err, &mistakes):
		for _, m := range mistakes {
			l.Add(strictyaml.Mistake{File: l.relative(m.Pos.File), Line: m.Pos.Line, Col: m.Pos.Col, Key: key, Text: m.Text})
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
		if !slices.Contains(l.files, f) {
			l.files = append(l.files, f)
		}
	}
	return doc
}

// relative names a file as the config's own path was named: relative to the working directory where that is.
func (l *loader) relative(file string) string {
	if filepath.IsAbs(l.path) || !filepath.IsAbs(file) {
		return file
	}
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, file); err == nil {
			return rel
		}
	}
	return file
}
