package gateway

import (
	"slices"
	"strings"
)

// blamed is what the mistakes of a config stand in: what keeps its last good version at a reload.
type blamed struct {
	services []string // labels
	outside  bool     // mistakes outside of services, with which nothing is taken over
}

// Broken returns the labels of the services in which mistakes were found, all that share a broken IDL among them, and whether there are
// mistakes outside of services.
func (l *Loaded) Broken() (labels []string, outside bool) { return l.blamed.services, l.blamed.outside }

// blame finds what the mistakes stand in, by their keys.
func (l *loader) blame() blamed {
	var b blamed
	for _, m := range l.Mistakes() {
		if label, ok := owner(m.Key, "services.", l.cfg.Services.Names()); ok {
			b.services = with(b.services, label)
		} else {
			b.outside = true
		}
	}
	return b
}

// owner returns which of the names key stands under: of names a and a.b the longer.
func owner(key, prefix string, names []string) (name string, ok bool) {
	for _, n := range names {
		rest, is := strings.CutPrefix(key, prefix+n)
		if is && (rest == "" || rest[0] == '.' || rest[0] == '[') && len(n) >= len(name) {
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
