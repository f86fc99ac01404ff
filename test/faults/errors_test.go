//go:build linux

package faults

import (
	"testing"

	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/internal/peertest"
)

// everybody has every server get its part of the calls, however fast it is.
const everybody = "balance: round_robin"

// What real servers fail, and who is blamed for it.
func TestErrors(t *testing.T) {
	peertest.Require(t)
	t.Run("sinkhole", func(t *testing.T) {
		t.Parallel()
		f := replicas(t, 3, everybody)
		bad := f.spoil("failing", 5000)
		c := connect(t, f.again)
		defer c.Close()
		f.untilEjected(c, bad)
		if failures := f.endpoint(bad).Failures; failures > 5 {
			t.Errorf("ejected after %d failures", failures)
		}
		peertest.Eventually(t, "it is repaired, and back", func() bool {
			return c.call("pid", []byte{0}) == "OK" && f.endpoint(bad).State == balance.Up
		})
	})
	t.Run("30 % grey", func(t *testing.T) {
		t.Parallel()
		f := replicas(t, 5, everybody)
		bad := f.spoil("grey", 60_000)
		c := connect(t, f.again)
		defer c.Close()
		calls := f.untilEjected(c, bad)
		for _, e := range f.endpoints() {
			if e.Name != bad && e.State != balance.Up {
				t.Errorf("%s is %s, and does nothing wrong", e.Name, e.State)
			}
		}
		t.Logf("ejected after %d calls", calls)
	})
	t.Run("poison call", func(t *testing.T) {
		t.Parallel()
		f := replicas(t, 3)
		c := connect(t, f.once)
		defer c.Close()
		for i := range 300 {
			method, body, want := "pid", []byte{0}, "OK"
			if i%10 == 0 {
				method, body, want = "sleep", number(-1), "HANDLER_FAILED" // nobody can sleep for less than nothing
			}
			if got := c.call(method, body); got != want {
				t.Fatalf("call %d: %s", i, got)
			}
		}
		failures := int64(0)
		for _, e := range f.endpoints() {
			if failures += e.Failures; e.State != balance.Up {
				t.Errorf("%s is %s, for what a caller does", e.Name, e.State)
			}
		}
		if failures != 30 {
			t.Errorf("%d failures", failures)
		}
	})
	t.Run("poison call, broken", func(t *testing.T) {
		t.Parallel()
		f := replicas(t, 3, "breaker: {}")
		c := connect(t, f.once)
		defer c.Close()
		got := map[string]int64{}
		for i := range 300 {
			if i%2 == 0 {
				got[c.call("sleep", number(-1))]++
			} else if pid := c.call("pid", []byte{0}); pid != "OK" {
				t.Fatalf("call %d: %s", i, pid)
			}
		}
		failures := int64(0)
		for _, e := range f.endpoints() {
			if failures += e.Failures; e.State != balance.Up {
				t.Errorf("%s is %s, for what a caller does", e.Name, e.State)
			}
		}
		if got["UNAVAILABLE"] == 0 || got["HANDLER_FAILED"] < 5 || failures != got["HANDLER_FAILED"] || len(got) != 2 {
			t.Errorf("the caller got %v, of which the servers had %d", got, failures)
		}
		for _, s := range f.gateway.Snapshot().Services {
			if s.Name == "Once" && (s.Breaker == nil || len(s.Breaker.Open) != 1 || s.Breaker.Open[0].Method != "sleep") {
				t.Errorf("the snapshot says %+v", s.Breaker)
			}
		}
		peertest.Eventually(t, "it is mended, and let through", func() bool { return c.call("sleep", number(0)) == "OK" })
		if other := c.call("sleep", number(0)); other != "OK" {
			t.Errorf("the next call: %s", other)
		}
	})
}

// untilEjected makes calls that may be made again until an endpoint is ejected, and returns how many. No caller notices.
func (f *fleet) untilEjected(c *outside, name string) (calls int) {
	f.Helper()
	for ; f.endpoint(name).State != balance.Ejected; calls++ {
		if got := c.call("pid", []byte{0}); got != "OK" {
			f.Fatalf("call %d: %s", calls, got)
		}
		if calls == 1000 {
			f.Fatalf("after %d calls it is %+v", calls, f.endpoint(name))
		}
	}
	return calls
}

// spoil lets one server fail for some time, and returns its name.
func (f *fleet) spoil(how string, millis int32) string {
	f.Helper()
	before := map[string]int64{}
	for _, e := range f.endpoints() {
		before[e.Name] = e.Calls
	}
	if got := f.misbehave(how, millis); got != "OK" {
		f.Fatalf("misbehave: %s", got)
	}
	name := ""
	peertest.Eventually(f, "it is known which", func() bool {
		for _, e := range f.endpoints() {
			if e.Calls > before[e.Name] {
				name = e.Name
			}
		}
		return name != ""
	})
	return name
}

// endpoint returns one of the endpoints.
func (f *fleet) endpoint(name string) (found struct {
	State    string
	Failures int64
}) {
	for _, e := range f.endpoints() {
		if e.Name == name {
			found.State, found.Failures = e.State, e.Failures
		}
	}
	return found
}
