package soak

import (
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

// What has grown when nobody calls is a leak; what a busy moment holds is not.
func TestDrift(t *testing.T) {
	quiet := []Sample{{70, 60, 30e6}, {62, 58, 27e6}, {65, 57, 28e6}}
	for _, tt := range []struct {
		name string
		last []Sample
		want string // in the violations, "" for none
	}{
		{"steady", quiet, ""},
		{"one sample was high", append([]Sample{{900, 700, 90e6}}, quiet...), ""},
		{"within the bounds", []Sample{{67, 62, 28.3e6}}, ""},
		{"goroutines", []Sample{{68, 57, 27e6}, {69, 58, 27e6}}, "goroutines grew from 62 to 68"},
		{"descriptors", []Sample{{62, 63, 27e6}}, "descriptors grew from 57 to 63"},
		{"memory", []Sample{{62, 57, 28.4e6}}, "memory grew from 27.0 to 28.4 MB"},
		{"nothing measured", nil, "not known"},
	} {
		got := strings.Join(Drift{Least(quiet), Least(tt.last)}.Violations(false), "; ")
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: violations %q, want %q", tt.name, got, tt.want)
		}
	}
	for resident, want := range map[float64]bool{30.9e6: false, 31.1e6: true} {
		short := Drift{Least(quiet), Sample{62, 57, resident}}
		if got := len(short.Violations(true)) > 0; got != want {
			t.Errorf("a short run that ends with %.1f MB is told of: %v, want %v", resident/1e6, got, want)
		}
	}
}
