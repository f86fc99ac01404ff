package balance_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/rpc"
)

// HL-3: of five endpoints at 200 calls a second one fails three calls in ten without an answer, and each of the others one in two hundred. The
// one is out within two seconds, and in an hour none of the others ever is.
func TestHL3GreyFailure(t *testing.T) {
	const rate, hour = 200, time.Hour
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	p := balance.New(balance.Slots{}, random.IntN)
	for i := range 5 {
		p.Add(rpc.Endpoint{Name: fmt.Sprint("users-", i+1), Slots: 4})
	}
	nodes := append([]*balance.Node(nil), p.Nodes()...)
	begin := time.Now()
	var callers []*rpc.Call
	for i := range 20 {
		callers = append(callers, &rpc.Call{Name: fmt.Sprint("method", i%4), Caller: rpc.Caller{Name: fmt.Sprint("caller-", i)}})
	}
	type flight struct {
		ends time.Duration
		node *balance.Node
		r    balance.Result
	}
	var flights []flight // by when they began: all take about as long
	out, met, failed := time.Duration(0), 0, 0
	for at := time.Duration(0); at < hour; at += time.Second / rate {
		now := begin.Add(at)
		for len(flights) > 0 && flights[0].ends <= at {
			f := flights[0]
			flights = flights[1:]
			p.Done(f.node, f.r, begin.Add(f.ends))
			for _, n := range nodes[1:] {
				if n.State() != balance.Up {
					t.Fatalf("after %v %s is %s", at, n.Endpoint.Name, n.State())
				}
			}
			if out == 0 && nodes[0].State() == balance.Ejected {
				out = at
			}
		}
		call := callers[random.IntN(len(callers))]
		n, err := p.Pick(call, now)
		if err != nil {
			t.Fatalf("after %v: %v", at, err)
		}
		fails := 0.005
		if n == nodes[0] {
			fails = 0.3
			met++
		}
		r := balance.Result{Outcome: rpc.Success, Took: 10 * time.Millisecond, Call: call}
		if random.Float64() < fails {
			r.Outcome = rpc.ClosedNoReply
			failed++
		}
		flights = append(flights, flight{at + r.Took, n, r})
	}
	part := float64(met) / (rate * hour.Seconds())
	if out == 0 || out > 2*time.Second || part > 0.01 {
		t.Errorf("it was out after %v, and had %.2f %% of the calls of an hour", out, 100*part)
	}
	t.Logf("out after %v; in an hour it had %.2f %% of the calls, and %d failed", out, 100*part, failed)
}
