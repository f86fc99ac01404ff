package rpc

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Bounds of labels.
const (
	MaxLabels     = 16 // of an endpoint, and of a Subset
	MaxLabelBytes = 63 // of a name, and of a value
)

// Labels are names with values: "size=big,version=v2". The zero value has none.
type Labels string

// NewLabels returns the labels of a map, in the order of their names: of equal maps they are equal.
func NewLabels(all map[string]string) Labels {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(name)
		b.WriteByte('=')
		b.WriteString(all[name])
	}
	return Labels(b.String())
}

// Next takes the first label off; ok is false where there is none.
func (l Labels) Next() (name, value string, rest Labels, ok bool) {
	first, more, _ := strings.Cut(string(l), ",")
	name, value, ok = strings.Cut(first, "=")
	return name, value, Labels(more), ok
}

// Map returns the labels by name; nil for none.
func (l Labels) Map() (all map[string]string) {
	for name, value, rest, ok := l.Next(); ok; name, value, rest, ok = rest.Next() {
		if all == nil {
			all = map[string]string{}
		}
		all[name] = value
	}
	return all
}

// Have reports whether each of the other labels, whose values are not empty, is among l.
func (l Labels) Have(others Labels) bool {
	for name, value, rest, ok := others.Next(); ok; name, value, rest, ok = rest.Next() {
		if value == "" || l.value(name) != value {
			return false
		}
	}
	return true
}

func (l Labels) value(of string) string {
	for name, value, rest, ok := l.Next(); ok; name, value, rest, ok = rest.Next() {
		if name == of {
			return value
		}
	}
	return ""
}

// ErrLabel says what the names and values of labels are made of.
var ErrLabel = errors.New("names and values of labels are 1 to 63 letters, digits and _ . - /")

// IsLabel reports whether a text may be the name or the value of a label.
func IsLabel(text string) bool {
	return text != "" && len(text) <= MaxLabelBytes && !strings.ContainsFunc(text, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_.-/", c))
	})
}

// CheckLabels returns what is wrong with labels of an endpoint; nil if nothing is.
func CheckLabels(all map[string]string) error {
	if len(all) > MaxLabels {
		return fmt.Errorf("%d labels are more than %d", len(all), MaxLabels)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		switch {
		case !IsLabel(name):
			return fmt.Errorf("label %.64q: %w", name, ErrLabel)
		case !IsLabel(all[name]):
			return fmt.Errorf("label %s: %.64q: %w", name, all[name], ErrLabel)
		}
	}
	return nil
}

// Check returns what is wrong with l as labels of an endpoint; nil if nothing is.
func (l Labels) Check() error {
	all := l.Map()
	if n := strings.Count(string(l), ",") + 1; l != "" && n != len(all) {
		return fmt.Errorf("labels %.64q: name=value,name=value is wanted, each name once", string(l))
	}
	return CheckLabels(all)
}

// Subset is which endpoints of a cluster a call may go to. The zero value is all of them.
type Subset struct {
	Labels Labels // that an endpoint has to have, each, in the order of NewLabels; one without a value is of no endpoint
	Text   string // the labels for people, without what a caller has said
	Refuse bool   // … the call, where no such endpoint is up; else it may go to any
}
