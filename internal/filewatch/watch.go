// Package filewatch tells when files have changed, however they are changed: written in place, renamed over as editors do, swapped by a
// link as Kubernetes does with a ConfigMap, or replaced together with their folder.
//
// Notifications say when to look, and what was seen says whether anything has changed. So a notification that is lost, or a file system
// that sends none, costs time and no change.
package filewatch

import (
	"context"
	"log/slog"
	"time"
)

// Config is what Run needs. The three durations have defaults.
type Config struct {
	// Set returns what is watched: absolute paths, of files that need not be there, and patterns of filepath.Match. It is asked anew each
	// time that Run looks.
	Set func() (files, patterns []string)
	// Seen is what was seen before the files were read for the first time. What Set has and Seen has not counts as changed.
	Seen Seen
	// Changed gets the names of what has changed, sorted. Run does not look while it runs. Where Set has more files after it than before it,
	// it is called once again: they may have changed between.
	Changed func(names []string)
	Log     *slog.Logger
	// Quiet is how long files have to be left alone before Changed is called: editors and deployments write in several steps. Default
	// 250ms.
	Quiet time.Duration
	// Longest bounds the wait for that: files that change all the time are taken as they are. Default 5s.
	Longest time.Duration
	// Look is how often Run looks without being notified. Default 5s.
	Look time.Duration
}

func (c Config) withDefaults() Config {
	for at, standard := range map[*time.Duration]time.Duration{&c.Quiet: 250 * time.Millisecond, &c.Longest: 5 * time.Second, &c.Look: 5 * time.Second} {
		if *at == 0 {
			*at = standard
		}
	}
	return c
}

// Run watches until ctx ends.
func Run(ctx context.Context, c Config) {
	c = c.withDefaults()
	w := &watcher{Config: c, pace: pacer{quiet: c.Quiet, longest: c.Longest}, folders: newFolders(c.Log)}
	defer w.folders.close()
	w.folders.follow(c.Set())
	if !w.Seen.Equal(Look(c.Set())) { // changed before the folders were watched
		w.notice()
	}
	tick := time.NewTicker(c.Look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-w.folders.events():
			if w.folders.concerns(e) {
				w.notice()
			}
		case err := <-w.folders.errors():
			c.Log.Warn("watching files", "error", err)
			w.notice() // some notifications may be lost
		case <-tick.C:
			w.folders.follow(c.Set())
			if !w.Seen.Equal(Look(c.Set())) {
				w.notice()
			}
		case <-w.due:
			w.due = nil
			w.pace.reset()
			w.look()
		}
	}
}

// watcher is one Run.
type watcher struct {
	Config
	pace    pacer
	folders *folders
	due     <-chan time.Time // delivers when it is time to look; nil while nothing has changed
}

// notice puts off the look until files have been left alone.
func (w *watcher) notice() {
	now := time.Now()
	w.due = time.After(w.pace.wait(now))
}

// look calls Changed where something has changed.
func (w *watcher) look() {
	w.folders.follow(w.Set()) // first: what changes from here on is notified
	now := Look(w.Set())
	names := now.changes(w.Seen)
	w.Seen = now
	if len(names) == 0 {
		return
	}
	w.Changed(names)
	w.folders.follow(w.Set())
	next := Look(w.Set())
	if w.Seen = now.of(next); !w.Seen.Equal(next) { // files that are part of it since: who knows how they were when they were read
		w.notice()
	}
}

// pacer says when to look.
type pacer struct {
	quiet, longest time.Duration
	first          time.Time // of the changes that were not looked at; zero: none
}

// wait returns how long to wait from now, the time of a change: until it is quiet, but never past the longest wait since the first change.
func (p *pacer) wait(now time.Time) time.Duration {
	if p.first.IsZero() {
		p.first = now
	}
	return max(0, min(p.quiet, p.first.Add(p.longest).Sub(now)))
}

func (p *pacer) reset() { p.first = time.Time{} }
