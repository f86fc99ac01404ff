//go:build linux

package faults

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/internal/peertest"
)

// What health checks find out at real servers, without a call of anybody.
func TestChecks(t *testing.T) {
	t.Run("SIGSTOP without a call", func(t *testing.T) {
		f, servers := checked(t)
		servers[0].Signal(t, syscall.SIGSTOP)
		f.becomes(0, balance.Down)
		for i := range 20 {
			if got := f.call(f.once, "ping", []byte{0}); got != "OK" {
				t.Errorf("call %d: %s", i, got)
			}
		}
		servers[0].Signal(t, syscall.SIGCONT)
		f.becomes(0, balance.Up)
	})
	t.Run("SIGKILL without a call", func(t *testing.T) {
		f, servers := checked(t)
		servers[1].Signal(t, syscall.SIGKILL)
		f.becomes(1, balance.Down)
		address := f.endpoints()[1].Name
		standalone(t, address)
		f.becomes(1, balance.Up)
	})
}

// checked is a gateway that checks two servers.
func checked(t *testing.T) (f *fleet, servers []*peertest.Process) {
	addresses := []string{peertest.FreePort(t), peertest.FreePort(t)}
	for _, address := range addresses {
		servers = append(servers, standalone(t, address))
	}
	f = newFleet(t, fmt.Sprintf("health: {interval: 200ms, timeout: 500ms, method: ping}, endpoints: [%q, %q]", addresses[0], addresses[1]))
	byName := map[string]*peertest.Process{addresses[0]: servers[0], addresses[1]: servers[1]}
	for i, e := range f.endpoints() {
		servers[i] = byName[e.Name]
	}
	return f, servers
}

// becomes waits for a state, which nobody finds out but checks, and fails the test where they are counted as calls.
func (f *fleet) becomes(i int, state string) {
	f.Helper()
	calls := f.endpoints()[i].Calls
	peertest.Eventually(f, fmt.Sprintf("endpoint %d is %s", i, state), func() bool {
		e := f.endpoints()[i]
		return e.State == state && !e.Checked.IsZero()
	})
	if e := f.endpoints()[i]; e.Calls != calls {
		f.Errorf("endpoint %d: %d calls, and nobody made one", i, e.Calls-calls)
	}
}
