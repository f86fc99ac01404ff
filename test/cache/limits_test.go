package cache

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
)

// A limit that counts in Redis is one for all gateways. While Redis is away each counts for itself, and no call fails for that; when it is back they
// count together again.
func TestLimitOfAFleet(t *testing.T) {
	s := peertest.StartRedis(t)
	const gateways, most = 3, 30
	f := start(t, gateways, fmt.Sprintf("patience: 5s, redis: %q", s.Address),
		fmt.Sprintf("getUser: {limit: {rate: %d/h, burst: %[1]d, argument: id, store: redis}}", most))
	taken := func(id int64) int64 {
		t.Helper()
		var n, done atomic.Int64
		for w := range 2 * gateways {
			go func() {
				defer done.Add(1)
				for range 2 * most {
					_, err := f.callers[w%gateways].GetUser(context.Background(), id)
					if err == nil {
						n.Add(1)
					} else if !strings.Contains(err.Error(), fmt.Sprintf("RESOURCE_EXHAUSTED: Users.getUser: more than %d/h", most)) {
						t.Error(err)
					}
				}
			}()
		}
		peertest.Eventually(t, "all calls have ended", func() bool { return done.Load() == 2*gateways })
		return n.Load()
	}
	if n := taken(1); n != most {
		t.Errorf("%d calls are taken, %d are wanted", n, most)
	}
	s.Kill()
	if n := taken(2); n < most || n > gateways*most {
		t.Errorf("without Redis %d calls are taken", n)
	}
	s.Start()
	peertest.Eventually(t, "they count together again", func() bool {
		time.Sleep(500 * time.Millisecond)
		return taken(time.Now().UnixNano()) == most
	})
}
