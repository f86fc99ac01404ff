package gateway

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/internal/strictyaml"
)

const manualHead = `# Configuration

<!-- Printed from the structs of the config by go test ./gateway -run TestManual -update; do not edit. -->

One YAML document, ` + "`thriftloom.yaml`" + `. Unknown keys are mistakes, and ` + "`thriftloom check`" + ` tells all mistakes at once. An absent key means its default, a
written 0 is 0. Paths are relative to the file that they stand in. ` + "`${VAR}`, `${VAR:-x}` and `$$`" + ` are expanded inside values; a variable that is not set is a mistake.
Durations have a unit (` + "`5s`, `200ms`" + `), sizes may have one (` + "`64MiB`" + `). A key that is not built yet is a mistake that says so.
`

// docs/config.md is what the structs say: every key has its meaning, and a stale manual fails.
func TestManual(t *testing.T) {
	const path = "../docs/config.md"
	m := manual{t: t, comments: fieldComments(t), printed: map[reflect.Type]string{}}
	m.b.WriteString(manualHead)
	m.section("", reflect.TypeFor[Config]())
	m.kinds()
	if *update {
		if err := os.WriteFile(path, []byte(m.b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != m.b.String() {
		t.Errorf("%s is stale: run go test ./gateway -run TestManual -update", path)
	}
}

// The default that a comment names is the one that an empty file gets.
func TestManualDefaults(t *testing.T) {
	comments, named := fieldComments(t), regexp.MustCompile(`Default (\S*[^\s.,;])`)
	for _, held := range []any{*newConfig(), newUpstream(), newHealth(), newDNS()} {
		seen := 0
		eachValue(reflect.ValueOf(held), func(f strictyaml.Field, v reflect.Value) {
			if !f.Built || v.IsZero() {
				return
			}
			seen++
			name := f.Owner.String() + "." + f.Go
			said := named.FindStringSubmatch(comments[name])
			if said == nil {
				t.Errorf("%s is %v by default, and its comment names none", name, v)
				return
			}
			var d strictyaml.Decoder
			got := reflect.New(f.Type)
			d.Decode(&yaml.Node{Kind: yaml.ScalarNode, Value: said[1]}, name, got.Interface())
			if len(d.Mistakes()) > 0 || !reflect.DeepEqual(got.Elem().Interface(), v.Interface()) {
				t.Errorf("%s is %v by default, and its comment says %s", name, v, said[1])
			}
		})
		if seen == 0 {
			t.Errorf("%T has no default to compare", held)
		}
	}
}

// eachValue calls f for each key of v, a struct, and of the blocks in it that are no unions.
func eachValue(v reflect.Value, f func(strictyaml.Field, reflect.Value)) {
	for _, field := range strictyaml.Fields(v.Type()) {
		at := v.FieldByIndex(field.Index)
		if short, _ := unions[field.Type]; field.Type.Kind() == reflect.Struct && short == "" {
			eachValue(at, f)
			continue
		}
		f(field, at)
	}
}

// fieldComments returns what stands above the fields of config structs, by package, type and field: "retry.Config.Attempts".
func fieldComments(t *testing.T) map[string]string {
	out := map[string]string{}
	files, _ := filepath.Glob("config*.go")
	for _, file := range append(files, "../cluster/config.go", "../cluster/balance/config.go", "../layer/breaker/config.go", "../layer/deadline/config.go", "../layer/hedge/config.go", "../layer/observe/config.go", "../layer/retry/config.go", "../layer/limit/config.go", "../layer/priority/config.go", "../layer/cache/config.go", "../store/redis.go", "../store/memcached.go") {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					for _, name := range f.Names {
						out[tree.Name.Name+"."+spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
					}
				}
			}
			return false
		})
	}
	return out
}

// unions are the types with a short and a long form, as the manual names them.
var unions = map[reflect.Type]string{
	reflect.TypeFor[Listeners]():        "address, block, or list of these",
	reflect.TypeFor[Admin]():            "address or block",
	reflect.TypeFor[[]Endpoint]():       "list of addresses or blocks",
	reflect.TypeFor[IDL]():              "path or block",
	reflect.TypeFor[DNS]():              "name or block",
	reflect.TypeFor[File]():             "path",
	reflect.TypeFor[Balance]():          "name or block",
	reflect.TypeFor[Limits]():           "block or list of blocks",
	reflect.TypeFor[Priority]():         "name or block",
	reflect.TypeFor[UpstreamRef]():      "name or block",
	reflect.TypeFor[Slots]():            "number, or auto",
	reflect.TypeFor[Allow]():            "list of texts",
	reflect.TypeFor[Hedge]():            "true, false or block",
	reflect.TypeFor[Breaker]():          "true, false or block",
	reflect.TypeFor[Cache]():            "true, false or block",
	reflect.TypeFor[Redis]():            "address, list of addresses, or block",
	reflect.TypeFor[Memcached]():        "address, list of addresses, or block",
	reflect.TypeFor[Replicas]():         "number or block",
	reflect.TypeFor[Gateways]():         "number or block",
	reflect.TypeFor[Mirror]():           "block or off",
	reflect.TypeFor[Canary]():           "block or off",
	reflect.TypeFor[Faults]():           "block or off",
	reflect.TypeFor[Subset]():           "block or off",
	reflect.TypeFor[SubsetLabels]():     "texts or blocks by name",
	reflect.TypeFor[Diff]():             "true, false or block",
	reflect.TypeFor[Delay]():            "duration or block",
	reflect.TypeFor[Abort]():            "code or block",
	reflect.TypeFor[FaultException]():   "name or block",
	reflect.TypeFor[FaultValue]():       "any value",
	reflect.TypeFor[UpstreamName]():     "text",
	reflect.TypeFor[time.Duration]():    "duration",
	reflect.TypeFor[strictyaml.Bytes](): "size",
}

// manual prints the keys of structs, a table a block.
type manual struct {
	t        *testing.T
	b        strings.Builder
	comments map[string]string
	printed  map[reflect.Type]string // the path of the section of each block
}

// section prints the block at path, then the blocks in it.
func (m *manual) section(path string, typ reflect.Type) {
	fields := strictyaml.Fields(typ)
	if len(fields) == 0 {
		return
	}
	if first := m.printed[typ]; first != "" {
		fmt.Fprintf(&m.b, "\n## %s\n\nThe keys are those of `%s`.\n", path, first)
		return
	}
	m.printed[typ] = path
	if typ == reflect.TypeFor[SharedUpstream]() { // but for the key whose comment says so, they are those of any upstream
		m.printed[reflect.TypeFor[Upstream]()] = path
	}
	fmt.Fprintf(&m.b, "\n## %s\n\n| key | type | meaning |\n|---|---|---|\n", cmp.Or(path, "The document"))
	for _, f := range fields {
		name := f.Owner.String() + "." + f.Go
		text := m.comments[name]
		if text == "" {
			m.t.Errorf("%s, the key %s of %q, has no comment", name, f.Name, path)
		}
		if !f.Built {
			text += " *Not built yet.*"
		}
		if later := f.Tag.Get("later"); later != "" && later != "*" {
			text += " *Not built yet: " + strings.ReplaceAll(later, ",", ", ") + ".*"
		}
		fmt.Fprintf(&m.b, "| `%s` | %s | %s |\n", f.Name, typeName(f), strings.ReplaceAll(text, "|", `\|`))
	}
	for _, f := range fields {
		if elem, suffix := blockIn(f.Type); elem != nil {
			m.section(strings.TrimPrefix(path+"."+f.Name+suffix, "."), elem)
		}
	}
}

// blockIn returns the struct whose keys stand under a key of that type, and how its path goes on.
func blockIn(t reflect.Type) (elem reflect.Type, suffix string) {
	if b, ok := reflect.Zero(t).Interface().(interface{ Elem() reflect.Type }); ok {
		return b.Elem(), ".NAME"
	}
	if t.Kind() == reflect.Slice {
		t, suffix = t.Elem(), "[]"
	}
	if t == reflect.TypeFor[UpstreamRef]() {
		t = reflect.TypeFor[Upstream]()
	}
	if t.Kind() == reflect.Struct {
		return t, suffix
	}
	return nil, ""
}

func typeName(f strictyaml.Field) string {
	if union := unions[f.Type]; union != "" {
		return union
	}
	if oneof := f.Tag.Get("oneof"); oneof != "" {
		return strings.ReplaceAll(oneof, ",", ", ")
	}
	if _, ok := reflect.Zero(f.Type).Interface().(interface{ Elem() reflect.Type }); ok {
		return "blocks by name"
	}
	switch f.Type.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Float64:
		return "number"
	case reflect.String:
		return "text"
	case reflect.Slice:
		return "list of texts"
	case reflect.Map:
		return "texts by name"
	}
	return "block"
}

// kinds prints what follows from the key `server`.
func (m *manual) kinds() {
	m.b.WriteString("\n## What follows from `server`\n\n| server | slots of an endpoint | a free connection is closed after | a connection takes no new call after |\n|---|---|---|---|\n")
	for _, k := range ServerKinds {
		slots, idle, age := fmt.Sprint(k.Slots), k.IdleExpiry.String(), k.MaxAge.String()
		if k.Slots == 0 {
			slots = "to be given: the number of workers"
		}
		if k.IdleExpiry == 0 {
			idle = "–"
		}
		if k.MaxAge == 0 {
			age = "–"
		}
		fmt.Fprintf(&m.b, "| %s | %s | %s | %s |\n", cmp.Or(k.Name, "left out"), slots, idle, age)
	}
}
