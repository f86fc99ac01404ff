package strictyaml

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Bytes is a size in bytes: a plain number, or one with KiB, MiB or GiB.
type Bytes int64

// String returns the size in the largest unit that divides it.
func (b Bytes) String() string {
	for _, u := range units {
		if b != 0 && int64(b)%u.size == 0 {
			return fmt.Sprintf("%d%s", int64(b)/u.size, u.name)
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

var units = []struct {
	name string
	size int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// Text returns a single value as text, variables expanded; ok is false, and the mistake is noted, where node is not a single value or a
// variable is not set.
func (d *Decoder) Text(node *yaml.Node, path string) (text string, ok bool) {
	text, _, ok = d.scalar(node, path, "a text")
	return text, ok
}

// scalar returns the text of a single value, and whether it may be read as a number: it is plain, or came from a variable.
func (d *Decoder) scalar(node *yaml.Node, path, wants string) (text string, plain, ok bool) {
	node = target(node)
	switch {
	case isNull(node):
		d.Addf(node, path, "has no value; leave the key out for its default")
		return "", false, false
	case node.Kind != yaml.ScalarNode:
		d.Addf(node, path, "wants %s, has %s", wants, describe(node))
		return "", false, false
	}
	text, err := expand(node.Value, d.Lookup)
	if err != nil {
		d.Addf(node, path, "%s", err)
		return "", false, false
	}
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	return text, node.Style&quoted == 0 || strings.Contains(node.Value, "${"), true
}

// later notes a value that is known and not built yet.
func (d *Decoder) later(node *yaml.Node, path, text string, tag reflect.StructTag) bool {
	if !slices.Contains(words(tag.Get("later")), text) {
		return false
	}
	d.Addf(node, path, "%s is not built yet", text)
	return true
}

func (d *Decoder) string(node *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	text, _, ok := d.scalar(node, path, "a text")
	if !ok || d.later(node, path, text, tag) {
		return
	}
	allowed := words(tag.Get("oneof"))
	if allowed != nil && !slices.Contains(allowed, text) {
		all := append(allowed, words(tag.Get("later"))...)
		if tag.Get("later") == "*" {
			d.Addf(node, path, "%q is not built yet; built: %s", text, strings.Join(allowed, ", "))
			return
		}
		d.Addf(node, path, "%q is none of %s%s", text, strings.Join(all, ", "), DidYouMean(text, all))
		return
	}
	v.SetString(text)
}

func (d *Decoder) boolean(node *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	const wants = "true or false"
	text, plain, ok := d.scalar(node, path, wants)
	if !ok || d.later(node, path, text, tag) {
		return
	}
	if !plain || text != "true" && text != "false" {
		d.Addf(node, path, "wants %s, has %s", wants, shown(node, text))
		return
	}
	v.SetBool(text == "true")
}

func (d *Decoder) integer(node *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	const wants = "a whole number"
	text, plain, ok := d.scalar(node, path, wants)
	if !ok || d.later(node, path, text, tag) {
		return
	}
	n, err := strconv.ParseInt(text, 10, v.Type().Bits())
	if err != nil || !plain {
		d.Addf(node, path, "wants %s, has %s", wants, shown(node, text))
		return
	}
	if inRange(d, node, path, text, n, tag, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }) {
		v.SetInt(n)
	}
}

func (d *Decoder) float(node *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	const wants = "a number"
	text, plain, ok := d.scalar(node, path, wants)
	if !ok {
		return
	}
	parse := func(s string) (float64, error) { return strconv.ParseFloat(s, 64) }
	f, err := parse(text)
	if err != nil || !plain || math.IsNaN(f) || math.IsInf(f, 0) {
		d.Addf(node, path, "wants %s, has %s", wants, shown(node, text))
		return
	}
	if inRange(d, node, path, text, f, tag, parse) {
		v.SetFloat(f)
	}
}

func (d *Decoder) duration(node *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	const wants = "a duration with its unit, like 5s or 200ms"
	text, _, ok := d.scalar(node, path, wants)
	if !ok {
		return
	}
	t, err := time.ParseDuration(text)
	if err != nil {
		d.Addf(node, path, "wants %s, has %s", wants, shown(node, text))
		return
	}
	if inRange(d, node, path, text, t, tag, time.ParseDuration) {
		v.SetInt(int64(t))
	}
}

func (d *Decoder) size(node *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	const wants = "a size in bytes, like 65536 or 64MiB"
	text, _, ok := d.scalar(node, path, wants)
	if !ok {
		return
	}
	b, err := parseBytes(text)
	if err != nil {
		d.Addf(node, path, "wants %s, has %s", wants, shown(node, text))
		return
	}
	if inRange(d, node, path, text, b, tag, parseBytes) {
		v.SetInt(int64(b))
	}
}

func parseBytes(s string) (Bytes, error) {
	unit := int64(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(s, u.name); ok {
			s, unit = strings.TrimSpace(n), u.size
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err == nil && (n > math.MaxInt64/unit || n < math.MinInt64/unit) {
		err = strconv.ErrRange
	}
	return Bytes(n * unit), err
}

// inRange checks x, written as text, against the tags min and max. Without a min nothing is below zero.
func inRange[T cmp.Ordered](d *Decoder, node *yaml.Node, path, text string, x T, tag reflect.StructTag, parse func(string) (T, error)) bool {
	low, high := cmp.Or(tag.Get("min"), "0"), tag.Get("max")
	if n, err := parse(low); err != nil {
		panic(fmt.Sprintf("strictyaml: %s: tag min: %v", path, err))
	} else if x < n {
		d.Addf(node, path, "%s is less than %s", text, low)
		return false
	}
	if high == "" {
		return true
	}
	if n, err := parse(high); err != nil {
		panic(fmt.Sprintf("strictyaml: %s: tag max: %v", path, err))
	} else if x > n {
		d.Addf(node, path, "%s is more than %s", text, high)
		return false
	}
	return true
}

// shown is a value as a mistake shows it: shortened, in quotes where its text is quoted.
func shown(node *yaml.Node, text string) string {
	const most = 40
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	if node.ShortTag() == "!!str" {
		return strconv.Quote(text)
	}
	return text
}

// expand replaces ${VAR}, ${VAR:-x} (x where VAR is unset or empty) and $$; any other $ stands for itself.
func expand(s string, lookup func(string) (string, bool)) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "$")
		b.WriteString(before)
		switch {
		case b.Len() > MaxBytes:
			return "", fmt.Errorf("is longer than %d bytes with its variables written out", MaxBytes)
		case !found:
			return b.String(), nil
		case strings.HasPrefix(rest, "$"):
			b.WriteByte('$')
			s = rest[1:]
		case strings.HasPrefix(rest, "{"):
			name, after, closed := strings.Cut(rest[1:], "}")
			if !closed {
				return "", fmt.Errorf("${ has no closing }; a $ itself is written $$")
			}
			val, err := variable(name, lookup)
			if err != nil {
				return "", err
			}
			b.WriteString(val)
			s = after
		default:
			b.WriteByte('$')
			s = rest
		}
	}
}

func variable(text string, lookup func(string) (string, bool)) (string, error) {
	name, fallback, hasFallback := strings.Cut(text, ":-")
	if !isName(name) {
		return "", fmt.Errorf("${%s} is not the name of a variable", text)
	}
	val, set := "", false
	if lookup != nil {
		val, set = lookup(name)
	}
	switch {
	case hasFallback && val == "":
		return fallback, nil
	case !set:
		return "", fmt.Errorf("the variable %s is not set; ${%s:-x} gives it a default", name, name)
	}
	return val, nil
}

func isName(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}
