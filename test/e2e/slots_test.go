package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// HL-12, with real servers: a thousand calls, each after its caller and its server have heard nothing of each other for about as long as the server allows (3 s),
// are all answered. Each caller has a service of its own, so that no other call keeps the upstream's connection busy.
func TestIdleGaps(t *testing.T) {
	peertest.Require(t)
	const callers, each = 250, 4
	address := peertest.ThriftPy2.Serve(t, transport.Buffered)
	dir := peertest.Socket(t)
	file := "defaults: {timeout: 20s}\nservices:\n"
	for n := range callers {
		file += fmt.Sprintf("  K%d: {service: Kinds, idl: %s, listen: %q, upstream: {endpoints: [%q], server: threaded, slots: 1}}\n",
			n, peertest.File("kinds.thrift"), fmt.Sprintf("%s%d", dir, n), address)
	}
	peertest.StartGateway(t, file).AwaitReady(t, "")

	var all sync.WaitGroup
	all.Go(func() { closesWhenIdle(t, address) })
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var answered atomic.Int64
	for n := range callers {
		k, gaps := dial(t, fmt.Sprintf("%s%d", dir, n), 1), [each]time.Duration{}
		for i := range gaps {
			gaps[i] = 2400*time.Millisecond + time.Duration(random.Int64N(int64(1200*time.Millisecond)))
		}
		all.Go(func() {
			if err := k.Ping(context.Background()); err != nil {
				t.Errorf("caller %d, first call: %v", n, err)
			}
			for i, gap := range gaps {
				time.Sleep(gap)
				want := fmt.Sprintf("caller %d, call %d", n, i)
				if got, err := k.EchoString(context.Background(), want); err != nil || got != want {
					t.Errorf("%s after %v: %q, %v", want, gap, got, err)
					continue
				}
				answered.Add(1)
			}
		})
	}
	all.Wait()
	t.Logf("%d of %d answered", answered.Load(), callers*each)
}

// closesWhenIdle is the control: the server does close a connection of its own accord.
func closesWhenIdle(t *testing.T, address string) {
	c := rawDial(t, address)
	c.send(message("ping", wire.Call, 1))
	if m, _, err := c.read(); err != nil || m.Head.Type != wire.Reply {
		t.Errorf("ping: %+v, %v", m.Head, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(4 * time.Second))
	if _, _, err := c.read(); err == nil || isTimeout(err) {
		t.Errorf("the server does not close an idle connection within 4s: %v", err)
	}
}

func isTimeout(err error) bool {
	e, ok := err.(interface{ Timeout() bool })
	return ok && e.Timeout()
}

// A caller that has sent half a request holds no worker: where there is only one, the others are served meanwhile, and then it is.
func TestSlowCallerHoldsNoWorker(t *testing.T) {
	peertest.Require(t)
	front := peertest.FreePort(t)
	g := peertest.StartGateway(t, config(front, fmt.Sprintf("upstream: {run: %s, server: simple}", run(peertest.ThriftPy2, 1))))
	awaitReplicas(t, g, 1)
	request := message("echoString", wire.Call, 5, "slowly")
	slow := rawDial(t, front)
	slow.send(request[:len(request)/2])
	k := dial(t, front, 4)
	for n := range int32(50) {
		if got, err := k.EchoI32(t.Context(), n); err != nil || got != n {
			t.Fatalf("%d, %v", got, err)
		}
	}
	slow.send(request[len(request)/2:])
	if got := result(slow.answer(5, wire.Reply)); got != "slowly" {
		t.Errorf("the slow caller got %q", got)
	}
}

// A oneway keeps the one slot until its handler has ended: the call behind it, of another caller, sees what the handler did.
func TestSlotIsHeldUntilOnewayEnds(t *testing.T) {
	peertest.Require(t)
	for _, l := range peertest.Libraries {
		t.Run(l.Name, func(t *testing.T) {
			front := peertest.FreePort(t)
			g := peertest.StartGateway(t, config(front, fmt.Sprintf("upstream: {run: %s, server: simple}", run(l, 1))))
			awaitReplicas(t, g, 1)
			one, other := dial(t, front, 1), dial(t, front, 1)
			for n := range 5 {
				word := fmt.Sprintf("word-%d", n)
				if err := one.Remember(t.Context(), word, 200); err != nil {
					t.Fatal(err)
				}
				peertest.Eventually(t, "the oneway has its slot", func() bool { return methodCalls(g, "remember") == int64(n+1) })
				got, err := other.Remembered(t.Context(), word)
				if err != nil || len(got) != 1 {
					t.Errorf("behind %s: %q, %v: it ran beside the oneway", word, got, err)
				}
			}
		})
	}
}

// methodCalls is how many calls of a method of the only service have been answered.
func methodCalls(g *peertest.Gateway, name string) int64 {
	for _, m := range g.Snapshot().Services[0].Methods {
		if m.Name == name {
			return m.Calls
		}
	}
	return 0
}

// A oneway that raises, at which servers close the connection or send an answer that nobody asked for, harms no other call, whether its
// caller sent it as a oneway or, as old clients do, as a call.
func TestOnewayThatRaises(t *testing.T) {
	peertest.Require(t)
	for _, l := range peertest.Libraries {
		t.Run(l.Name, func(t *testing.T) {
			front := peertest.FreePort(t)
			g := peertest.StartGateway(t, config(front, fmt.Sprintf("upstream: {run: %s, server: simple}", run(l, 1))))
			awaitReplicas(t, g, 1)
			other := dial(t, front, 1)
			c := rawDial(t, front)
			for n := range int32(40) {
				typ := wire.Oneway
				if n%2 == 0 {
					typ = wire.Call
				}
				c.send(message("stumble", typ, 2*n, "word"))
				if got, err := other.EchoI32(t.Context(), n); err != nil || got != n {
					t.Fatalf("call %d of the other caller: %d, %v", n, got, err)
				}
				want := fmt.Sprintf("call %d", n)
				c.send(message("echoString", wire.Call, 2*n+1, want))
				if got := result(c.answer(2*n+1, wire.Reply)); got != want {
					t.Fatalf("got %q, want %q", got, want)
				}
			}
			if words, err := other.Remembered(t.Context(), "word"); err != nil || len(words) != 40 {
				t.Errorf("%d of 40 oneways ran, %v", len(words), err)
			}
		})
	}
}
