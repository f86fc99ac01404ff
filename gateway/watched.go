package gateway

import "slices"

// Watched returns the absolute paths of the files that a reload reads, and patterns of those that it reads once they are there.
//
// They are those of the newest attempt to read the config, whatever came of it, and of the last one without a mistake: what a broken file
// does not name any more is part of what the gateway does still, and may be where it gets whole again.
func (g *Gateway) Watched() (files, patterns []string) {
	for _, r := range []*Resolved{g.whole.Load(), g.newest.Load()} {
		for _, f := range r.Files {
			files = with(files, f)
		}
		for _, p := range r.Patterns {
			patterns = with(patterns, p)
		}
	}
	return slices.Clip(files), slices.Clip(patterns)
}

// read notes what an attempt to read the config has read.
func (g *Gateway) read(l *Loaded) {
	if l.Config == nil { // the file itself could not be read
		return
	}
	g.newest.Store(&l.Config.Resolved)
	if len(l.Mistakes) == 0 {
		g.whole.Store(&l.Config.Resolved)
	}
}
