package sim

import (
	"time"

	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/cluster/view"
)

// Contender is a way to balance.
type Contender struct {
	Name   string
	Policy func(w *world, g *gateway) balance.Policy
	Late   bool       // a call waits in the gateway until a replica has a free slot; else the replica's own queue is where it waits
	Strict bool       // endpoints are ejected
	View   view.Times // by which the gateways tell each other what they have in flight; zero: they do not
	Auto   bool       // the slots of a replica are learned
	Slots  int        // of a replica; 0: as many as it has workers
}

func (c Contender) slots(s *Scenario) int {
	switch {
	case c.Slots > 0:
		return c.Slots
	case !c.Late:
		return 1 << 20
	case s.Shared:
		return 2
	}
	return max(1, s.Workers)
}

func policy(p func() balance.Policy) func(*world, *gateway) balance.Policy {
	return func(*world, *gateway) balance.Policy { return p() }
}

// The contenders.
var (
	RoundRobin   = Contender{Name: "RR", Policy: policy(func() balance.Policy { return &balance.RoundRobin{} })}
	TwoChoices   = Contender{Name: "P2C", Policy: policy(func() balance.Policy { return balance.TwoChoices{} })}
	LeastRequest = Contender{Name: "LR full scan", Policy: policy(func() balance.Policy { return balance.LeastRequest{} })}
	PeakEWMA     = Contender{Name: "peak EWMA", Policy: policy(func() balance.Policy { return &balance.PeakEWMA{} })}
	BiasedEWMA   = Contender{Name: "biased EWMA", Policy: policy(func() balance.Policy { return &balance.PeakEWMA{Penalty: 5 * time.Second} })}
	Prequal      = Contender{Name: "Prequal", Policy: func(w *world, g *gateway) balance.Policy { return &prequal{w: w, g: g, quant: 0.84} }}
	PrequalCalls = Contender{Name: "Prequal, calls only", Policy: func(w *world, g *gateway) balance.Policy { return &prequal{w: w, g: g} }}
	Slots        = Contender{Name: "slots", Late: true, Strict: true, Policy: policy(func() balance.Policy { return balance.Slots{} })}
	SharedSlots  = Contender{Name: "slots, shared view", Late: true, Strict: true, View: view.DefaultTimes(), Policy: policy(func() balance.Policy { return balance.Slots{} })}
)
