package filewatch

import (
	"os"
	"path/filepath"
	"slices"
)

// Seen is how files were at one time. The zero value has none.
type Seen struct{ files map[string]os.FileInfo } // nil: not there

// Look sees how files are now, and those that patterns match. It follows links and reads no file.
func Look(files, patterns []string) Seen {
	s := Seen{make(map[string]os.FileInfo, len(files))}
	for _, p := range patterns {
		found, _ := filepath.Glob(p) // a pattern that is none matches nothing
		files = append(slices.Clip(files), found...)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			info = nil
		}
		s.files[f] = info
	}
	return s
}

// Equal reports whether nothing has changed.
func (s Seen) Equal(o Seen) bool { return len(s.changes(o)) == 0 }

// changes returns the names of what is not as it was, sorted.
func (s Seen) changes(was Seen) (names []string) {
	for name, now := range s.files {
		if !same(was.files[name], now) {
			names = append(names, name)
		}
	}
	for name, before := range was.files {
		if _, known := s.files[name]; !known && !same(before, nil) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// of returns s without the files that set does not have.
func (s Seen) of(set Seen) Seen {
	some := Seen{make(map[string]os.FileInfo, len(s.files))}
	for name, info := range s.files {
		if _, ok := set.files[name]; ok {
			some.files[name] = info
		}
	}
	return some
}

// same reports whether a file is the one that it was, with what it held. Its mode counts: one that could not be read may be readable now.
func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode() && os.SameFile(a, b)
}
