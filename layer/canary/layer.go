// Package canary sends some of the calls to another upstream: a share, or those with a header or an argument.
package canary

import (
	"context"
	"sync/atomic"

	"github.com/thriftloom/thriftloom/layer/affinity"
	"github.com/thriftloom/thriftloom/layer/match"
	"github.com/thriftloom/thriftloom/rpc"
)

// Policy is where some of one method's calls go. The zero value sends none elsewhere.
type Policy struct {
	To      rpc.Handler // the other upstream; nil: none
	Percent float64     // of the calls, or of the keys where By gives some
	By      affinity.Policy
	Match   match.Match // these calls go there whatever the share is
	Trial   *Trial      // which may end it; nil: nothing does
	Counts  *Counts     // may be nil
}

// Counts is how many calls of a method went where, however often each was tried. The zero value is ready; safe for concurrent use.
type Counts struct{ Canary, Main atomic.Int64 }

// salt sets the share apart from others of the same calls.
const salt = 0x63616e617279 // "canary"

// Layer sends the calls that a policy picks to its upstream, and the others on.
//
// Which calls are picked depends on nothing but the call: all of its attempts go to the same place, and so do all calls of one key. Where
// the share grows, the keys that were there stay.
func Layer(policies rpc.PerMethod[Policy]) rpc.Layer {
	return rpc.Layer{
		Name: "canary",
		Why:  "directly above the upstream: what retry and hedge do, they do to the upstream that the call belongs to",
		Wrap: func(next rpc.Handler) rpc.Handler {
			if !policies.Any(Policy.on) {
				return next
			}
			return rpc.HandlerFunc(func(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
				p := policies.For(call)
				if !p.on() {
					return next.Handle(ctx, call)
				}
				picked := !p.Trial.Stopped() && p.picks(call)
				p.count(call, picked)
				to := next
				if picked {
					to = p.To
				}
				reply, err := to.Handle(ctx, call)
				p.Trial.saw(picked, rpc.AsError(err, call.Service))
				return reply, err
			})
		},
	}
}

func (p Policy) on() bool { return p.To != nil }

// picks reports whether the call belongs to the other upstream.
func (p *Policy) picks(call *rpc.Call) bool {
	if p.Match.Fits(call) {
		return true
	}
	if p.Percent <= 0 {
		return false
	}
	key := p.By.Key(call)
	if key == 0 {
		key = uint64(call.ID)
	}
	return match.Share(key, salt, p.Percent)
}

// count counts the call at its first attempt: one after it avoids the endpoint of the one before.
func (p *Policy) count(call *rpc.Call, picked bool) {
	switch {
	case p.Counts == nil || call.Avoid != "":
	case picked:
		p.Counts.Canary.Add(1)
	default:
		p.Counts.Main.Add(1)
	}
}
