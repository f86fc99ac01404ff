package filewatch

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fsnotify/fsnotify"
)

// folders are those in which something can happen to what is watched. Folders are watched, not files: most tools replace a file.
type folders struct {
	log      *slog.Logger
	notify   *fsnotify.Watcher      // nil where the system has none to give
	watched  map[string]os.FileInfo // by path: which folder it was when it was added
	failed   map[string]string      // errors that were told, by path
	names    map[string]bool        // what may be replaced: the files, the links that lead to them, their folders
	patterns []string
}

func newFolders(log *slog.Logger) *folders {
	f := &folders{log: log, watched: map[string]os.FileInfo{}, failed: map[string]string{}}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("no notifications of files: changes take longer to be seen", "error", err)
		return f
	}
	f.notify = w
	return f
}

func (f *folders) close() {
	if f.notify != nil {
		_ = f.notify.Close()
	}
}

func (f *folders) events() <-chan fsnotify.Event {
	if f.notify == nil {
		return nil
	}
	return f.notify.Events
}

func (f *folders) errors() <-chan error {
	if f.notify == nil {
		return nil
	}
	return f.notify.Errors
}

// concerns reports whether an event is of something that is watched, and not of what else lies in the same folders.
func (f *folders) concerns(e fsnotify.Event) bool {
	name := filepath.Clean(e.Name)
	return f.names[name] || slices.ContainsFunc(f.patterns, func(p string) bool {
		ok, _ := filepath.Match(p, name)
		return ok
	})
}

// follow watches the folders of this set and no others, each as it is now: one that was replaced is not the one that was watched.
func (f *folders) follow(files, patterns []string) {
	f.names, f.patterns = map[string]bool{}, patterns
	wanted := map[string]bool{}
	for _, path := range slices.Concat(files, patternFolders(patterns)) {
		for _, name := range replaceable(path) {
			f.names[name] = true
			wanted[filepath.Dir(name)] = true
		}
	}
	if f.notify == nil {
		return
	}
	for dir := range f.watched {
		if !wanted[dir] {
			f.drop(dir)
		}
	}
	alive := f.notify.WatchList()
	for dir := range wanted {
		info, err := os.Stat(dir)
		if was := f.watched[dir]; was != nil && (err != nil || !os.SameFile(was, info) || !slices.Contains(alive, dir)) {
			f.drop(dir)
		}
		if f.watched[dir] == nil && err == nil {
			f.add(dir, info)
		}
	}
}

func (f *folders) drop(dir string) {
	_ = f.notify.Remove(dir) // it may have gone by itself
	delete(f.watched, dir)
}

func (f *folders) add(dir string, info os.FileInfo) {
	err := f.notify.Add(dir)
	switch {
	case err == nil:
		f.watched[dir] = info
		delete(f.failed, dir)
	case !errors.Is(err, fs.ErrNotExist) && f.failed[dir] != err.Error():
		f.failed[dir] = err.Error()
		f.log.Warn("no notifications of a folder: changes in it take longer to be seen", "folder", dir, "error", err)
	}
}

// patternFolders returns a path in each folder in which a pattern may match a new file, or in which such a folder may come to be.
func patternFolders(patterns []string) (paths []string) {
	for _, p := range patterns {
		dirs, _ := filepath.Glob(filepath.Dir(p))
		if len(dirs) == 0 {
			dirs = []string{strings.ReplaceAll(filepath.Dir(p), `\`, "")}
		}
		for _, dir := range dirs {
			paths = append(paths, filepath.Join(dir, "any"))
		}
	}
	return paths
}

// maxLinks bounds the links that are followed on one path, as the system does.
const maxLinks = 40

// replaceable returns the names that lead to a file, those of them that tools replace: each link on the way, the folder in the end and the
// file itself. An absolute path is wanted.
func replaceable(path string) (names []string) {
	volume := filepath.VolumeName(path)
	root := volume + string(filepath.Separator)
	at, rest := root, parts(path[len(volume):])
	for links := 0; len(rest) > 0; {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		target, err := os.Readlink(next)
		if err != nil || links == maxLinks {
			if len(rest) <= 1 {
				names = append(names, next)
			}
			at = next
			continue
		}
		links++
		names = append(names, next)
		if filepath.IsAbs(target) {
			volume = filepath.VolumeName(target)
			at, target = volume+string(filepath.Separator), target[len(volume):]
		}
		rest = append(parts(target), rest...)
	}
	return names
}

func parts(path string) []string {
	return slices.DeleteFunc(strings.Split(filepath.Clean(path), string(filepath.Separator)), func(s string) bool { return s == "" })
}
