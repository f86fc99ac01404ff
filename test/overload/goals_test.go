package overload

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// prompt is how soon a refusal has to be there.
const prompt = 5 * time.Millisecond

// HL-5: a whole fleet fails each call for a minute. All attempts are at most 1.2 times the calls, and within five seconds of the repair 95 % of
// the calls are answered, as many as before.
func TestHL5WholeFleetFails(t *testing.T) {
	const before, repaired, until = 20 * time.Second, 80 * time.Second, 100 * time.Second
	for _, load := range []float64{0.3, 0.5} { // below 200 calls a second the budget's reserve is more than a fifth of them
		t.Run(fmt.Sprintf("load %g", load), func(t *testing.T) {
			play(t, setup{idempotent: true}, func(w *world) {
				var attempts atomic.Int64
				w.arrive = func(transport.Message) {
					if w.failing.Load() {
						attempts.Add(1)
					}
				}
				time.AfterFunc(before, func() { w.failing.Store(true) })
				time.AfterFunc(repaired, func() { w.failing.Store(false) })
				w.offer(load*w.capacity(), until, func() { w.note("list", "a") })
				out, back := w.during(before, repaired, nil), w.during(repaired+5*time.Second, until, nil)
				each := float64(attempts.Load()) / float64(out.all())
				good := float64(len(back.good)) / float64(back.all())
				t.Logf("%.3f attempts a call while all fail, %.4f are answered from five seconds after the repair on", each, good)
				if each > 1.2 {
					t.Errorf("%.3f attempts a call", each)
				}
				if good < 0.95 {
					t.Errorf("%.4f of the calls are answered after the repair: %d refused, %d late, %d failed", good, len(back.refused), len(back.late), len(back.failed))
				}
			})
		})
	}
}

// HL-6: the fleet stands still for ten seconds at a load of 0.9, and callers, who wait for half a second, try up to three times again. Within
// ten seconds after the stall 90 % of the callers are answered in time. Without the overload control the same load never comes back: all that
// is answered comes too late, and is asked for again.
func TestHL6Metastable(t *testing.T) {
	const stall, resumed, until, patience = 10 * time.Second, 20 * time.Second, 36 * time.Second, 500 * time.Millisecond
	run := func(t *testing.T, queue cluster.QueueConfig) (before, after float64) {
		play(t, setup{peers: 5, queue: &queue}, func(w *world) {
			time.AfterFunc(stall, func() { w.stalled.Store(began.Add(resumed).UnixNano()) })
			var mu sync.Mutex
			asked, good := map[string]float64{}, map[string]float64{}
			w.offer(0.9*w.capacity(), until, func() {
				at := ""
				switch start := time.Since(began); {
				case start < stall-time.Second:
					at = "before"
				case start >= resumed+10*time.Second:
					at = "after"
				}
				answered := false
				for try := 0; try < 4 && !answered; try++ {
					result := make(chan *rpc.Error, 1)
					go func() { result <- w.call("list", "a") }() // which goes on when the caller is tired: nobody tells the gateway
					select {
					case e := <-result:
						answered = e == nil
					case <-time.After(patience):
					}
				}
				mu.Lock()
				defer mu.Unlock()
				if asked[at]++; answered {
					good[at]++
				}
			})
			before, after = good["before"]/asked["before"], good["after"]/asked["after"]
			t.Logf("answered in time before the stall %.4f, from ten seconds after it %.4f", before, after)
			time.Sleep(time.Minute) // until all that goes on has ended
		})
		return before, after
	}
	t.Run("with control", func(t *testing.T) {
		if before, after := run(t, cluster.Default().Queue); before < 0.99 || after < 0.9 {
			t.Errorf("%.4f before, %.4f after", before, after)
		}
	})
	t.Run("without control", func(t *testing.T) {
		if before, after := run(t, cluster.QueueConfig{MaxCalls: 100_000, MaxWait: 5 * time.Second}); before < 0.99 || after > 0.5 {
			t.Errorf("%.4f before, %.4f after: the scenario is no test of the control", before, after)
		}
	})
}

// HL-7: offered 1.5, 3 and 10 times what it can do, the fleet still does 95, 92 and 85 % of it; who is answered is answered within three times
// the 99th percentile of a fleet at rest, 99 of 100 that are refused are refused at once, and no more calls are held than the queue has room for.
func TestHL7Overload(t *testing.T) {
	const warm, until = 4 * time.Second, 12 * time.Second // it is found in 2.5 s, when the queue is full
	var unloaded time.Duration
	play(t, setup{}, func(w *world) {
		w.offer(0.1*w.capacity(), 20*time.Second, func() { w.note("list", "a") })
		rest := w.during(0, time.Minute, nil)
		unloaded = quantile(rest.good, 0.99)
	})
	for _, tt := range []struct{ load, goodput float64 }{{1.5, 0.95}, {3, 0.92}, {10, 0.85}} {
		t.Run(fmt.Sprintf("%gx", tt.load), func(t *testing.T) {
			play(t, setup{}, func(w *world) {
				var held, most atomic.Int64
				w.offer(tt.load*w.capacity(), until, func() {
					if n := held.Add(1); n > most.Load() {
						most.Store(n)
					}
					w.note("list", "a")
					held.Add(-1)
				})
				e := w.during(warm, until, nil)
				goodput := float64(len(e.good)) / (until - warm).Seconds() / w.capacity()
				p99, reject := quantile(e.good, 0.99), quantile(e.refused, 0.99)
				t.Logf("goodput %.3f, p99 %v beside %v at rest, %d refused within %v (p99), %v at most, %d late; %d held at most",
					goodput, p99, unloaded, len(e.refused), reject, quantile(e.refused, 1), len(e.late), most.Load())
				if goodput < tt.goodput || p99 > 3*unloaded || reject > prompt || len(e.failed) > 0 {
					t.Errorf("goodput %.3f, p99 %v, refusals within %v, %d failed", goodput, p99, reject, len(e.failed))
				}
				if bound := int64(cluster.Default().Queue.MaxCalls + 2*len(w.peers) + 64); most.Load() > bound { // those on their way in or out as well
					t.Errorf("%d calls were held at one time", most.Load())
				}
				if s := w.cluster.Snapshot(); s.Shed[1].Crowd == 0 {
					t.Errorf("nothing is counted: %+v", s.Shed)
				}
			})
		})
	}
}

// HL-8: at twice of what the fleet can do, 99.9 % of the critical calls are answered, and 90 % of the refusals are those of the lowest class.
func TestHL8Priorities(t *testing.T) {
	const warm, until = 2 * time.Second, 20 * time.Second
	play(t, setup{}, func(w *world) {
		w.offer(2*w.capacity(), until, func() {
			method := "prefetch"
			switch at := w.random.share(); {
			case at < 0.20:
				method = "pay"
			case at < 0.35:
				method = "list"
			case at < 0.45:
				method = "report"
			}
			w.note(method, "a")
		})
		lost, all := map[string]int{}, 0
		for method, class := range classes {
			e := w.during(warm, until, func(d done) bool { return d.method == method })
			lost[class] = e.all() - len(e.good)
			all += lost[class]
			t.Logf("%s: %d of %d answered, p99 %v", class, len(e.good), e.all(), quantile(e.good, 0.99))
			if class == "critical" && float64(len(e.good)) < 0.999*float64(e.all()) {
				t.Errorf("%d critical calls of %d were not answered", lost[class], e.all())
			}
		}
		if share := float64(lost["background"]) / float64(all); share < 0.9 || all == 0 {
			t.Errorf("of %d refusals %.3f are of the lowest class", all, share)
		}
	})
}

// HL-10: a call with a budget of 100 ms passes three hops, each of which has a queue, at 1.2 times what they can do. No hop begins to work at a
// call whose time is over, and who gets no answer is told within 5 ms of the deadline.
func TestHL10Deadlines(t *testing.T) {
	const budget = 100 * time.Millisecond
	play(t, setup{queue: &cluster.QueueConfig{MaxCalls: 1000, MaxWait: time.Minute}}, func(w *world) {
		var mu sync.Mutex
		deadlines, dispatched, late, over, good := map[string]time.Time{}, 0, 0, 0, 0
		w.arrive = func(m transport.Message) { // the method's argument is the call's name
			mu.Lock()
			defer mu.Unlock()
			dispatched++
			if !time.Now().Before(deadlines[string(m.Body)]) {
				late++
			}
		}
		hop := func(body []byte, at time.Time) error {
			_, err := w.Handle(w.Context(), &rpc.Call{
				ID: rpc.NewID(), Service: "Shop", Name: "list", Method: shop.Method("list"), Protocol: wire.Binary, Body: body, Start: time.Now(), Deadline: at,
			})
			return err
		}
		number := 0
		w.offer(1.2*w.capacity()/3, 10*time.Second, func() {
			start := time.Now()
			at := start.Add(budget)
			mu.Lock()
			number++
			body := []byte{11, 0, 1, 0, 0, 0, 8} // a field of eight bytes, and the end
			body = append(fmt.Appendf(body, "%08d", number), 0)
			deadlines[string(body)] = at
			mu.Unlock()
			var err error
			for range 3 {
				if err = hop(body, at); err != nil {
					break
				}
			}
			mu.Lock()
			defer mu.Unlock()
			switch e := rpc.AsError(err, ""); {
			case e == nil:
				good++
			case e.Code != rpc.DeadlineExceeded:
				t.Errorf("%v", e)
			}
			if time.Since(start) > budget+prompt {
				over++
			}
		})
		t.Logf("%d calls, %d answered, %d dispatches", number, good, dispatched)
		if late > 0 || over > 0 || good == 0 || good == number {
			t.Errorf("%d dispatches after the deadline, %d answers later than %v after it; %d of %d calls were answered", late, over, prompt, good, number)
		}
	})
}

// A queue of callers who wait for their turn is no overload, however long they wait: not the callers of a fleet that is always busy, each of
// whom has one call; not a batch that comes at once; and not reports that take half a minute each.
func TestPatientQueues(t *testing.T) {
	reports := cluster.Default().Queue
	reports.MaxWait = 30 * time.Minute
	for _, tt := range []struct {
		name  string
		set   setup
		calls func(w *world)
	}{
		{"64 callers before 4 servers", setup{peers: 4}, func(w *world) { w.closed(64, 30*time.Second, 0) }},
		{"200 callers who think", setup{peers: 4}, func(w *world) { w.closed(200, 30*time.Second, 500*time.Millisecond) }},
		{"100 callers who come one by one", setup{peers: 1}, func(w *world) {
			var all sync.WaitGroup
			for i := range 100 {
				all.Go(func() {
					for range 20 {
						w.note("list", fmt.Sprint(i))
					}
				})
				time.Sleep(8 * time.Millisecond) // faster than they are answered
			}
			all.Wait()
		}},
		{"a batch at once", setup{peers: 2}, func(w *world) {
			var all sync.WaitGroup
			for range 800 {
				all.Go(func() { w.note("list", "a") })
			}
			all.Wait()
		}},
		{"a batch beside calls", setup{peers: 10}, func(w *world) {
			time.AfterFunc(5*time.Second, func() {
				for range 500 {
					go w.note("report", "b")
				}
			})
			w.offer(0.6*w.capacity(), 15*time.Second, func() { w.note("list", "a") })
		}},
		{"reports of half a minute", setup{peers: 2, work: 30 * time.Second, even: true, timeout: time.Hour, queue: &reports}, func(w *world) {
			w.closed(20, 2*time.Hour, time.Minute)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, tt.set, func(w *world) {
				tt.calls(w)
				e := w.during(0, 1<<62, nil)
				t.Logf("%d calls, half of them within %v, all within %v", e.all(), quantile(e.good, 0.5), quantile(e.good, 1))
				if len(e.good) != e.all() {
					t.Errorf("%d refused, %d late, %d failed of %d; %+v", len(e.refused), len(e.late), len(e.failed), e.all(), w.cluster.Snapshot().Shed)
				}
			})
		})
	}
}

// closed lets so many callers call for a time, each of whom waits for its answer and then thinks.
func (w *world) closed(callers int, during, thinks time.Duration) {
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(w.random.wait(thinks)) {
				w.note("list", fmt.Sprint(i))
			}
		})
	}
	all.Wait()
}
