package main

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watchQuiet is how long files have to be left alone before they are read: editors and deployments write in several steps.
const watchQuiet = 250 * time.Millisecond

// watch reloads the gateway when its files change, until ctx ends. Folders are watched, not files: most tools replace a file.
func (r *running) watch(ctx context.Context) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		r.log.Error("files are not watched", "error", err)
		return
	}
	defer w.Close()
	files := r.watchFolders(w)
	var quiet <-chan time.Time // delivers when a change is to be read
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-w.Events:
			if concerns(e, files) {
				quiet = time.After(watchQuiet)
			}
		case err := <-w.Errors:
			r.log.Warn("watching files", "error", err)
		case <-quiet:
			quiet = nil
			r.reload(ctx)
			files = r.watchFolders(w)
		}
	}
}

// watchFolders watches the folders of all files that the config in force came from, and returns the files.
func (r *running) watchFolders(w *fsnotify.Watcher) []string {
	files := r.gateway.Config().Resolved.Files
	for _, f := range files {
		if dir := filepath.Dir(f); !slices.Contains(w.WatchList(), dir) {
			if err := w.Add(dir); err != nil {
				r.log.Warn("folder is not watched", "folder", dir, "error", err)
			}
		}
	}
	return files
}

// concerns reports whether an event in a watched folder may change what the gateway reads: one of its files, a file that an IDL may have
// begun to include, or the link by which Kubernetes swaps a whole folder.
func concerns(e fsnotify.Event, files []string) bool {
	if e.Op == fsnotify.Chmod {
		return false
	}
	return slices.Contains(files, filepath.Clean(e.Name)) || filepath.Ext(e.Name) == ".thrift" || filepath.Base(e.Name) == "..data"
}
