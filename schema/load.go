package schema

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/thriftloom/thriftloom/idl"
)

// Bounds of one load. A file past them is a mistake at its include.
const (
	maxFiles      = 1024
	maxIncludes   = 8192     // include headers in all files together
	maxTotalBytes = 64 << 20 // of all files together
)

// Options say where included files are looked for.
type Options struct {
	// IncludeDirs are looked in, in this order, behind the folder of the including file. With none the working directory is, as in
	// ThriftPy.
	IncludeDirs []string
	// FS holds every file, root and IncludeDirs included, where it is set; else they are the operating system's.
	FS fs.FS
}

// Load reads and links an IDL file and all that it includes.
//
// An error is either idl.Mistakes, every mistake of every file in order of file and position, or says that the file at path itself
// could not be read. What is legal and probably not meant is in Document.Warnings.
func Load(path string, opts Options) (*Document, error) {
	l := newLoader(opts)
	src, err := l.read(path)
	if err != nil {
		return nil, err
	}
	return l.load(path, path, src)
}

// LoadBytes is Load for text that is already here. name stands in positions ("" is "idl"), and its folder is where includes are looked
// for first.
func LoadBytes(name string, src []byte, opts Options) (*Document, error) {
	return newLoader(opts).load(name, "", src)
}

// MustParse links an IDL without includes, and panics on a mistake. For tests and IDLs that are constants of a program.
func MustParse(src string) *Document {
	d, err := LoadBytes("idl", []byte(src), Options{FS: noFiles{}})
	if err != nil {
		panic(err)
	}
	return d
}

type noFiles struct{}

func (noFiles) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// loader is one Load.
type loader struct {
	opts     Options
	docs     map[string]*Document // by key; nil while a file is being loaded
	chain    []string             // the files being loaded, outermost first, as positions show them
	keys     []string             // their keys
	mistakes idl.Mistakes
	includes int
	bytes    int
	weight   int // of all constant values so far
	methods  int // of all services so far
}

func newLoader(opts Options) *loader { return &loader{opts: opts, docs: map[string]*Document{}} }

// full says that more mistakes would not be shown.
func (l *loader) full() bool { return len(l.mistakes) > idl.MaxMistakes }

func (l *loader) load(name, path string, src []byte) (*Document, error) {
	if name == "" {
		name = "idl"
	}
	d := l.file(name, path, "", src)
	if len(l.mistakes) > 0 {
		return nil, l.mistakes.Sorted()
	}
	return d, nil
}

// file loads one file, after all that it includes. prefix stands before the names of its types. path is "" for text that is no file.
func (l *loader) file(name, path, prefix string, src []byte) *Document {
	key := l.key(name)
	l.docs[key] = nil
	l.chain, l.keys = append(l.chain, name), append(l.keys, key)
	l.bytes += len(src)
	known := len(l.mistakes)

	tree, mistakes := idl.Parse(name, src)
	l.mistakes = append(l.mistakes, mistakes...)
	d := &Document{Path: path, Namespaces: map[string]string{}, includes: map[string]*scope{}}
	for _, n := range tree.Namespaces {
		d.Namespaces[n.Scope] = n.Name
	}
	d.Warnings = tree.Warnings
	if path != "" {
		d.Files = []string{key}
	}
	for _, in := range tree.Includes {
		l.include(d, tree, in)
	}
	if !tree.Incomplete {
		newLinker(l, d, tree, prefix).link()
	}
	d.partial = len(l.mistakes) > known
	l.finish(d)

	l.chain, l.keys = l.chain[:len(l.chain)-1], l.keys[:len(l.keys)-1]
	l.docs[key] = d
	return d
}

// finish adds what a document has through its includes.
func (l *loader) finish(d *Document) {
	files := map[string]bool{}
	for _, inner := range d.Includes {
		d.Warnings = append(d.Warnings, inner.Warnings...)
		for _, f := range inner.Files {
			files[f] = true
		}
	}
	d.Files = append(d.Files, slices.Sorted(maps.Keys(files))...)
	d.Warnings = idl.Mistakes(d.Warnings).Sorted()
}

// include loads one included file into d's scopes. What is wrong is a mistake at the include.
func (l *loader) include(d *Document, tree *idl.File, in *idl.Include) {
	name := base(in.Path)
	s := d.includes[name]
	if s == nil {
		s = &scope{}
		d.includes[name] = s
	}
	inner, err := l.included(tree.Name, in.Path)
	if err != nil {
		l.mistakes = append(l.mistakes, tree.Mistake(in.Pos, "%s", err))
	}
	if inner == nil || inner.partial {
		s.broken = true
	}
	if inner == nil || slices.Contains(s.docs, inner) {
		return
	}
	if s.docs = append(s.docs, inner); len(s.docs) == 2 {
		d.Warnings = append(d.Warnings, tree.Warning(in.Pos, "another included file is also seen as %s; where both have a name, the last one's is taken", name))
	}
	if !slices.Contains(d.Includes, inner) {
		d.Includes = append(d.Includes, inner)
	}
}

// included finds and loads a file that from includes.
func (l *loader) included(from, path string) (*Document, error) {
	if l.includes++; l.includes > maxIncludes || len(l.docs) >= maxFiles {
		return nil, fmt.Errorf("too many files: at most %d, with %d includes", maxFiles, maxIncludes)
	}
	found, err := l.search(from, path)
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(path, ".thrift") { // as ThriftPy has it: and no mistake shows lines of a file that is none of ours
		return nil, fmt.Errorf("cannot include %q: its name does not end in .thrift", path)
	}
	key := l.key(found)
	if d, known := l.docs[key]; d != nil {
		return d, nil
	} else if known {
		i := slices.Index(l.keys, key)
		return nil, fmt.Errorf("includes lead back to this file: %s", strings.Join(append(slices.Clone(l.chain[i:]), found), " → "))
	}
	src, err := l.read(found)
	if err != nil {
		return nil, fmt.Errorf("cannot read %q: %w", found, err)
	}
	if l.bytes+len(src) > maxTotalBytes {
		return nil, fmt.Errorf("the files have more than %d bytes together", maxTotalBytes)
	}
	return l.file(found, found, base(found)+".", src), nil
}

// search returns the first place that has the file.
func (l *loader) search(from, name string) (string, error) {
	dirs := []string{l.dir(from)}
	switch {
	case l.opts.FS == nil && filepath.IsAbs(name):
		dirs = []string{""}
	case len(l.opts.IncludeDirs) > 0:
		dirs = append(dirs, l.opts.IncludeDirs...)
	case dirs[0] != ".":
		dirs = append(dirs, ".")
	}
	for _, dir := range dirs {
		at := l.join(dir, name)
		info, err := l.stat(at)
		switch {
		case err == nil && info.Mode().IsRegular():
			return at, nil
		case err == nil && !info.IsDir():
			return "", fmt.Errorf("%q is not a regular file", at)
		}
	}
	return "", fmt.Errorf("cannot find %q; looked in %s", name, strings.Join(dirs, ", "))
}

func (l *loader) dir(name string) string {
	if l.opts.FS != nil {
		return path.Dir(name)
	}
	return filepath.Dir(name)
}

func (l *loader) join(dir, name string) string {
	if l.opts.FS != nil {
		return path.Join(dir, name)
	}
	return filepath.Join(dir, filepath.FromSlash(name))
}

// key returns what is the same for every way to write a path.
func (l *loader) key(name string) string {
	if l.opts.FS != nil {
		return path.Clean(name)
	}
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return filepath.Clean(name)
}

func (l *loader) stat(name string) (fs.FileInfo, error) {
	if l.opts.FS != nil {
		return fs.Stat(l.opts.FS, path.Clean(name))
	}
	return os.Stat(name)
}

// read returns a file's bytes, at most one more than idl.Parse takes.
func (l *loader) read(name string) (src []byte, err error) {
	var f fs.File
	if l.opts.FS != nil {
		f, err = l.opts.FS.Open(path.Clean(name))
	} else {
		f, err = os.Open(name)
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	src, err = io.ReadAll(io.LimitReader(f, idl.MaxSourceBytes+1))
	return src, err
}

// base returns the name under which an included file is seen: shared/users.thrift is users.
func base(name string) string {
	return strings.TrimSuffix(path.Base(filepath.ToSlash(name)), ".thrift")
}
