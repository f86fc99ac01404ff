package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/wire"
)

// A server never has more connections than slots, as the kernel counts them, those that wait to be accepted too, though four times as many
// callers are at work, pause, and come back. A server whose workers have one connection each so never has more than workers.
func TestNoKindGetsMoreConnectionsThanSlots(t *testing.T) {
	peertest.Require(t)
	f := newFront(t, everyKind)
	fronts := make([]string, len(everyKind))
	for i, k := range everyKind {
		fronts[i] = f.service(fmt.Sprintf("k%d", i), k, f.servers[i], k.slots)
	}
	f.start(t)
	var callers, watching sync.WaitGroup
	done, most := make(chan struct{}), make([]atomic.Int64, len(everyKind))
	watching.Go(func() {
		for {
			for i, n := range f.established(t) {
				for range 2 { // the table is read piece by piece: a connection that ends meanwhile, and its successor, may both be in it
					if n > everyKind[i].slots {
						n = min(n, f.established(t)[i])
					}
				}
				most[i].Store(max(most[i].Load(), int64(n)))
			}
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	for i, address := range fronts {
		for n := range 4 * everyKind[i].slots {
			k := dial(t, address, 1)
			callers.Go(func() {
				for turn := 0; turn < 40 || turn < 400 && most[i].Load() < int64(everyKind[i].slots); turn++ { // until all slots were seen in use
					if _, err := k.Sleep(context.Background(), 5); err != nil {
						t.Errorf("%s, caller %d, turn %d: %v", everyKind[i].name, n, turn, err)
					}
					if turn%10 == 9 { // all fall silent for longer than connections are kept, each a little later
						time.Sleep(time.Second + time.Duration(n)*30*time.Millisecond)
					}
				}
			})
		}
	}
	callers.Wait()
	close(done)
	watching.Wait()
	for i, k := range everyKind {
		t.Run(k.name, func(t *testing.T) {
			if n := most[i].Load(); n != int64(k.slots) {
				t.Errorf("at most %d connections, want %d", n, k.slots)
			}
		})
	}
}

// established returns how many connections the program has to each server, as the kernel has them.
func (f *front) established(t *testing.T) []int {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]bool{} // by inode: who else uses the ports is not counted
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", f.up.PID))
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil {
			own[strings.TrimSuffix(strings.TrimPrefix(link, "socket:["), "]")] = true
		}
	}
	to := map[string]int{}
	for line := range strings.Lines(string(table)) {
		// sl local remote state queues timer retransmits uid timeout inode …; state 1 is ESTABLISHED
		if f := strings.Fields(line); len(f) > 9 && f[3] == "01" && own[f[9]] {
			to[f[2]]++
		}
	}
	counts := make([]int, len(f.servers))
	for i, s := range f.servers {
		a, err := net.ResolveTCPAddr("tcp", s.Address)
		if err != nil {
			t.Fatal(err)
		}
		counts[i] = to[fmt.Sprintf("0100007F:%04X", a.Port)]
	}
	return counts
}

// One process that works on many calls at once is given 64, and has all of them at work at the same moment.
func TestSixtyFourCallsAtOnce(t *testing.T) {
	peertest.Require(t)
	const many = 64
	var loops []served
	for _, k := range everyKind {
		if k.loop {
			loops = append(loops, k)
		}
	}
	f := newFront(t, loops)
	for i, k := range loops {
		address := f.service(fmt.Sprintf("k%d", i), k, f.servers[i], many)
		defer func() {
			t.Run(k.name, func(t *testing.T) { atOnce(t, f.servers[i], dial(t, address, many), many) })
		}()
	}
	f.start(t)
}

func atOnce(t *testing.T, s *peertest.Server, k *kinds, many int) {
	most := 0
	for millis := int32(300); most < many && millis < 10_000; millis *= 2 { // a slow machine takes longer to bring them all there
		var all sync.WaitGroup
		start := time.Now()
		for range many {
			all.Go(func() {
				if got, err := k.Sleep(context.Background(), millis); err != nil || got != millis {
					t.Errorf("%d, %v", got, err)
				}
			})
		}
		all.Wait()
		seen := s.Seen(t)
		if len(seen.AtWork) != 1 {
			t.Fatalf("%d processes were at work", len(seen.AtWork))
		}
		for _, most = range seen.AtWork {
			t.Logf("%d calls of %d ms: %d at work at once, all answered after %v", many, millis, most, time.Since(start).Round(time.Millisecond))
		}
	}
	if most != many {
		t.Errorf("%d calls were at work at once, want %d", most, many)
	}
}

// The control: when the servers by themselves end a connection that is idle, which is what the gateway's times stand below.
func TestWhenServersEndIdleConnections(t *testing.T) {
	peertest.Require(t)
	for _, k := range []struct {
		kind peertest.Kind
		ends time.Duration // zero: never
	}{
		{peertest.Threaded, 3 * time.Second},
		{peertest.Simple, 3 * time.Second},
		{peertest.Aio, 3 * time.Second},
		{peertest.GunicornSync, 2 * time.Second},
		{peertest.GunicornAsync, 2 * time.Second},
		{peertest.GunicornThriftSync, 0},
		{peertest.GunicornThriftGevent, 0},
	} {
		t.Run(k.kind.Name, func(t *testing.T) {
			t.Parallel()
			s := k.kind.Serve(t, peertest.FreePort(t))
			c := rawDial(t, s.Address)
			c.send(message("ping", wire.Call, 1))
			c.answer(1, wire.Reply)
			start := time.Now()
			if k.ends == 0 {
				_ = c.SetDeadline(start.Add(6 * time.Second))
			}
			_, _, err := c.read()
			took := time.Since(start)
			switch {
			case k.ends == 0 && !isTimeout(err):
				t.Errorf("ended after %v: %v", took, err)
			case k.ends != 0 && (isTimeout(err) || took < k.ends*9/10):
				t.Errorf("ended after %v, want %v: %v", took, k.ends, err)
			}
			t.Logf("%v after %v", err, took.Round(10*time.Millisecond))
		})
	}
	t.Run("tornado", func(t *testing.T) {
		t.Parallel()
		s := peertest.Tornado.Serve(t, peertest.FreePort(t))
		for idle := 1500 * time.Millisecond; !deadAfter(t, s.Address, idle); idle *= 2 {
			if idle > 20*time.Second {
				t.Fatalf("a connection that was idle for %v is served", idle)
			}
		}
	})
}

// deadAfter reports whether a Tornado server does not answer on a connection that was idle for so long, as it does on a fresh one. It stops
// reading after a second. Up to Python 3.10 it closes the connection then; since 3.11, where a timeout is an OSError, it leaves it open, and
// who uses it waits for ever.
func deadAfter(t *testing.T, address string, idle time.Duration) bool {
	c := rawDial(t, address)
	ping := message("ping", wire.Call, 1)
	ping = append([]byte{0, 0, 0, byte(len(ping))}, ping...)
	reply := make([]byte, len(ping)) // a result without fields is as long
	c.send(ping)
	if _, err := io.ReadFull(c.Conn, reply); err != nil {
		t.Fatal(err)
	}
	time.Sleep(idle)
	_, _ = c.Write(ping) // fails where it is closed
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	_, err := io.ReadFull(c.Conn, reply)
	t.Logf("after %v: %v", idle, err)
	return err != nil
}
