package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/internal/peertest"
)

// bigIDL is an IDL of at least that many lines, of what IDLs are made of.
func bigIDL(lines int) string {
	var b strings.Builder
	b.WriteString("namespace py big\n\ntypedef i64 Id\n\n")
	for n := 0; strings.Count(b.String(), "\n") < lines; n++ {
		fmt.Fprintf(&b, "// Color%d is one of three.\nenum Color%d {\n  RED = 1,\n  GREEN = 2,\n  BLUE = 3,\n}\n\n", n, n)
		fmt.Fprintf(&b, "const list<i32> SIZES%d = [1, 2, 3]\n\n", n)
		fmt.Fprintf(&b, "struct Item%d {\n  1: required Id id,\n  2: optional string name = \"item\",\n  3: Color%d color = Color%d.RED,\n", n, n, n)
		fmt.Fprintf(&b, "  4: list<string> tags,\n  5: map<string, list<i64>> marks,\n  6: binary raw,\n  7: double weight,\n}\n\n")
		fmt.Fprintf(&b, "union Either%d {\n  1: Item%d item,\n  2: string text,\n}\n\n", n, n)
		fmt.Fprintf(&b, "exception Missing%d {\n  1: Id id,\n  2: string message,\n}\n\n", n)
		fmt.Fprintf(&b, "service Items%d {\n  void ping(),\n  Item%d get(1: Id id) throws (1: Missing%d missing),\n", n, n, n)
		fmt.Fprintf(&b, "  list<Item%d> find(1: map<string, string> where, 2: i32 limit),\n  oneway void note(1: Either%d what),\n}\n\n", n, n)
	}
	return b.String()
}

// timePython loads the file with ThriftPy2, whose parser has been warmed up, and prints for how many seconds, and the services.
const timePython = `
import sys, time, thriftpy2
thriftpy2.load(sys.argv[1], module_name="small_thrift")
start = time.perf_counter()
module = thriftpy2.load(sys.argv[2], module_name="big_thrift")
print(time.perf_counter() - start, len(module.__thrift_meta__["services"]))
`

// An IDL of 10,000 lines loads in well under a tenth of the time that ThriftPy2 takes for it.
func TestBigIDLLoadsFast(t *testing.T) {
	peertest.Require(t)
	path, text := filepath.Join(t.TempDir(), "big.thrift"), bigIDL(10_000)
	writeFile(t, path, text)
	var ratios []float64
	for range 5 {
		start := time.Now()
		doc, err := thriftloom.Load(path)
		took := time.Since(start)
		if err != nil {
			t.Fatal(err)
		}
		python, services := pythonLoad(t, path)
		if len(doc.AllServices()) != services {
			t.Fatalf("%d services; ThriftPy2 finds %d", len(doc.AllServices()), services)
		}
		ratios = append(ratios, took.Seconds()/python.Seconds())
		t.Logf("%v; ThriftPy2 %v", took.Round(10*time.Microsecond), python.Round(time.Millisecond))
	}
	slices.Sort(ratios)
	t.Logf("%d lines: median ratio %.4f", strings.Count(text, "\n"), ratios[2])
	if ratios[2] >= 0.1 {
		t.Errorf("median ratio %.3f, want less than 0.1", ratios[2])
	}
}

func pythonLoad(t *testing.T, path string) (time.Duration, int) {
	t.Helper()
	out, err := exec.Command(peertest.ThriftPy2.Python, "-c", timePython, peertest.File("kinds.thrift"), path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	fields := strings.Fields(string(out))
	seconds, err := strconv.ParseFloat(fields[0], 64)
	if err != nil {
		t.Fatalf("%s", out)
	}
	services, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatalf("%s", out)
	}
	return time.Duration(seconds * float64(time.Second)), services
}
