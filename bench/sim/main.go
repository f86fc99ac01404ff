// Command sim plays the scenarios of package sim in full, and writes what comes of it: a table and the goals in Markdown, every run as
// CSV, and pictures.
package main

import (
	"encoding/csv"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/thriftloom/thriftloom/sim"
)

func main() {
	seeds := flag.Int("seeds", 5, "runs of each scenario with each contender")
	dir := flag.String("o", "../docs/simulation", "the `folder` for the CSV and the pictures")
	flag.Parse()
	if err := run(*seeds, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
		os.Exit(1)
	}
}

func run(seeds int, dir string) error {
	every := regexp.MustCompile("")
	table := sim.Play(every, every, seeds)
	var b strings.Builder
	fmt.Fprintf(&b, "<!-- printed by make sim -->\n\np99/p99.9 in milliseconds, %d seeds of %d calls:\n\n%s\n", seeds, table.Cells[0][0][0].Calls, table.Markdown())
	b.WriteString("| goal | promise | measured | met |\n|---|---|---|---|\n")
	for _, g := range slices.Concat(table.Goals(0), sim.Faults(seeds, 0), sim.LearnedGoals(seeds)) {
		met := "yes"
		if !g.Met {
			met = "**no**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", g.Name, g.Promise, g.Measured, met)
	}
	fmt.Print(b.String())
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "results.md"), []byte(b.String()), 0o666); err != nil {
		return err
	}
	if err := writeCSV(filepath.Join(dir, "runs.csv"), table); err != nil {
		return err
	}
	return draw(dir, table)
}

// writeCSV writes a line for each run.
func writeCSV(path string, t *sim.Table) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := csv.NewWriter(f)
	_ = w.Write([]string{"scenario", "contender", "seed", "calls", "failed", "seconds", "p50_ms", "p99_ms", "p999_ms"})
	for i, s := range t.Scenarios {
		for j, c := range t.Contenders {
			for k := range t.Cells[i][j] {
				o := &t.Cells[i][j][k]
				line := []string{s.Name, c.Name, strconv.Itoa(k + 1), strconv.Itoa(o.Calls), strconv.Itoa(o.Failed), fmt.Sprintf("%.0f", o.Duration.Seconds())}
				for _, q := range []float64{0.5, 0.99, 0.999} {
					line = append(line, fmt.Sprintf("%.1f", 1000*o.Quantile(q).Seconds()))
				}
				_ = w.Write(line)
			}
		}
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	return f.Close()
}

// short is a name as a picture has room for it.
func short(name string) string { return strings.ReplaceAll(name, ", ", ",\n") }
