package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
)

// A server that closes idle connections after 1 s, behind a gateway that was told of one that does so after 3 s: the gateway learns it from
// two closes, says so once, and from then on it is the gateway that ends the connections. No call meets an end, at gaps around the limit
// too. Each caller has a service of its own, which learns for itself.
func TestEarlyClosesAreLearned(t *testing.T) {
	peertest.Require(t)
	const callers, turns = 12, 5
	early := served{name: "threaded", kind: peertest.Threaded, server: "threaded", flags: []string{"--client-timeout", "1000"}}
	f := newFront(t, []served{early})
	s, addresses := f.servers[0], make([]string, callers)
	for n := range callers {
		addresses[n] = f.service(fmt.Sprintf("k%d", n), early, s, 1)
	}
	f.start(t)

	learned := func() (n int, failures int64) {
		for _, c := range snapshot(f.admin).Clusters {
			failures += c.Endpoints[0].Failures
			if is := c.Endpoints[0].LearnedIdleSeconds; is > 0.5 && is < 1 {
				n++
			}
		}
		return n, failures
	}
	var all sync.WaitGroup
	each := func(do func(n int, k *kinds)) {
		for n := range callers {
			k := dial(t, addresses[n], 1)
			all.Go(func() { do(n, k) })
		}
		all.Wait()
	}
	echo := func(k *kinds, want string) {
		if got, err := k.EchoString(context.Background(), want); err != nil || got != want {
			t.Errorf("%s: %q, %v", want, got, err)
		}
	}
	for round := 0; round < 8; round++ { // two will do where the server's clock is heeded
		each(func(n int, k *kinds) {
			echo(k, fmt.Sprintf("round %d, caller %d", round, n))
			time.Sleep(1500 * time.Millisecond)
		})
		if n, _ := learned(); n == callers {
			break
		}
	}
	n, before := learned()
	if n != callers {
		t.Fatalf("%d of %d have learned", n, callers)
	}
	taught := len(s.Seen(t).Connections)
	each(func(n int, k *kinds) {
		for turn := range turns {
			gap := 700*time.Millisecond + time.Duration(n*turns+turn)*10*time.Millisecond // to 1.3 s
			time.Sleep(gap)
			echo(k, fmt.Sprintf("caller %d after %v", n, gap))
		}
	})
	if _, after := learned(); after != before {
		t.Errorf("%d attempts failed after the lesson", after-before)
	}
	if told := strings.Count(f.up.Output(), "closes connections early"); told != callers {
		t.Errorf("it is told %d times, by %d upstreams", told, callers)
	}
	time.Sleep(1500 * time.Millisecond)
	byServer, later := 0, s.Seen(t).Connections[taught:]
	for _, c := range later {
		if c.By != "peer" {
			byServer++
		}
	}
	t.Logf("%d connections taught; %d came later, and the server ended %d of them", taught, len(later), byServer)
	if 10*byServer > len(later) || len(later) < callers { // a machine that is busy elsewhere may be late for one
		t.Errorf("of %d connections the server ended %d", len(later), byServer)
	}
}
