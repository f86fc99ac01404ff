package gateway_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

var descForm = regexp.MustCompile(`fqName: "([^"]*)", help: "((?:[^"\\]|\\.)*)", unit: "[^"]*", constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}`)

// docs/metrics.md lists every metric of our own, with its labels.
func TestMetricsDoc(t *testing.T) {
	r := start(t, "listen: 127.0.0.1:0\nservices: {Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [\"127.0.0.1:1\"]}}}\n")
	descs := make(chan *prometheus.Desc)
	go func() {
		r.Registry().Describe(descs)
		close(descs)
	}()
	var rows []string
	for d := range descs {
		m := descForm.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("a description of another form: %s", d)
		}
		if !strings.HasPrefix(m[1], "rpc_") && !strings.HasPrefix(m[1], "thriftloom_") {
			continue
		}
		labels := strings.ReplaceAll(m[4], ",", ", ")
		if m[3] != "" {
			labels = strings.ReplaceAll(m[3], `"`, "") + ", " + labels
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |\n", m[1], labels, m[2]))
	}
	slices.Sort(rows)
	text := "# Metrics\n\nAt `/metrics` of `health:` and `admin:`, beside those of the Go runtime and the process. Printed by a test.\n\n" +
		"| metric | labels | what it says |\n|---|---|---|\n" + strings.Join(rows, "")
	const file = "../docs/metrics.md"
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != text {
		t.Errorf("docs/metrics.md is out of date: go test ./gateway -run Doc -update (%v)", err)
	}
}
