//go:build linux

package faults

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/transport"
)

// A server of three that comes and goes, 5 s each, for ten minutes: one call in a thousand may notice, it is left alone for longer from one time
// to the next, and the log has less than a line a second.
func TestHL13(t *testing.T) {
	t.Run("flap", func(t *testing.T) {
		for _, tt := range []struct {
			name   string
			checks cluster.Checks
			fails  bool // it is there, and fails its calls
			most   int  // calls that meet it each time, on average, once it is known
		}{
			{"gone", cluster.Checks{}, false, 4}, // the one at work, and 0, 100 and 300 ms after its end; the next would be 5 s later
			{"gone, and checked", cluster.Checks{Interval: 10 * time.Second}, false, 4},
			{"failing", cluster.Checks{}, true, 4}, // it is out for 6 to 12 s, and there or not when it is tried; without growth there are 7
		} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { flap(t, tt.checks, tt.fails, tt.most) })
			})
		}
	})
}

func flap(t *testing.T, checks cluster.Checks, fails bool, most int) {
	const period, minutes = 5 * time.Second, 10
	var lines int
	var failing atomic.Bool
	s := open(t, setup{
		peers:   3,
		options: cluster.Options{Slots: 4, Checks: checks, OnState: func(string, string) { lines++ }},
		prepare: func(i int, p *fakepeer.Peer) {
			if i == 0 {
				p.Script = func(m transport.Message) fakepeer.Answer {
					if failing.Load() {
						return fakepeer.Answer{Close: true}
					}
					return echo(m)
				}
			}
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	s.ended.Go(func() { s.cluster.Watch(ctx) })
	went := func(up bool) {
		switch {
		case fails:
			failing.Store(!up)
		case up:
			s.stops[0] = s.listen(0)
		default:
			s.stops[0]()
			s.cut(s.address(0))
		}
	}
	c := s.caller()
	calls, noticed := 0, 0
	var met [minutes]int // of the calls' attempts, those that failed
	for phase := range minutes * int(time.Minute/period) {
		went(phase%2 == 1)
		for end := time.Now().Add(period); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			calls++
			key := c.send("get", 7)
			if a := c.read(); a.what != "OK" || a.text != key {
				noticed++
			}
			_, r := s.seen()
			met[phase/12] += strings.Count(outcomes(r), " ") // all but the last
		}
	}
	t.Logf("%d of %d calls noticed; each minute %v attempts failed; %d lines", noticed, calls, met, lines)
	if 1000*noticed > calls {
		t.Errorf("%d of %d calls noticed", noticed, calls)
	}
	later := 0
	for _, n := range met[1:] {
		later += n
	}
	if times := 6 * (minutes - 1); later > times*most || !fails && checks.Interval == 0 && later >= met[0]*(minutes-1) {
		t.Errorf("after the first minute %d attempts failed in %d times, at most %d each time are right, and where it is gone fewer than in the first", later, times, most)
	}
	if lines > 60*minutes || lines == 0 {
		t.Errorf("%d lines in the log", lines)
	}
	cancel()
	s.close()
}
