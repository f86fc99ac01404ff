package main

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// row is one fault case and the test that shows it.
type row struct {
	group, name string
	pkg         string // as go test takes it: "./gateway"; where there is no test, the reason
	test        string // "TestConnect/refused"; "-": there is none here
}

// none reports whether the case has no test here, and pkg says why.
func (r row) none() bool { return r.test == "-" }

// module is what a row's package path is relative to.
const module = "github.com/thriftloom/thriftloom"

// importPath returns the package as events name it.
func (r row) importPath() string { return module + strings.TrimPrefix(r.pkg, ".") }

// readRows reads files of lines "group TAB name TAB package TAB test". Empty lines and lines that begin with # are left out. A case that
// one file has a test for, and another only a reason for having none, is listed with the test. Every mistake is told with its place.
func readRows(files []string) ([]row, error) {
	var rows []row
	var mistakes []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for i, line := range strings.Split(string(text), "\n") {
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			r, err := parseRow(line)
			if err != nil {
				mistakes = append(mistakes, fmt.Sprintf("%s:%d: %v", file, i+1, err))
				continue
			}
			rows = append(rows, r)
		}
	}
	if len(mistakes) > 0 {
		return nil, fmt.Errorf("%s", strings.Join(mistakes, "\n"))
	}
	tested := map[string]bool{}
	for _, r := range rows {
		tested[r.group+"\t"+r.name] = tested[r.group+"\t"+r.name] || !r.none()
	}
	return slices.DeleteFunc(rows, func(r row) bool { return r.none() && tested[r.group+"\t"+r.name] }), nil
}

func parseRow(line string) (row, error) {
	f := strings.Split(line, "\t")
	if len(f) != 4 {
		return row{}, fmt.Errorf("%d fields, want 4 with tabs between: group, name, package, test", len(f))
	}
	if slices.Contains(f, "") {
		return row{}, fmt.Errorf("an empty field in %q", line)
	}
	r := row{group: f[0], name: f[1], pkg: f[2], test: f[3]}
	if r.none() {
		return r, nil
	}
	if r.pkg = "./" + strings.TrimPrefix(r.pkg, "./"); strings.ContainsAny(r.pkg, " *") {
		return row{}, fmt.Errorf("%q is no package", f[2])
	}
	if !strings.HasPrefix(r.test, "Test") {
		return row{}, fmt.Errorf("%q is no test", r.test)
	}
	return r, nil
}

// command is what runs the tests of the rows, once each.
func command(rows []row) []string {
	var pkgs, tests []string
	for _, r := range rows {
		if r.none() {
			continue
		}
		top, _, _ := strings.Cut(r.test, "/")
		pkgs, tests = append(pkgs, r.pkg), append(tests, regexp.QuoteMeta(top))
	}
	args := []string{"test", "-json", "-count=1", "-timeout=20m", "-run", "^(" + strings.Join(unique(tests), "|") + ")$"}
	return append(args, unique(pkgs)...)
}

func unique[T cmp.Ordered](all []T) []T {
	all = slices.Clone(all)
	slices.Sort(all)
	return slices.Compact(all)
}
