package gateway

import (
	"slices"
	"strings"

	"github.com/thriftloom/thriftloom/internal/strictyaml"
)

// blamed is what the mistakes of a config stand in: what keeps its last good version at a reload.
type blamed struct {
	services  []string // labels: of those in which there are mistakes, and of those that use what is broken
	upstreams []string // names of shared upstreams
	files     []string // absolute paths of included files
	outside   bool     // mistakes elsewhere, with which nothing is taken over
}

// blame finds what the mistakes stand in, by their files and keys.
func (l *loader) blame() blamed {
	var b blamed
	for i, m := range l.Mistakes() {
		label, inService := owner(m.Key, "services.", l.cfg.Services.Names())
		name, inUpstream := owner(m.Key, "upstreams.", l.cfg.Upstreams.Names())
		s := l.sources[m.File]
		switch file := l.ofFile[i]; {
		case file != "":
			b.files = with(b.files, file)
		case inService:
			b.services = with(b.services, label)
		case inUpstream:
			b.upstreams = with(b.upstreams, name)
		case s != nil && s != l.main:
			b.files = with(b.files, s.file)
		default:
			b.outside = true
		}
	}
	l.blameFiles(&b)
	l.blameUsers(&b)
	return b
}

// blameFile says that the newest mistake is of an included file.
func (l *loader) blameFile(file string) { l.ofFile[len(l.Mistakes())-1] = file }

// blameFiles adds all that stands in the broken files.
func (l *loader) blameFiles(b *blamed) {
	in := func(x strictyaml.Block) bool { return slices.Contains(b.files, l.sources[x.File].file) }
	for _, u := range l.cfg.Upstreams {
		if in(u) {
			b.upstreams = with(b.upstreams, u.Name)
		}
	}
	for _, s := range l.cfg.Services {
		if in(s) {
			b.services = with(b.services, s.Name)
		}
	}
}

// blameUsers adds the services that use a broken upstream, or one that is not there.
func (l *loader) blameUsers(b *blamed) {
	good := map[string]bool{}
	for _, u := range l.cfg.Resolved.upstreams {
		name, shared := strings.CutPrefix(u.key, sharedPrefix)
		good[u.key] = !shared || !slices.Contains(b.upstreams, name)
	}
	for _, s := range l.cfg.Resolved.services {
		if slices.ContainsFunc(s.uses(), func(key string) bool { return !good[key] }) {
			b.services = with(b.services, s.label)
		}
	}
}

// owner returns which of the names key stands under: of names a and a.b the longer.
func owner(key, prefix string, names []string) (name string, ok bool) {
	for _, n := range names {
		rest, is := strings.CutPrefix(key, prefix+n)
		if is && (rest == "" || rest[0] == '.') && len(n) >= len(name) {
			name, ok = n, true
		}
	}
	return name, ok
}

// with returns the list with x in it once.
func with(list []string, x string) []string {
	if slices.Contains(list, x) {
		return list
	}
	return append(list, x)
}
