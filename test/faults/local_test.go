//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/layer/observe"
	"github.com/thriftloom/thriftloom/layer/retry"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/service"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// local is the part of the chain that dials, from service to client, on the operating system's own network.
type local struct {
	*testing.T
	cluster *cluster.Cluster
	handler rpc.Handler

	mu   sync.Mutex
	last *rpc.Record
}

// overLoopback makes a chain to endpoints. When the test ends, no slot is taken and no descriptor or goroutine of it is left.
func overLoopback(t *testing.T, dialer client.Dialer, addresses ...string) *local {
	t.Helper()
	goroutines, descriptors := runtime.NumGoroutine(), openFiles("self")
	l := &local{T: t}
	engine := netio.NewPortable()
	l.cluster = cluster.New(cluster.Options{
		Name: "Users", Engine: engine, Dialer: dialer, Wire: transport.Wire{Kind: transport.Buffered, Protocol: wire.Binary},
		Queue: cluster.Default().Queue, IdleExpiry: 200 * time.Millisecond,
	})
	var endpoints []rpc.Endpoint
	for i, a := range addresses {
		endpoints = append(endpoints, rpc.Endpoint{Address: a, Name: fmt.Sprint("users-", i+1)})
	}
	l.cluster.Update(endpoints)
	policy := service.Policy{Timeout: 20 * time.Second, Retry: retry.Default(), Upstream: l.cluster}
	l.handler = service.New(service.Config{Name: "Users", Sinks: []observe.Sink{l}, Policies: rpc.PerMethod[service.Policy]{Other: policy}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = engine.Run(ctx) }()
	t.Cleanup(func() {
		if taken, waiting := l.cluster.InFlight(); taken != 0 || waiting != 0 {
			t.Errorf("%d slots are taken, %d calls wait", taken, waiting)
		}
		l.cluster.Close()
		cancel()
		<-ended
		peertest.Eventually(t, "goroutines and descriptors are as before", func() bool {
			return runtime.NumGoroutine() <= goroutines && openFiles("self") <= descriptors
		})
	})
	return l
}

func openFiles(process string) int {
	all, err := os.ReadDir("/proc/" + process + "/fd")
	if err != nil {
		return 0
	}
	return len(all)
}

// Begun, Ended and Late implement observe.Sink.
func (l *local) Begun(*rpc.Call)             {}
func (l *local) Late(*rpc.Call, rpc.Attempt) {}
func (l *local) Ended(r *rpc.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = r
}

// expect makes a call that may not be made twice, and checks its code ("OK" too) and the classes of its attempts, as want has them.
func (l *local) expect(code, attempts string) *rpc.Error {
	l.Helper()
	_, err := l.handler.Handle(l.Context(), &rpc.Call{
		ID: rpc.NewID(), Service: "Users", Name: "put", Protocol: wire.Binary, Body: []byte{0}, Start: time.Now(),
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if got := l.last.Code(); got != code {
		l.Errorf("the call ended with %s (%v), want %s", got, err, code)
	}
	if got := outcomes(l.last); !one(got, attempts) {
		l.Errorf("the attempts were %q, want %q", got, attempts)
	}
	e := rpc.AsError(err, "")
	if e != nil && e.Reach != rpc.NotSent {
		l.Errorf("%v; nothing was sent", e)
	}
	return e
}

func (l *local) health() string {
	var all []string
	for _, e := range l.cluster.Snapshot().Endpoints {
		all = append(all, e.State)
	}
	return strings.Join(all, " ")
}

// back checks that both endpoints come to calls again.
func (l *local) back() {
	l.Helper()
	peertest.Eventually(l, "both endpoints are up", func() bool {
		l.expect("OK", "success|refused success|connect_timeout success")
		time.Sleep(50 * time.Millisecond)
		return l.health() == "up up"
	})
}

// peer serves at an address of the loopback interface, or a unix socket, until the test ends or stop is called.
func peer(t *testing.T, network, address string) (p *fakepeer.Peer, at string, stop func()) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	p = &fakepeer.Peer{Script: func(transport.Message) fakepeer.Answer { return fakepeer.Answer{} }}
	done := make(chan struct{})
	go func() { defer close(done); p.Serve(l) }()
	stop = func() { _ = l.Close() }
	t.Cleanup(func() { stop(); <-done })
	return p, l.Addr().String(), stop
}

// names is a name server on the loopback interface with one name, users.test, and what it says of it.
type names struct {
	address atomic.Pointer[[4]byte] // nil: no answer section
	rcode   atomic.Int32            // 3: there is no such name
	slow    atomic.Bool
	dialer  net.Dialer
}

func nameServer(t *testing.T) *names {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := new(names)
	n.dialer.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
	done := make(chan struct{})
	var late sync.WaitGroup
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			size, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			answer := n.answer(buf[:size])
			if !n.slow.Load() {
				_, _ = pc.WriteTo(answer, from)
				continue
			}
			late.Go(func() {
				time.Sleep(1200 * time.Millisecond) // later than a dial waits
				_, _ = pc.WriteTo(answer, from)
			})
		}
	}()
	t.Cleanup(func() {
		late.Wait()
		_ = pc.Close()
		<-done
	})
	return n
}

// answer answers one question. Of IPv6 there is nothing.
//
//	id:2  flags:2  questions:2  answers:2  authorities:2  additional:2  name…0  type:2  class:2  (RFC 1035)
func (n *names) answer(query []byte) []byte {
	end := 12
	for query[end] != 0 {
		end += 1 + int(query[end])
	}
	end += 5
	a := append([]byte(nil), query[:end]...)
	a[2], a[3] = 0x81, 0x80|byte(n.rcode.Load())  // an answer, recursion was wanted and there is some
	copy(a[4:12], []byte{0, 1, 0, 0, 0, 0, 0, 0}) // one question
	isA := a[end-3] == 1                          // type A
	if at := n.address.Load(); at != nil && isA { //
		a[7] = 1                            // one answer
		a = append(a, 0xc0, 12, 0, 1, 0, 1) // the name at 12, type A, class IN
		a = append(a, 0, 0, 0, 0, 0, 4)     // for no time at all, four bytes
		a = append(a, at[0], at[1], at[2], at[3])
	}
	return a
}

func (n *names) dial(ctx context.Context, address string) (net.Conn, error) {
	return n.dialer.DialContext(ctx, "tcp", address)
}

// An endpoint whose name has no address is down, and its calls go elsewhere.
func dnsFail(t *testing.T) {
	unresolved(t, func(n *names) { n.rcode.Store(3) }, "refused")
}

func dnsEmpty(t *testing.T) {
	unresolved(t, func(*names) {}, "refused")
}

func dnsSlow(t *testing.T) {
	unresolved(t, func(n *names) { n.slow.Store(true) }, "connect_timeout")
}

func unresolved(t *testing.T, wrong func(n *names), class string) {
	_, at, _ := peer(t, "tcp", "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(at)
	n := nameServer(t)
	l := overLoopback(t, n.dial, "users.test.:"+port, at)
	wrong(n)
	for range 100 {
		l.expect("OK", "success|"+class+" success")
		if l.health() == "down up" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := l.health(); got != "down up" {
		t.Fatalf("the endpoints are %s", got)
	}
	n.rcode.Store(0)
	n.slow.Store(false)
	n.address.Store(&[4]byte{127, 0, 0, 1})
	l.back()
}

// Connections that are made after a change go to the new address; no call fails.
func dnsChanged(t *testing.T) {
	first, at, stop := peer(t, "tcp", "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(at)
	second, _, _ := peer(t, "tcp", "127.0.0.2:"+port)
	n := nameServer(t)
	n.address.Store(&[4]byte{127, 0, 0, 1})
	l := overLoopback(t, n.dial, "users.test.:"+port)
	for range 5 {
		l.expect("OK", "success")
	}
	n.address.Store(&[4]byte{127, 0, 0, 2})
	l.expect("OK", "success") // on the connection that is there, or a new one
	time.Sleep(300 * time.Millisecond)
	was := first.Calls.Load()
	stop()
	for range 5 {
		l.expect("OK", "success")
	}
	if first.Calls.Load() != was || second.Calls.Load() < 5 {
		t.Errorf("the first was asked %d times more, the second %d times", first.Calls.Load()-was, second.Calls.Load())
	}
}

// systemPort returns a free port of those that the system gives to connections that go out: others are not obeyed.
func systemPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// With no port left for a connection, calls are told that this machine is at its end; the endpoint is not blamed.
func portsGone(t *testing.T) {
	_, at, _ := peer(t, "tcp", "127.0.0.1:0")
	var scarce atomic.Bool
	onlyPort := systemPort(t)
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if scarce.Load() {
			_ = c.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE, onlyPort<<16|onlyPort)
			})
		}
		return err
	}}
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", address)
	}
	l := overLoopback(t, dial, at)
	scarce.Store(true)
	held, err := dial(t.Context(), at)
	if errors.Is(err, unix.ENOPROTOOPT) {
		t.Skip("this kernel cannot narrow the ports of one socket (Linux 6.3 can)")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	e := l.expect("RESOURCE_EXHAUSTED", strings.TrimSpace(strings.Repeat("local_limit ", 10)))
	if e == nil || !errors.Is(e, syscall.EADDRNOTAVAIL) {
		t.Errorf("the cause is %v", e)
	}
	if got := l.health(); got != "up" {
		t.Errorf("the endpoint is %s", got)
	}
	scarce.Store(false)
	l.expect("OK", "success")
}

// A socket file that is removed hurts no connection that is there; new ones are made elsewhere, until there is a file again.
func socketGone(t *testing.T) {
	dir := shortDir(t)
	_, at, _ := peer(t, "unix", dir+"/a")
	_, other, _ := peer(t, "unix", dir+"/b")
	l := overLoopback(t, nil, "unix:"+at, "unix:"+other)
	l.expect("OK", "success")
	if err := os.Remove(at); err != nil {
		t.Fatal(err)
	}
	l.expect("OK", "success|refused success")
	for range 100 {
		time.Sleep(10 * time.Millisecond)
		l.expect("OK", "success|refused success")
		if l.health() == "down up" {
			return
		}
		time.Sleep(250 * time.Millisecond) // the connections that are there go
	}
	t.Errorf("the endpoints are %s", l.health())
}

func socketRecreated(t *testing.T) {
	dir := shortDir(t)
	_, at, stop := peer(t, "unix", dir+"/a")
	_, other, _ := peer(t, "unix", dir+"/b")
	l := overLoopback(t, nil, "unix:"+at, "unix:"+other)
	l.expect("OK", "success")
	stop() // removes the file
	for l.health() != "down up" {
		l.expect("OK", "success|refused success|write_cut success")
		time.Sleep(300 * time.Millisecond)
	}
	again, _, _ := peer(t, "unix", dir+"/a")
	l.back()
	if again.Calls.Load() == 0 {
		t.Error("the new server was not asked")
	}
}

// shortDir is a folder whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	return strings.TrimSuffix(strings.TrimPrefix(peertest.Socket(t), "unix:"), "/s")
}

// The kernel refuses a connection to a unix socket whose backlog is full; the call goes elsewhere.
func backlogOfUnixSocket(t *testing.T) {
	dir := shortDir(t)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: dir + "/full"}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	held, err := net.Dial("unix", dir+"/full")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	_, other, _ := peer(t, "unix", dir+"/b")
	l := overLoopback(t, nil, "unix:"+dir+"/full", "unix:"+other)
	for range 100 {
		l.expect("OK", "success|connect_timeout success") // EAGAIN: try again later
		if l.health() == "down up" {
			return
		}
		time.Sleep(250 * time.Millisecond)
	}
	t.Errorf("the endpoints are %s", l.health())
}
