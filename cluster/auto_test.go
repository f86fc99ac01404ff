package cluster_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/transport"
)

// An endpoint that waits is given as many slots as there are callers, a connection each, and loses slots and connections when its calls begin to
// work, one after the other. It never has more connections than slots that were tried.
func TestSlotsAreLearned(t *testing.T) {
	var works atomic.Bool
	var busy sync.Mutex
	var free time.Time // when the calls before are done
	script := func(transport.Message) fakepeer.Answer {
		if !works.Load() {
			return fakepeer.Answer{After: 10 * time.Millisecond}
		}
		busy.Lock()
		defer busy.Unlock()
		now := time.Now()
		if free.Before(now) {
			free = now
		}
		free = free.Add(10 * time.Millisecond)
		return fakepeer.Answer{After: free.Sub(now)}
	}
	with(t, 1, cluster.Options{Slots: 512, Auto: true}, script, func(t *testing.T, x *fleet) {
		at := func() cluster.EndpointSnapshot { return x.Snapshot().Endpoints[0] }
		if e := at(); e.Slots != 2 || !e.Auto {
			t.Errorf("at first %d slots, learned %v", e.Slots, e.Auto)
		}
		const callers = 32
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						if _, err := x.Handle(t.Context(), call(time.Minute)); err != nil {
							t.Error(err)
							return
						}
					}
				}
			})
		}
		time.Sleep(10 * time.Second)
		if e := at(); e.Slots < 29 || e.Connections < 29 {
			t.Errorf("where calls wait: %d slots, %d connections for %d callers", e.Slots, e.Connections, callers)
		}
		works.Store(true)
		time.Sleep(15 * time.Second)
		if e := at(); e.Slots > 4 || e.Connections > 8 {
			t.Errorf("where calls work: %d slots, %d connections", e.Slots, e.Connections)
		}
		close(stop)
		wg.Wait()
		if most := x.peers[0].MostOpen.Load(); most > 2*callers {
			t.Errorf("%d connections at once", most)
		}
	})
}
