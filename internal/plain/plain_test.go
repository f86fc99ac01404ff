package plain

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

type inner struct {
	Tries int           `yaml:"tries" min:"1" max:"10"`
	Wait  time.Duration `yaml:"wait" min:"1ms" max:"1h"`
}

type hides struct{ n, m int }

type outer struct {
	Mode  string  `yaml:"mode" oneof:"fast,safe"`
	Bound float64 `yaml:"bound" max:"100"`
	Free  int     // has no key: anything goes
	Inner inner
	Hides hides
	List  []string
	Point *inner
}

// What is set goes over what is there, field by field where a struct shows all of them, and as a whole where it does not.
func TestOver(t *testing.T) {
	p := &inner{Tries: 9}
	base := outer{Mode: "fast", Bound: 1, Inner: inner{Tries: 3, Wait: time.Second}, Hides: hides{1, 2}, List: []string{"a"}}
	got := Over(base, outer{Bound: 2, Inner: inner{Tries: 5}, Hides: hides{n: 7}, Point: p})
	want := outer{Mode: "fast", Bound: 2, Inner: inner{Tries: 5, Wait: time.Second}, Hides: hides{n: 7}, List: []string{"a"}, Point: p}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if Over(base, outer{}).Mode != "fast" || base.Bound != 1 {
		t.Error("a zero value, or the base itself, was changed")
	}
}

// Each value that is set beyond its tags is told, with its path; what is not set is not.
func TestMistakes(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   outer
		want string
	}{
		{"nothing is set", outer{}, ""},
		{"all is well", outer{Mode: "safe", Bound: 100, Free: -7, Inner: inner{Tries: 10, Wait: time.Hour}}, ""},
		{"a text", outer{Mode: "slow"}, `C.Mode: "slow" is none of fast, safe`},
		{"too much", outer{Bound: 100.5}, "C.Bound: 100.5 is more than 100"},
		{"below zero", outer{Bound: -1}, "C.Bound: -1 is less than 0"},
		{"two of them, inside", outer{Inner: inner{Tries: 11, Wait: time.Microsecond}}, "C.Inner.Tries: 11 is more than 10\nC.Inner.Wait: 1µs is less than 1ms"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(Mistakes("C", tt.in), "\n"); got != tt.want {
				t.Errorf("%s\nwant %s", got, tt.want)
			}
		})
	}
}
