package soak

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func at(seconds float64) time.Time { return time.Unix(1000, 0).Add(time.Duration(seconds * 1e9)) }

// A failure is explained by a fault at that time, of that service, with a code that the fault brings about, and only as many as were at
// work there; one of an idempotent method never is.
func TestSort(t *testing.T) {
	kill := Fault{Name: "kill", Start: at(10), End: at(11), Service: "Once", Codes: []string{"HANDLER_FAILED"}, AtMost: 2}
	quiet := Fault{Name: "stop", Start: at(20), End: at(23)}
	hit := Failure{Start: at(9.9), End: at(10.1), Service: "Once", Text: "HANDLER_FAILED: Once.sleep: gone; call 1"}
	with := func(change func(f *Failure)) Failure {
		f := hit
		change(&f)
		return f
	}
	for name, tt := range map[string]struct {
		failures  []Failure
		explained int
	}{
		"at work when it came":      {[]Failure{hit}, 1},
		"as many as there were":     {[]Failure{hit, hit}, 2},
		"one more than there were":  {[]Failure{hit, hit, hit}, 2},
		"just behind it":            {[]Failure{with(func(f *Failure) { f.Start, f.End = at(11.5), at(11.6) })}, 1},
		"long behind it":            {[]Failure{with(func(f *Failure) { f.Start, f.End = at(14), at(14.1) })}, 0},
		"before it":                 {[]Failure{with(func(f *Failure) { f.Start, f.End = at(9), at(9.9) })}, 0},
		"of another service":        {[]Failure{with(func(f *Failure) { f.Service = "Again" })}, 0},
		"idempotent":                {[]Failure{with(func(f *Failure) { f.Idempotent = true })}, 0},
		"with another code":         {[]Failure{with(func(f *Failure) { f.Text = "DEADLINE_EXCEEDED: late" })}, 0},
		"the connection broke":      {[]Failure{with(func(f *Failure) { f.Text = "CONNECTION: EOF" })}, 0},
		"while a quiet fault works": {[]Failure{with(func(f *Failure) { f.Start, f.End = at(21), at(22) })}, 0},
	} {
		explained, others := Sort(tt.failures, []Fault{quiet, kill}, 2*time.Second)
		if explained["kill"] != tt.explained || len(others) != len(tt.failures)-tt.explained {
			t.Errorf("%s: explained %v, %d others; want %d explained", name, explained, len(others), tt.explained)
		}
	}
}

// What grows in calm moments is a leak; what comes and goes with calls and faults, and what the warm-up brings, is not.
func TestDrift(t *testing.T) {
	steady := func(i int) Sample {
		return Sample{At: at(float64(i)), Goroutines: 100 + i%17, Files: 50 + i%5, Resident: 40e6 + float64(i%3)*1e5, Calm: true}
	}
	for _, tt := range []struct {
		name   string
		change func(i int, s *Sample)
		want   string // in the violations, "" for none
	}{
		{"steady", func(int, *Sample) {}, ""},
		{"grows in the warm-up", func(i int, s *Sample) { s.Resident += 1e6 * float64(min(i, 20)) }, ""},
		{"high while a fault is at work", func(i int, s *Sample) {
			if i%10 < 4 {
				s.Calm, s.Goroutines, s.Resident = false, 1000+i, 1e9
			}
		}, ""},
		{"a goroutine a second", func(i int, s *Sample) { s.Goroutines += i }, "goroutines grew"},
		{"a descriptor every two seconds", func(i int, s *Sample) { s.Files += i / 2 }, "descriptors grew"},
		{"a tenth of memory", func(i int, s *Sample) { s.Resident *= 1 + float64(i)/1000 }, "memory grew"},
		{"never calm", func(_ int, s *Sample) { s.Calm = false }, "too few"},
	} {
		var samples []Sample
		for i := range 120 {
			s := steady(i)
			tt.change(i, &s)
			samples = append(samples, s)
		}
		got := fmt.Sprint(DriftOf(samples, at(20)).Violations())
		if tt.want == "" && got != "[]" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s, want %q", tt.name, got, tt.want)
		}
	}
}
