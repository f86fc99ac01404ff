package soak

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sort"
	"strings"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
)

// maxShown bounds the failures that are printed one by one.
const maxShown = 30

// judge ends the program, prints the record, and fails the test for each violation.
func (w *world) judge(took time.Duration, drift Drift, all traffic) {
	w.end()
	explained, others := Sort(all.failures, w.faults, settle)
	for i, f := range others {
		if i == maxShown {
			w.complain("… and %d more unexplained", len(others)-maxShown)
			break
		}
		w.complain("unexplained: %s %s.%s after %v: %s%s", f.End.Format("15:04:05.000"), f.Service, f.Method,
			f.End.Sub(f.Start).Round(time.Millisecond), f.Text, w.meanwhile(f))
	}
	for _, v := range drift.Violations(*duration < longRun) {
		w.complain("%s", v)
	}
	if all.calls == 0 {
		w.complain("no call was made")
	}
	verdict := "no violation"
	if len(w.wrong) > 0 || w.Failed() {
		verdict = "VIOLATIONS"
	}
	fmt.Print(w.record(took, all.calls, explained, len(others), drift, verdict))
}

// meanwhile names the faults that were at work at a failure's time, for those who look for its cause.
func (w *world) meanwhile(x Failure) string {
	for _, f := range w.faults {
		if x.End.After(f.Start) && x.Start.Before(f.End.Add(settle)) {
			return " (meanwhile: " + f.Name + ")"
		}
	}
	return ""
}

// record is what can be put into the docs, in Markdown.
func (w *world) record(took time.Duration, calls int64, explained map[string]int, others int, d Drift, verdict string) string {
	played := map[string]int{}
	for _, f := range w.faults {
		played[f.Name]++
	}
	names := make([]string, 0, len(played))
	sum := 0
	for name := range played {
		names = append(names, name)
		sum += explained[name]
	}
	sort.Strings(names)
	var b strings.Builder
	row := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "| %s | %s |\n", what, fmt.Sprintf(format, args...))
	}
	b.WriteString("\n| soak | |\n|---|---|\n")
	row("verdict", "%s", verdict)
	row("date", "%s", time.Now().UTC().Format("2006-01-02 15:04 UTC"))
	row("machine", "%d CPUs (%s), %s", runtime.NumCPU(), cpu(), system())
	row("versions", "thriftloom %s, %s, ThriftPy2 %s and ThriftPy 0.3.9", commit(), runtime.Version(), peertest.Version)
	row("seed", "%d", *seed)
	row("duration", "%s, the warm-up included", took.Round(time.Second))
	row("calls", "%d, %.0f a second", calls, float64(calls)/took.Seconds())
	row("faults", "%d", len(w.faults))
	row("failed calls", "%d explained by a fault, %d not", sum, others)
	row("goroutines", "%d, then %d", d.First.Goroutines, d.Last.Goroutines)
	row("descriptors", "%d, then %d", d.First.Files, d.Last.Files)
	row("memory", "%.1f MB, then %.1f MB (%+.1f%%)", d.First.Resident/1e6, d.Last.Resident/1e6, 100*(d.Last.Resident/max(d.First.Resident, 1)-1))
	b.WriteString("\nThe two figures are the least that was held in ten seconds without a call, after the warm-up and at the end.\n")
	b.WriteString("\n| fault | times | calls that failed by it |\n|---|---|---|\n")
	for _, name := range names {
		fmt.Fprintf(&b, "| %s | %d | %d |\n", name, played[name], explained[name])
	}
	b.WriteString("\n")
	return b.String()
}

func cpu() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func system() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return runtime.GOOS + " " + strings.TrimSpace(string(text))
}

func commit() string {
	out, err := exec.Command("git", "-C", peertest.Root(), "describe", "--always", "--dirty").Output()
	if err != nil {
		return "of no known commit"
	}
	return strings.TrimSpace(string(out))
}
