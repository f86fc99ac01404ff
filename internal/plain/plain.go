// Package plain works on configs that Go programs write: plain structs, in which a zero value means the default. It knows the tags that
// internal/strictyaml holds a file to, and needs no YAML.
package plain

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Over returns base with what is set in v: each value that is not zero, of structs whose fields are all exported field by field, of
// everything else (slices, maps, pointers, structs that hide something) as a whole.
func Over[T any](base, v T) T {
	lay(reflect.ValueOf(&base).Elem(), reflect.ValueOf(&v).Elem())
	return base
}

func lay(to, from reflect.Value) {
	switch {
	case from.Kind() == reflect.Struct && open(from.Type()):
		for i := range from.NumField() {
			lay(to.Field(i), from.Field(i))
		}
	case !from.IsZero():
		to.Set(from)
	}
}

// open reports whether all fields of a struct are exported.
func open(t reflect.Type) bool {
	for i := range t.NumField() {
		if !t.Field(i).IsExported() {
			return false
		}
	}
	return true
}

// Mistakes returns what is set in v, a struct, beyond the tags oneof, min and max of its fields and of the structs in it: a line each,
// "PATH.Field: text". A number that has a yaml tag and no min is 0 at least.
func Mistakes(path string, v any) (lines []string) {
	s := reflect.ValueOf(v)
	for i := range s.NumField() {
		f := s.Type().Field(i)
		if !f.IsExported() || s.Field(i).IsZero() {
			continue
		}
		at := path + "." + f.Name
		if f.Type.Kind() == reflect.Struct {
			lines = append(lines, Mistakes(at, s.Field(i).Interface())...)
		} else if text := mistake(s.Field(i), f.Tag); text != "" {
			lines = append(lines, at+": "+text)
		}
	}
	return lines
}

// mistake returns what is wrong with one value, "" if nothing is.
func mistake(v reflect.Value, tag reflect.StructTag) string {
	_, key := tag.Lookup("yaml")
	low := tag.Get("min")
	if key {
		low = cmp.Or(low, "0")
	}
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		return outside(time.Duration(v.Int()), low, tag.Get("max"), time.ParseDuration)
	case v.CanInt():
		return outside(v.Int(), low, tag.Get("max"), func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) })
	case v.CanFloat():
		return outside(v.Float(), low, tag.Get("max"), func(s string) (float64, error) { return strconv.ParseFloat(s, 64) })
	case v.Kind() == reflect.String && tag.Get("oneof") != "":
		if all := strings.Split(tag.Get("oneof"), ","); !slices.Contains(all, v.String()) {
			return fmt.Sprintf("%q is none of %s", v.String(), strings.Join(all, ", "))
		}
	}
	return ""
}

// outside says how x is beyond one of the two bounds. A bound that does not parse is none: sizes are written with units there.
func outside[T cmp.Ordered](x T, low, high string, parse func(string) (T, error)) string {
	if n, err := parse(low); err == nil && x < n {
		return fmt.Sprintf("%v is less than %s", x, low)
	}
	if n, err := parse(high); err == nil && x > n {
		return fmt.Sprintf("%v is more than %s", x, high)
	}
	return ""
}
