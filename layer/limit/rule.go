package limit

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
)

// Rule is a bound on calls, ready to be asked. Immutable.
type Rule struct {
	Config
	rate     Rate   // zero: any
	name     string // of what is counted: "Users", or "Users/getUser"
	counted  string // … with how it is told apart: "Users by caller"
	bucket   string // … and the rate: rules that are equal share their buckets, others do not
	argument codec.Argument
}

// Compile makes a rule of a service, in which there is no mistake, ready for the calls of one of its methods, nil for those that its IDL does not have. ofMethod says that it
// stands at the method itself. ok is false where it does not hold for the method: it counts by an argument that there is not.
func (c Config) Compile(service string, m *schema.Method, ofMethod bool) (r Rule, ok bool) {
	r.Config = c
	switch {
	case c.By != "":
	case c.Argument != "":
		r.By = "argument"
	case c.Header != "":
		r.By = "header"
	case ofMethod:
		r.By = "method"
	default:
		r.By = "service"
	}
	if r.rate, _ = ParseRate(c.Rate); r.rate.Calls > 0 && r.Burst == 0 {
		r.Burst = max(1, int(r.rate.perSecond()))
	}
	r.name = service
	if r.By == "method" || ofMethod && r.By != "service" {
		method := "_OTHER"
		if m != nil {
			method = m.Name
		}
		r.name += "/" + method
	}
	if r.By == "argument" {
		if r.argument, ok = codec.FindArgument(m, c.Argument); !ok {
			return Rule{}, false
		}
	}
	r.counted = r.name + " by " + r.By
	if what := cmp.Or(r.Argument, strings.ToLower(r.Header)); what != "" {
		r.counted += " " + what
	}
	r.bucket = fmt.Sprintf("%s, %v, %d", r.counted, r.rate, r.Burst)
	return r, true
}

// String returns what the rule bounds, for people: "100/s, 200 at once, 10 at one time, by caller".
func (r *Rule) String() string {
	var all []string
	if r.rate.Calls > 0 {
		all = append(all, r.rate.String(), fmt.Sprintf("%d at once", r.Burst))
	}
	if r.InFlight > 0 {
		all = append(all, fmt.Sprintf("%d at one time", r.InFlight))
	}
	return strings.Join(append(all, strings.TrimPrefix(r.counted, r.name+" ")), ", ")
}

// Key names a bucket: the rule, and whose it is.
type Key struct {
	Rule string // "Users by caller, 100/s, 200": of the same rule always the same
	Of   string // the caller; a digest of an argument's or a header's value, which is secret; "" where all are counted together
}

// of returns with which calls a call is counted; ok is false where the rule does not hold for it.
func (r *Rule) of(call *rpc.Call) (of string, ok bool) {
	switch r.By {
	case "caller":
		if of = call.Caller.Share(); len(of) > maxName {
			of = digest([]byte(of))
		}
	case "argument":
		text, ok := r.argument.JSON(call.Protocol, call.Body)
		if !ok {
			return "", false
		}
		return digest(text), true
	case "header":
		for _, h := range call.Headers {
			if strings.EqualFold(h.Key, r.Header) {
				return digest([]byte(h.Value)), true
			}
		}
	}
	return of, true
}

// maxName bounds what is kept of a caller's name, in bytes.
const maxName = 64

// digest is the same on every gateway, and nobody can find two values with the same one: callers choose them.
func digest(value []byte) string {
	sum := sha256.Sum256(value)
	return hex.EncodeToString(sum[:16])
}

// refusal is the error of a call that the rule does not take. It names the rule, and no value.
func (r *Rule) refusal(bound string) *rpc.Error {
	by := ""
	switch r.By {
	case "caller":
		by = " by one caller"
	case "argument":
		by = " with one " + r.Argument
	case "header":
		by = " with one " + r.Header
	}
	return &rpc.Error{
		Code: rpc.ResourceExhausted, Reach: rpc.NotSent, Op: strings.Replace(r.name, "/", ".", 1), Text: fmt.Sprintf("more than %s%s", bound, by),
	}
}
