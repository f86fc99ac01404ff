package e2e

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/internal/peertest"
)

// relay stands before a server and counts the connections that come to it.
type relay struct {
	address string
	slots   int

	mu   sync.Mutex
	open map[*net.TCPConn]bool
	most int
}

// relayTo starts a relay to a server with so many workers.
func relayTo(t *testing.T, server string, slots int) *relay {
	r := &relay{slots: slots, open: map[*net.TCPConn]bool{}}
	r.address = listenAnd(t, func(c net.Conn) {
		defer c.Close()
		from := c.(*net.TCPConn)
		r.enter(from)
		defer r.leave(from)
		out, err := net.Dial("tcp", server)
		if err != nil {
			return
		}
		defer out.Close()
		to := out.(*net.TCPConn)
		back := make(chan struct{})
		go func() {
			defer close(back)
			_, _ = io.Copy(from, to)
			_ = from.Close() // the server has ended it
		}()
		_, _ = io.Copy(to, from)
		_ = to.Close()
		<-back
	})
	return r
}

// enter counts the connections whose other side has not closed them: all of these were open at the moment when the last one was accepted.
func (r *relay) enter(c *net.TCPConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[c] = true
	n := 0
	for c := range r.open {
		if established(c) {
			n++
		}
	}
	r.most = max(r.most, n)
}

func (r *relay) leave(c *net.TCPConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, c)
}

func established(c *net.TCPConn) (is bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	_ = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		is = err == nil && info.State == 1 // TCP_ESTABLISHED; CLOSE_WAIT once the other side has closed
	})
	return is
}

// wires carries what gateways say to each other, until it is cut.
type wires struct {
	cut atomic.Bool
}

// between returns the address at which gateway a sees b, and the one at which b sees a.
func (w *wires) between(t *testing.T, a, b string) (atA, atB string) {
	t.Helper()
	var ends [2]net.PacketConn
	var to [2]net.Addr
	for i, peer := range []string{a, b} {
		var err error
		if ends[i], err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if to[i], err = net.ResolveUDPAddr("udp", peer); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for i := range ends {
		all.Go(func() {
			buf := make([]byte, 65536)
			for {
				n, from, err := ends[i].ReadFrom(buf)
				if err != nil {
					return
				}
				if !w.cut.Load() && from.String() == to[i].String() {
					_, _ = ends[1-i].WriteTo(buf[:n], to[1-i])
				}
			}
		})
	}
	t.Cleanup(func() {
		_ = ends[0].Close()
		_ = ends[1].Close()
		all.Wait()
	})
	return ends[0].LocalAddr().String(), ends[1].LocalAddr().String()
}

// fleet is workers behind relays, and gateways that are programs of their own.
type fleet struct {
	t       *testing.T
	program string
	relays  []*relay
	server  string // the keys of the upstream that say how it serves
	share   string // what of it is shared; "": slots
	slots   int    // of all
	timeout time.Duration
	dir     string
	gossip  []string // where the gateways hear each other
	peers   [][]string
	fronts  []string
	admins  []string
	ups     []*peertest.Process

	answered []atomic.Int64 // calls, by gateway
}

// newFleet prepares n gateways; start starts them.
func newFleet(t *testing.T, n int, kind peertest.Kind) *fleet {
	t.Helper()
	peertest.Require(t)
	f := &fleet{t: t, program: program(t), slots: 4, timeout: 20 * time.Second, answered: make([]atomic.Int64, n), ups: make([]*peertest.Process, n)}
	f.dir = filepath.Dir(strings.TrimPrefix(peertest.Socket(t), "unix:"))
	switch kind {
	case peertest.Simple: // four servers with one worker each
		f.server = "server: simple"
		for range f.slots {
			f.relays = append(f.relays, relayTo(t, kind.Serve(t, peertest.FreePort(t)).Address, 1))
		}
	case peertest.Threaded: // four with four slots each
		f.server, f.share = "server: threaded, slots: 4", "view"
		for range f.slots {
			f.relays = append(f.relays, relayTo(t, kind.Serve(t, peertest.FreePort(t)).Address, 4))
		}
		f.slots *= 4
	default: // one with four
		f.server = "server: gunicorn-sync, slots: 4"
		f.relays = append(f.relays, relayTo(t, kind.Serve(t, peertest.FreePort(t), "--workers", "4").Address, 4))
	}
	for i := range n {
		f.gossip = append(f.gossip, peertest.FreeUDP(t))
		f.fronts = append(f.fronts, fmt.Sprintf("unix:%s/front%d", f.dir, i))
		f.admins = append(f.admins, peertest.FreePort(t))
	}
	for range n {
		f.peers = append(f.peers, f.gossip)
	}
	return f
}

// start starts gateway i and returns when it shows its cluster.
func (f *fleet) start(i int) {
	f.t.Helper()
	var endpoints []string
	for _, r := range f.relays {
		endpoints = append(endpoints, fmt.Sprintf("%q", r.address))
	}
	path := fmt.Sprintf("%s/gw%d.yaml", f.dir, i)
	writeFile(f.t, path, fmt.Sprintf(`
admin: %q
state: %s/state%d
gateways: {listen: %q, peers: [%s], name: gw-%d, key: a key of the test, share: %s}
defaults: {timeout: %v, queue: {max_wait: 20s}}
services:
  Kinds: {idl: %s, listen: %q, upstream: {endpoints: [%s], %s}}
`, f.admins[i], f.dir, i, f.gossip[i], strings.Join(f.peers[i], ", "), i, cmp.Or(f.share, "slots"), f.timeout, peertest.File("kinds.thrift"), f.fronts[i],
		strings.Join(endpoints, ", "), f.server))
	f.ups[i] = peertest.Start(f.t, f.program, "up", "-c", path)
	peertest.Eventually(f.t, "the gateway runs", func() bool { return len(peertest.Snapshot(f.admins[i]).Clusters) == 1 })
}

func (f *fleet) gateways(i int) status.Gateways {
	if g := peertest.Snapshot(f.admins[i]).Gateways; g != nil {
		return *g
	}
	return status.Gateways{}
}

// leased is how many slots gateway i may use.
func (f *fleet) leased(i int) (n int) {
	for _, c := range peertest.Snapshot(f.admins[i]).Clusters {
		for _, e := range c.Endpoints {
			n += e.LeasedSlots
		}
	}
	return n
}

// load is callers that call without a pause: each call keeps a worker for so many milliseconds.
func (f *fleet) load(ctx context.Context, gateway, callers int, millis int32, end *sync.WaitGroup) {
	for range callers {
		k := dial(f.t, f.fronts[gateway], 1)
		end.Go(func() {
			for ctx.Err() == nil {
				if _, err := k.Sleep(context.Background(), millis); err != nil {
					if ctx.Err() == nil {
						f.t.Errorf("gateway %d: %v", gateway, err)
					}
					return
				}
				f.answered[gateway].Add(1)
			}
		})
	}
}

// during runs the load, by gateway, for a while that do takes, and returns how many calls were answered a second.
func (f *fleet) during(millis int32, callers []int, do func()) (rate float64) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var end sync.WaitGroup
	for i, n := range callers {
		f.load(ctx, i, n, millis, &end)
	}
	f.settle(callers)
	before, start := f.sum(), time.Now()
	do()
	rate = float64(f.sum()-before) / time.Since(start).Seconds()
	cancel()
	end.Wait()
	return rate
}

// settle returns when all workers have had calls of each gateway that has callers.
func (f *fleet) settle(callers []int) {
	f.t.Helper()
	for i, n := range callers {
		before := f.answered[i].Load()
		if n > 0 {
			peertest.Eventually(f.t, fmt.Sprintf("gateway %d serves", i), func() bool { return f.answered[i].Load() > before+4 })
		}
	}
}

func (f *fleet) sum() (n int64) {
	for i := range f.answered {
		n += f.answered[i].Load()
	}
	return n
}

// within fails the test where a server has ever had more connections than workers.
func (f *fleet) within(allow int) {
	f.t.Helper()
	for i, r := range f.relays {
		r.mu.Lock()
		f.t.Logf("server %d: at most %d connections, of %d workers", i, r.most, r.slots)
		if r.most > max(r.slots, allow) {
			f.t.Errorf("server %d had %d connections, with %d workers", i, r.most, r.slots)
		}
		r.mu.Unlock()
	}
}

// pass lets the load run for a while: that is what is measured.
func pass() { time.Sleep(1500 * time.Millisecond) }

// Three gateways, which are processes of their own, share four sync workers: real ThriftPy servers that stay with a connection until it is
// closed. However the callers are spread, the gateways together get as much out of the workers as one alone; when a gateway is killed, ends
// or joins, no call at another fails; and no server ever has more connections than workers.
func TestGatewaysShareSyncWorkers(t *testing.T) {
	for _, kind := range []peertest.Kind{peertest.Simple, peertest.GunicornSync} {
		t.Run(kind.Name, func(t *testing.T) {
			f := newFleet(t, 3, kind)
			for i := range 3 {
				f.start(i)
			}
			peertest.Eventually(t, "they see each other", func() bool {
				return f.gateways(1).Arbiter == "gw-0" && f.gateways(2).Arbiter == "gw-0" && f.leased(0)+f.leased(1)+f.leased(2) == f.slots
			})
			t.Run("skewed load", func(t *testing.T) {
				f.compare(t, []int{8, 3, 1})
			})
			t.Run("all load moves", func(t *testing.T) {
				for i := range 3 {
					callers := make([]int, 3)
					callers[i] = 8
					f.compare(t, callers)
				}
			})
			t.Run("gateway leave", func(t *testing.T) { // killed, the arbiter too; then in order
				for _, i := range []int{0, 2} {
					callers := []int{6, 6, 6}
					callers[i] = 0
					f.during(50, callers, func() {
						_ = syscall.Kill(f.ups[i].PID, syscall.SIGKILL)
						f.settle(callers)
						peertest.Eventually(t, "the others have all slots", func() bool {
							return f.leased((i+1)%3)+f.leased((i+2)%3) == f.slots
						})
					})
					f.ups[i].Wait(t, 20*time.Second)
					f.start(i)
				}
				f.during(50, []int{6, 0, 6}, func() {
					f.ups[1].Signal(t, syscall.SIGTERM)
					if code := f.ups[1].Wait(t, 20*time.Second); code != 0 {
						t.Errorf("exit code %d", code)
					}
					peertest.Eventually(t, "the others have all slots", func() bool { return f.leased(0)+f.leased(2) == f.slots })
				})
			})
			t.Run("gateway join", func(t *testing.T) {
				f.during(50, []int{6, 0, 6}, func() {
					f.start(1)
					k := dial(t, f.fronts[1], 1)
					for range 5 {
						if _, err := k.Sleep(context.Background(), 50); err != nil {
							t.Error(err)
						}
					}
				})
				f.compare(t, []int{4, 4, 4})
			})
			t.Run("gateway replaced", func(t *testing.T) { // another process takes its place
				callers := []int{6, 2, 6}
				f.during(50, callers, func() {
					before := f.ups[0]
					f.start(0)
					if code := before.Wait(t, time.Minute); code != 0 {
						t.Errorf("exit code %d", code)
					}
					f.settle(callers)
				})
				peertest.Eventually(t, "all slots are given out", func() bool { return f.leased(0)+f.leased(1)+f.leased(2) == f.slots })
			})
			f.within(0)
		})
	}
}

// compare checks that the workers get as much done as when one gateway has all the callers. What is lost, to slots that are handed on, is a
// matter of a few messages each: the bound is for machines with much else to do, which have three attempts besides.
func (f *fleet) compare(t *testing.T, callers []int) {
	t.Helper()
	for range 3 {
		alone := f.during(50, []int{12, 0, 0}, pass)
		rate := f.during(50, callers, pass)
		t.Logf("callers %v: %.1f calls a second, %.2f of the %.1f of one gateway with all callers", callers, rate, rate/alone, alone)
		if rate >= 0.7*alone {
			return
		}
	}
	t.Errorf("callers %v: the workers were idle while calls waited", callers)
}

// Gateways that do not hear each other, with nothing that proves that one has ended, keep to their static share, and each serves; whole
// again, they lend each other slots as before.
func TestSplitGossip(t *testing.T) {
	f := newFleet(t, 3, peertest.GunicornSync)
	f.timeout = 2 * time.Second
	w := &wires{}
	f.peers = make([][]string, 3)
	for a := range 3 {
		for b := range a {
			atA, atB := w.between(t, f.gossip[a], f.gossip[b])
			f.peers[a], f.peers[b] = append(f.peers[a], atA), append(f.peers[b], atB)
		}
	}
	for i := range 3 {
		f.start(i)
	}
	f.during(50, []int{0, 8, 0}, func() {
		peertest.Eventually(t, "one gateway has all slots", func() bool { return f.leased(1) == f.slots })
		w.cut.Store(true)
		peertest.Eventually(t, "it keeps its share", func() bool { return f.leased(1) == 1 })
		f.settle([]int{0, 1, 0})
	})
	peertest.Eventually(t, "each has its share", func() bool { return f.leased(0) == 1 && f.leased(1) == 1 && f.leased(2) == 1 })
	f.during(50, []int{1, 1, 1}, pass)
	if g := f.gateways(2); !g.Static {
		t.Errorf("%+v", g)
	}
	w.cut.Store(false)
	f.during(50, []int{0, 0, 8}, func() {
		peertest.Eventually(t, "another one has all slots", func() bool { return f.leased(2) == f.slots })
	})
	f.within(0)
}

// others is how many calls other gateways have, by the endpoints of gateway i and by what each of the others has said.
func (f *fleet) others(i int) (atEndpoints, byWords int) {
	s := peertest.Snapshot(f.admins[i])
	for _, c := range s.Clusters {
		for _, e := range c.Endpoints {
			atEndpoints += e.Others
		}
	}
	if s.Gateways != nil {
		for _, m := range s.Gateways.Members {
			if m.Word != nil {
				byWords += m.Word.Calls
			}
		}
	}
	return atEndpoints, byWords
}

// Three gateways, which are processes of their own, before four threaded ThriftPy servers, lend each other no slots and see each other's calls.
// What one that is killed had said last is forgotten, one that takes its place sees the others, and no call at another fails.
func TestGatewaysSeeEachOthersCalls(t *testing.T) {
	f := newFleet(t, 3, peertest.Threaded)
	for i := range 3 {
		f.start(i)
	}
	callers := []int{2, 3, 4} // fewer than slots: each has a call in flight but for a moment between two
	sees := func(i, calls int) {
		t.Helper()
		peertest.Eventually(t, fmt.Sprintf("gateway %d sees %d calls of the others", i, calls), func() bool {
			at, by := f.others(i)
			return at == calls && by == calls
		})
	}
	ctx, stop := context.WithCancel(context.Background())
	killed, kill := context.WithCancel(context.Background())
	defer kill()
	var end sync.WaitGroup
	defer end.Wait()
	defer stop()
	f.load(ctx, 0, callers[0], 500, &end)
	f.load(ctx, 1, callers[1], 500, &end)
	f.load(killed, 2, callers[2], 500, &end)
	sees(0, 7)
	sees(1, 6)
	sees(2, 5)
	if n := f.leased(1); n != f.slots {
		t.Errorf("%d of %d slots may be used", n, f.slots)
	}
	kill()
	_ = syscall.Kill(f.ups[2].PID, syscall.SIGKILL)
	sees(0, 3)
	sees(1, 2)
	f.ups[2].Wait(t, 20*time.Second)
	f.start(2)
	sees(2, 5)
	stop()
	for i := range 3 {
		sees(i, 0)
	}
}
