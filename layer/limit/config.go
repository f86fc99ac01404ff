package limit

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Config is one rule of the limit layer's list, `limit`.
type Config struct {
	// Rate is how many calls are taken in a time: 100/s, 90/m or 1000/h. They are spread over it: of 60/m one comes back each second. Default
	// any number.
	Rate string `yaml:"rate"`
	// Burst is how many calls of a rate are taken at once after a rest. Default the calls of one second, 1 at least; 1 to 1,000,000.
	Burst int `yaml:"burst" min:"1" max:"1000000"`
	// InFlight bounds the calls that are worked at or wait, at one time; one more is refused at once. Default any number; 1 to 1,000,000.
	InFlight int `yaml:"in_flight" min:"1" max:"1000000"`
	// By says what is counted together: service, all calls for which the rule holds; method, those of each method; caller, those of each
	// caller, by its name, or else by its address, or connection where it is on this machine; argument, those with the same value of
	// `argument`; header, those with the same value of `header`. Default caller, argument or header where that key is there, else service, or
	// method for a rule that stands at a method.
	By string `yaml:"by" oneof:"service,method,caller,argument,header"`
	// Argument is an argument, or a field in one (user.id). Calls without it are not counted, nor are methods that have none of that name.
	Argument string `yaml:"argument"`
	// Header is a transport header, of whatever case. Calls without it are counted together.
	Header string `yaml:"header"`
	// Store is where the calls of a rate are counted: near, each gateway for itself; redis, all that share `stores.redis` together, and while that
	// does not answer each for itself. What is in flight each gateway counts for itself. Default near.
	Store string `yaml:"store" oneof:"near,redis"`
}

// Mistake is a wrong key of a rule, "" for the rule itself.
type Mistake struct{ Key, Text string }

// Mistakes returns what is wrong with a rule.
func (c *Config) Mistakes() (all []Mistake) {
	add := func(key, text string, args ...any) { all = append(all, Mistake{key, fmt.Sprintf(text, args...)}) }
	if _, err := ParseRate(c.Rate); err != nil && c.Rate != "" {
		add("rate", "%v", err)
	}
	if c.Rate == "" && c.InFlight == 0 {
		add("", "bounds nothing: rate or in_flight is missing")
	}
	if c.Burst != 0 && c.Rate == "" {
		add("burst", "is of a rate, and there is none")
	}
	if c.Store == "redis" && c.Rate == "" {
		add("store", "is where the calls of a rate are counted, and there is none")
	}
	if c.Argument != "" && c.Header != "" {
		add("header", "and argument cannot both say what is counted together: write two rules")
	}
	for _, key := range []struct{ by, value string }{{"argument", c.Argument}, {"header", c.Header}} {
		switch {
		case c.By == key.by && key.value == "":
			add("by", "%s wants the key %s", key.by, key.by)
		case c.By != "" && c.By != key.by && key.value != "":
			add("by", "%s has no use for %s", c.By, key.by)
		}
	}
	return all
}

// Rate is calls in a time. The zero value is any number.
type Rate struct {
	Calls float64
	Per   time.Duration
}

var units = []struct {
	name string
	per  time.Duration
}{{"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}}

// maxRate bounds a rate, in calls a second: beyond it nothing is a limit.
const maxRate = 1e7

// ParseRate reads a rate: 100/s.
func ParseRate(text string) (Rate, error) {
	number, unit, _ := strings.Cut(text, "/")
	calls, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	for _, u := range units {
		if err == nil && u.name == strings.TrimSpace(unit) {
			r := Rate{calls, u.per}
			if calls > 0 && r.perSecond() <= maxRate { // which no NaN is
				return r, nil
			}
			return Rate{}, fmt.Errorf("%q: above 0/s and up to %.0f/s is wanted", text, maxRate)
		}
	}
	return Rate{}, fmt.Errorf("%q is no rate: 100/s, 90/m or 1000/h is wanted", text)
}

// String returns the rate as ParseRate takes it.
func (r Rate) String() string {
	for _, u := range units {
		if u.per == r.Per {
			return strconv.FormatFloat(r.Calls, 'f', -1, 64) + "/" + u.name
		}
	}
	return ""
}

func (r Rate) perSecond() float64 { return r.Calls / r.Per.Seconds() }
