package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const events = `{"Action":"run","Package":"github.com/thriftloom/thriftloom/a","Test":"TestOne"}
# github.com/thriftloom/thriftloom/c
{"Action":"pass","Package":"github.com/thriftloom/thriftloom/a","Test":"TestOne/first_case","Elapsed":0.25}
{"Action":"fail","Package":"github.com/thriftloom/thriftloom/a","Test":"TestOne/second_case","Elapsed":1.5}
{"Action":"skip","Package":"github.com/thriftloom/thriftloom/b","Test":"TestTwo","Elapsed":0}
{"Action":"pass","Package":"github.com/thriftloom/thriftloom/b","Test":"TestOne/third_case","Elapsed":0}
{"Action":"fail","Package":"github.com/thriftloom/thriftloom/a"}
`

func table(t *testing.T, rows, events string) (string, bool, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"a.rows": rows, "events": events} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	ok, err := report(&b, dir, filepath.Join(dir, "events"))
	return b.String(), ok, err
}

// Each row is printed with its result. A test that was skipped, did not run, or ran in another package only, is missing; what is not here
// is counted apart.
func TestTable(t *testing.T) {
	got, ok, err := table(t, `# a comment

Connect	refused	a	TestOne/first_case
Connect	reset	./a	TestOne/second_case
Pool	skipped	./b	TestTwo
Pool	elsewhere	./a	TestOne/third_case
Lifecycle	rotation	comes with TLS	-
`, events)
	want := `GROUP      CASE       RESULT                                     SECONDS
Connect    refused    passed                                     0.25
Connect    reset      FAILED                                     1.50
Pool       skipped    MISSING: b TestTwo skipped                 -
Pool       elsewhere  MISSING: a TestOne/third_case did not run  -
Lifecycle  rotation   not here: comes with TLS                   -
4 rows: 1 passed, 1 failed, 2 missing; 1 not here
`
	if got != want || ok || err != nil {
		t.Errorf("got %v, %v\n%s\nwant\n%s", ok, err, got, want)
	}
}

// All is well only where every row passed, and there is one.
func TestVerdict(t *testing.T) {
	for rows, want := range map[string]bool{
		"A\ta\ta\tTestOne/first_case\n":                               true,
		"A\ta\ta\tTestOne/first_case\nA\tb\tcomes later\t-\n":         true,
		"A\ta\ta\tTestOne/first_case\nA\tb\ta\tTestOne/second_case\n": false,
		"A\ta\ta\tTestOne/first_case\nA\tb\ta\tTestNone\n":            false,
		"A\tb\tcomes later\t-\n":                                      false,
		"":                                                            false,
		"A\ta\tcomes later\t-\nA\ta\ta\tTestOne/first_case\n":         true,
		"A\ta\tcomes later\t-\nA\ta\ta\tTestOne/second_case\n":        false,
	} {
		if _, ok, err := table(t, rows, events); ok != want || err != nil {
			t.Errorf("%q: %v, %v; want %v", rows, ok, err, want)
		}
	}
}

// Every mistake in the rows is told with its place.
func TestMistakes(t *testing.T) {
	_, _, err := table(t, "A\ta\ta\nA\ta\ta\tTestOne\nA\t\ta\tTestOne\nA\ta\ta\tone\nA\ta\t./a ./b\tTestOne\n", events)
	if err == nil {
		t.Fatal("no mistakes")
	}
	for _, want := range []string{"a.rows:1: 3 fields", "a.rows:3: an empty field", "a.rows:4: \"one\" is no test", "a.rows:5: \"./a ./b\" is no package"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q in it", err, want)
		}
	}
}

// One run has every package and every test once.
func TestCommand(t *testing.T) {
	got := command([]row{
		{pkg: "./b", test: "TestTwo/x"}, {pkg: "./a", test: "TestOne"}, {pkg: "./b", test: "TestTwo/y"}, {pkg: "comes later", test: "-"},
	})
	want := []string{"test", "-json", "-count=1", "-timeout=20m", "-run", "^(TestOne|TestTwo)$", "./a", "./b"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
