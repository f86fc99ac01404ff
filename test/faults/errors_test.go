//go:build linux

package faults

import (
	"fmt"
	"testing"

	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
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
			if s.Name == "Once" && (s.Breaker == nil || len(s.Breaker.Open) != 1 || s.Breaker.Open[0].Method != "sleep" || s.Breaker.Open[0].Callers != 1) {
				t.Errorf("the snapshot says %+v", s.Breaker)
			}
		}
		peertest.Eventually(t, "it is mended, and let through", func() bool { return c.call("sleep", number(0)) == "OK" })
		if other := c.call("sleep", number(0)); other != "OK" {
			t.Errorf("the next call: %s", other)
		}
	})
	t.Run("undeclared exception", func(t *testing.T) {
		t.Parallel()
		f := replicas(t, 1)
		for _, address := range []string{f.once, f.again} { // it may be made again, and ends as it did before
			c := connect(t, address)
			if got := c.call("sleep", number(-1)); got != "HANDLER_FAILED" {
				t.Errorf("the caller got %s", got)
			}
			if got := c.call("pid", []byte{0}); got != "OK" {
				t.Errorf("the next call on its connection: %s", got)
			}
			_ = c.Close()
		}
		for _, r := range f.gateway.Snapshot().Replicas {
			if r.Restarts != 0 {
				t.Errorf("%s was started anew", r.Name)
			}
		}
		f.works()
	})
	t.Run("UNKNOWN_METHOD on half the fleet", func(t *testing.T) {
		t.Parallel()
		older, newer := peertest.FreePort(t), peertest.FreePort(t)
		standalone(t, older, "--without", "pid")
		standalone(t, newer)
		f := newFleet(t, fmt.Sprintf("endpoints: [%q, %q]", older, newer), everybody)
		results := map[string]map[int32]int{f.again: {}, f.once: {}}
		for address, types := range results {
			c := connect(t, address)
			for range 100 {
				types[c.application("pid")]++
			}
			_ = c.Close()
		}
		if got := results[f.again]; got[0] != 100 { // idempotent: the one that has the method answers
			t.Errorf("calls that may be made again ended with %v", got)
		}
		if got := results[f.once]; got[0] != 50 || got[1] != 50 {
			t.Errorf("calls that may not ended with %v, want half of them UNKNOWN_METHOD", got)
		}
		for _, e := range f.endpoints() {
			if e.State != balance.Up || e.Failures != 0 {
				t.Errorf("%s is %s with %d failures: its version is older, that is all", e.Name, e.State, e.Failures)
			}
		}
		f.works()
	})
	t.Run("declared exception storm", func(t *testing.T) {
		t.Parallel()
		f := replicas(t, 3)
		for _, address := range []string{f.once, f.again} {
			c := connect(t, address)
			for i := range 300 {
				if got := c.call("refuse", []byte{0}); got != "OK" { // a reply, whatever is in it
					t.Fatalf("call %d: %s", i, got)
				}
			}
			_ = c.Close()
		}
		calls := int64(0)
		for _, e := range f.endpoints() {
			calls += e.Calls
			if e.State != balance.Up || e.Failures != 0 {
				t.Errorf("%s is %s with %d failures, for what its callers did", e.Name, e.State, e.Failures)
			}
		}
		if calls < 600 || calls > 610 {
			t.Errorf("%d attempts for 600 calls", calls)
		}
	})
}

// application calls a method without arguments and returns the type of the TApplicationException that it ends with; 0: none.
func (c *outside) application(method string) int32 {
	c.t.Helper()
	m, err := c.exchange(method, []byte{0})
	if err != nil {
		c.t.Fatal(err)
	}
	if m.Head.Type != wire.Exception {
		return 0
	}
	typ, _, err := binary.ParseApplication(m.Body, wire.Limits{})
	if err != nil {
		c.t.Fatal(err)
	}
	return typ
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
