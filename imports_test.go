package thriftloom_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const module = "github.com/thriftloom/thriftloom"

// thrift are the folders that know Thrift and nothing of calls.
var thrift = []string{"idl", "schema", "wire", "wire/binary", "wire/compact", "wire/jsontext", "wire/json", "wire/apachejson", "wire/message", "transport", "tracking", "codec"}

// allowed is the map: which folders of the module each folder may import. A folder's own sub-folders inherit its row unless they have
// one. Folders in internal/ may be used by all and use none but each other.
var allowed = map[string][]string{
	"":                {"schema", "rpc", "bind", "client", "cluster", "server", "service", "netio", "transport", "wire", "idl", "layer/deadline", "layer/retry", "layer/observe", "layer/translate", "internal/memnet", "rpc/budget", "cluster/balance", "layer/affinity", "layer/breaker", "layer/cache", "layer/hedge", "layer/limit"},
	"idl":             {},
	"schema":          {"idl", "wire"},
	"wire":            {"wire"},
	"wire/message":    {"wire", "wire/binary", "wire/compact", "wire/json", "wire/apachejson"},
	"wire/json":       {"wire", "wire/jsontext"},
	"wire/apachejson": {"wire", "wire/jsontext"},
	"transport":       {"wire", "wire/binary", "wire/compact", "wire/jsontext", "wire/message"},
	"tracking":        {"wire", "wire/binary", "wire/compact"},
	"codec":           {"schema", "wire", "wire/binary", "wire/compact", "wire/jsontext", "wire/apachejson"},
	"rpc":             {"schema", "wire", "transport", "tracking"},
	"rpc/budget":      {},
	"bind":            append([]string{"rpc"}, thrift...),
	"netio":           {},
	"client":          {"rpc", "netio", "transport", "wire", "wire/message", "tracking"},
	"server":          {"rpc", "netio", "transport", "wire", "wire/message", "tracking", "schema"},
	"cluster":         {"rpc", "client", "netio", "transport", "wire", "cluster/balance", "cluster/view", "schema"},
	"cluster/balance": {"rpc"},
	"cluster/lease":   {"cluster", "cluster/view", "cluster/voids"},
	"cluster/resolve": {"rpc", "cluster/resolve"},
	"cluster/view":    {},
	"cluster/voids":   {},
	"layer/affinity":  append([]string{"rpc"}, thrift...),
	"layer/cache":     append([]string{"rpc"}, thrift...),
	"layer/canary":    append([]string{"rpc", "layer/affinity", "layer/match"}, thrift...),
	"layer/faults":    append([]string{"rpc", "layer/match"}, thrift...),
	"layer/match":     append([]string{"rpc", "layer/affinity"}, thrift...),
	"layer/mirror":    append([]string{"rpc", "layer/match"}, thrift...),
	"layer/authz":     append([]string{"rpc"}, thrift...),
	"layer/breaker":   append([]string{"rpc"}, thrift...),
	"layer/deadline":  append([]string{"rpc"}, thrift...),
	"layer/limit":     append([]string{"rpc"}, thrift...),
	"layer/priority":  append([]string{"rpc"}, thrift...),
	"layer/hedge":     append([]string{"rpc", "rpc/budget"}, thrift...),
	"layer/retry":     append([]string{"rpc", "rpc/budget"}, thrift...),
	"layer/observe":   append([]string{"rpc"}, thrift...),
	"layer/required":  append([]string{"rpc"}, thrift...),
	"layer/subset":    append([]string{"rpc", "layer/affinity"}, thrift...),
	"layer/translate": append([]string{"rpc"}, thrift...),
	"scale/process":   {"rpc"},
	"store":           {},
	"store/memcached": {"store", "layer/cache"},
	"store/near":      {"layer/cache"},
	"store/redis":     {"store", "layer/cache", "layer/limit"},
	"sim":             {"rpc", "cluster/balance", "cluster/view"},
	"service":         {"rpc", "schema", "cluster", "layer/affinity", "layer/authz", "layer/canary", "layer/deadline", "layer/faults", "layer/mirror", "layer/retry", "layer/observe", "layer/required", "layer/translate", "rpc/budget", "layer/breaker", "layer/cache", "layer/hedge", "layer/limit", "layer/priority", "layer/subset"},
	"gateway": append([]string{
		"rpc", "service", "server", "client", "cluster", "cluster/lease", "cluster/resolve", "cluster/resolve/dns", "cluster/resolve/file", "scale/process", "netio", "cluster/balance", "layer/affinity", "layer/authz",
		"layer/deadline", "layer/retry", "layer/subset", "layer/observe", "layer/required", "layer/translate", "layer/canary", "layer/faults", "layer/match", "layer/mirror", "rpc/budget", "layer/breaker", "layer/cache", "layer/hedge", "cluster/view", "cluster/voids", "layer/limit", "layer/priority", "store", "store/near",
	}, thrift...),
	"gateway/handover":    {},
	"admin":               {"gateway/status"},
	"load":                {},
	"cmd/thriftloom":      {"*"},
	"cmd/thriftloom/view": {},
	"examples":            {"*"},
	"test":                {"*"},
}

// goPackage is what `go list` says of one package.
type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func list(t *testing.T, args ...string) []goPackage {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func folder(importPath string) (string, bool) {
	if importPath == module {
		return "", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// row returns the row that holds for a folder: its own, or that of the nearest folder above.
func row(dir string) ([]string, bool) {
	for at := dir; ; {
		if r, ok := allowed[at]; ok && (at != "" || dir == "") {
			return r, true
		}
		i := strings.LastIndexByte(at, '/')
		if i < 0 {
			return nil, false
		}
		at = at[:i]
	}
}

// The folders import each other as the map says and in no other way.
func TestImportsFollowTheMap(t *testing.T) {
	for _, p := range list(t, "./...") {
		dir, _ := folder(p.ImportPath)
		if strings.HasPrefix(dir, "internal/") || strings.HasSuffix(dir, "test") {
			continue // conformance kits import what they test
		}
		may, ok := row(dir)
		if !ok {
			t.Errorf("%s is not on the map: add a row to `allowed`", dir)
			continue
		}
		for _, imp := range p.Imports {
			to, ours := folder(imp)
			if !ours || slices.Contains(may, "*") || slices.Contains(may, to) || strings.HasPrefix(to, "internal/") || strings.HasPrefix(to, dir+"/") {
				continue
			}
			t.Errorf("%s imports %s, which the map does not allow", dir, to)
		}
	}
}

// The root package pulls in these modules and no other: who uses the library alone pays for nothing else.
func TestRootDependencies(t *testing.T) {
	var got []string
	for _, dep := range list(t, ".")[0].Deps {
		if first, _, _ := strings.Cut(dep, "/"); strings.Contains(first, ".") && !strings.HasPrefix(dep, module) {
			parts := strings.SplitN(dep, "/", 4)
			got = append(got, strings.Join(parts[:min(3, len(parts))], "/"))
		}
	}
	slices.Sort(got)
	text := strings.Join(slices.Compact(got), "\n") + "\n"
	const file = "testdata/root-dependencies.txt"
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != text {
		t.Errorf("the root package depends on\n%swant (in %s)\n%s%v", text, file, want, err)
	}
}

// ARCHITECTURE.md shows the map as it is.
func TestArchitectureShowsTheMap(t *testing.T) {
	const begin, end = "<!-- map: printed by imports_test.go -->\n", "<!-- end of map -->"
	var b strings.Builder
	b.WriteString("```\n")
	dirs := make([]string, 0, len(allowed))
	for dir := range allowed {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	for _, dir := range dirs {
		to := "(nothing)"
		if len(allowed[dir]) > 0 {
			to = strings.Join(allowed[dir], " ")
		}
		fmt.Fprintf(&b, "%-20s → %s\n", strings.TrimSuffix("./"+dir, "/"), strings.ReplaceAll(to, "*", "(anything)"))
	}
	b.WriteString("```\n")
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(text), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("ARCHITECTURE.md has no %q … %q", begin, end)
	}
	want := head + begin + b.String() + end + tail
	if want != string(text) {
		if *update {
			if err := os.WriteFile("ARCHITECTURE.md", []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		t.Error("the map in ARCHITECTURE.md is out of date: go test -run Architecture -update .")
	}
}
