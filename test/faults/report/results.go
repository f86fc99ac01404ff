package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// key names a test: its package's import path and its name.
type key struct{ pkg, test string }

// result is how a test ended.
type result struct {
	action  string // pass, fail or skip
	seconds float64
}

// readEvents reads what `go test -json` writes. Lines that are no event (of a build that fails) are left out.
func readEvents(r io.Reader) (map[key]result, error) {
	results := map[key]result{}
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		var e struct {
			Action, Package, Test string
			Elapsed               float64
		}
		if bytes.HasPrefix(line, []byte("{")) && json.Unmarshal(line, &e) == nil && e.Test != "" {
			switch e.Action {
			case "pass", "fail", "skip":
				results[key{e.Package, e.Test}] = result{e.Action, e.Elapsed}
			}
		}
		if err == io.EOF {
			return results, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// printTable prints each row with its result and a summary, and reports whether every row with a test passed.
func printTable(w io.Writer, rows []row, results map[key]result) (ok bool) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "GROUP\tCASE\tRESULT\tSECONDS")
	var passed, failed, missing, elsewhere int
	for _, r := range rows {
		if r.none() {
			elsewhere++
			fmt.Fprintf(t, "%s\t%s\tnot here: %s\t-\n", r.group, r.name, r.pkg)
			continue
		}
		res, ran := results[key{r.importPath(), r.test}]
		seconds := fmt.Sprintf("%.2f", res.seconds)
		switch {
		case ran && res.action == "pass":
			passed++
			fmt.Fprintf(t, "%s\t%s\tpassed\t%s\n", r.group, r.name, seconds)
		case ran && res.action == "fail":
			failed++
			fmt.Fprintf(t, "%s\t%s\tFAILED\t%s\n", r.group, r.name, seconds)
		default:
			missing++
			why := "did not run"
			if ran {
				why = "skipped"
			}
			fmt.Fprintf(t, "%s\t%s\tMISSING: %s %s %s\t-\n", r.group, r.name, strings.TrimPrefix(r.pkg, "./"), r.test, why)
		}
	}
	_ = t.Flush()
	fmt.Fprintf(w, "%d rows: %d passed, %d failed, %d missing", passed+failed+missing, passed, failed, missing)
	if elsewhere > 0 {
		fmt.Fprintf(w, "; %d not here", elsewhere)
	}
	fmt.Fprintln(w)
	return passed > 0 && failed+missing == 0
}
